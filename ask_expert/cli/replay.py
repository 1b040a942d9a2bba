"""`ask-expert replay`: what deferring would have bought on known outcomes."""

from pathlib import Path
from typing import Annotated

import typer

from ask_expert.cli import output
from ask_expert.cli.options import Json, as_utf8


def replay(  # noqa: PLR0917  # one parameter an option
    outcomes: Annotated[
        Path,
        typer.Option(
            dir_okay=False, help="CSV of items and how well both models did on them."
        ),
    ],
    weak: Annotated[
        str,
        typer.Option(help="Column of the local model's correctness.", callback=as_utf8),
    ] = "weak_correct",
    strong: Annotated[
        str, typer.Option(help="Column of the expert's correctness.", callback=as_utf8)
    ] = "strong_correct",
    signals: Annotated[
        str,
        typer.Option(
            help="Columns of signals, by comma; `-NAME` where less means surer.",
            callback=as_utf8,
        ),
    ] = "",
    group: Annotated[
        str, typer.Option(help="Column of subjects or kinds.", callback=as_utf8)
    ] = "group",
    folds: Annotated[int, typer.Option(min=2, max=50, help="How many folds.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of folds and resamples.")] = 0,
    resamples: Annotated[
        int, typer.Option(min=2000, max=100_000, help="For the intervals.")
    ] = 2000,
    json: Json = False,
) -> None:
    """
    Replay known outcomes of two models: quality, calls and cost of deferring.

    `policy replay` is another thing: it shows what policies decide on questions.
    """
    from ask_expert.confidence.calibration import libraries

    libraries.require()
    from ask_expert.evaluation.replay import forms, run, table

    columns = table.Columns(
        weak=weak, strong=strong, signals=names(signals), group=group
    )
    found = run.replay(
        table.read(outcomes, columns), count=folds, seed=seed, resamples=resamples
    )
    if json:
        output.as_json(forms.as_json(found))
        return
    output.table(forms.rows(found), head=forms.HEAD)
    output.title("\nQuality by share of calls")
    output.table(forms.quality_rows(found), head=forms.quality_head(found))
    output.title("\nWhat else")
    output.table(forms.facts(found))


def names(listed: str) -> tuple[str, ...]:
    """Return the names of a list with commas, each once."""
    found = (each.strip() for each in listed.split(","))
    return tuple(dict.fromkeys(each for each in found if each not in {"", "-"}))
