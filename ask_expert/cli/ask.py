"""`ask-expert ask`: the same road as an agent's question, from a terminal."""

import os
from pathlib import Path
from typing import Annotated

import anyio
import typer

from ask_expert.cli import output
from ask_expert.cli.options import Home, Json, folder, text_or_file


def ask(  # noqa: PLR0917  # one parameter an option
    question: str,
    context: Annotated[
        str | None, typer.Option(help="Code and facts it needs; @FILE reads a file.")
    ] = None,
    tried: Annotated[
        list[str] | None, typer.Option(help="A failed attempt; may be repeated.")
    ] = None,
    my_answer: Annotated[str | None, typer.Option(help="The answer so far.")] = None,
    error: Annotated[
        str | None, typer.Option(help="The exact error; @FILE or - for standard input.")
    ] = None,
    check: Annotated[
        str | None, typer.Option(help="A check from the settings to run.")
    ] = None,
    file: Annotated[
        list[str] | None, typer.Option(help="A file to send; may be repeated.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Name of the task.")] = None,
    thread: Annotated[
        str | None, typer.Option(help="A conversation to continue.")
    ] = None,
    confidence: Annotated[
        float | None, typer.Option(help="How sure the answer is, from 0 to 1.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option(help="Preset or path; overrides the settings.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would happen; send nothing.")
    ] = False,
    json: Json = False,
    home: Home = None,
) -> None:
    """Ask an expert, as an agent would; budgets hold."""
    from ask_expert.cli import asking
    from ask_expert.question import Question

    asked = Question(
        text=question,
        caller=asking.caller(),
        context=text_or_file(context),
        tried=tuple(tried) if tried else None,
        my_answer=my_answer,
        stated_confidence=confidence,
        error=text_or_file(error),
        check=check,
        files=tuple(file or ()),
        task=task,
        thread=thread,
    )
    house = asking.house(
        folder(home), os.environ, policy=_here(policy), on_record=not dry_run
    )
    if dry_run:
        asking.show_preview(anyio.run(asking.previewed, house, asked), json=json)
        return
    reply = anyio.run(asking.answered, house, asked)
    output.as_json(asking.fields(reply)) if json else asking.show(reply)
    if reply.status == "unavailable":
        raise typer.Exit(1)


def _here(policy: str | None) -> str | None:
    """Return a policy's path as seen from the working folder; names stay names."""
    if policy is None or not Path(policy).is_file():
        return policy
    return str(Path(policy).absolute())
