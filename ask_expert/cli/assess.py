"""`ask-expert assess`: what can be measured about the local answer to a question."""

import os
from typing import Annotated

import anyio
import typer

from ask_expert.cli import output
from ask_expert.cli.options import Home, Json, folder, text_or_file


def assess(  # noqa: PLR0917  # one parameter an option
    question: str,
    context: Annotated[
        str | None, typer.Option(help="Code and facts it needs; @FILE reads a file.")
    ] = None,
    my_answer: Annotated[
        str | None,
        typer.Option(help="The answer in question; default: the model's own."),
    ] = None,
    error: Annotated[
        str | None, typer.Option(help="The exact error; @FILE or - for standard input.")
    ] = None,
    tried: Annotated[
        list[str] | None, typer.Option(help="A failed attempt; may be repeated.")
    ] = None,
    check: Annotated[
        str | None, typer.Option(help="A check from the settings to run.")
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(help="How sure the answer is, from 0 to 1.")
    ] = None,
    signal: Annotated[
        list[str] | None, typer.Option(help="A signal to measure; default: all.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(help="number, choice, code, short_text or free_text."),
    ] = None,
    samples: Annotated[int, typer.Option(min=2, max=64, help="Answers that vote.")] = 5,
    max_tokens: Annotated[
        int, typer.Option(min=100, help="Most local tokens.")
    ] = 20_000,
    max_seconds: Annotated[float, typer.Option(min=0.1, help="Most seconds.")] = 120,
    json: Json = False,
    home: Home = None,
) -> None:
    """Measure how sure the local model can be of its answer; no expert is asked."""
    from ask_expert.cli import asking, assessments
    from ask_expert.question import Question

    asked = Question(
        text=question,
        caller=asking.caller(),
        context=text_or_file(context),
        tried=tuple(tried) if tried else None,
        my_answer=text_or_file(my_answer),
        stated_confidence=confidence,
        error=text_or_file(error),
        check=check,
    )
    wanted = assessments.wanted(
        tuple(signal or ()),
        kind=kind,
        samples=samples,
        max_tokens=max_tokens,
        max_seconds=max_seconds,
    )
    found = anyio.run(assessments.assessed, folder(home), os.environ, asked, wanted)
    output.as_json(assessments.fields(found)) if json else assessments.show(found)
