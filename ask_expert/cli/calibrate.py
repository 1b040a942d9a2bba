"""`ask-expert calibrate`: how far the signals can be believed, from outcomes."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ask_expert.cli import output
from ask_expert.cli.options import Home, Json, as_utf8, folder
from ask_expert.cli.replay import names

if TYPE_CHECKING:
    from ask_expert.confidence.calibration.calibrate import Labelled
    from ask_expert.evaluation.calibrating import Wanted


def calibrate(  # noqa: PLR0917  # one parameter an option
    source: Annotated[
        str,
        typer.Option("--from", help="`ledger`, or a CSV file.", callback=as_utf8),
    ] = "ledger",
    model: Annotated[
        str | None, typer.Option(help="The local model; default: the settings' one.")
    ] = None,
    kind: Annotated[str, typer.Option(help="The kind of task.")] = "any",
    weak: Annotated[
        str, typer.Option(help="In a file: column of the local model's correctness.")
    ] = "weak_correct",
    strong: Annotated[
        str, typer.Option(help="In a file: column of the expert's correctness.")
    ] = "strong_correct",
    signals: Annotated[
        str,
        typer.Option(
            help="In a file: columns of signals, by comma; `-NAME` where less means "
            "surer. Default: all columns of numbers."
        ),
    ] = "",
    risk: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=0.999, help="Most that may be wrong of what stays local."
        ),
    ] = None,
    error: Annotated[
        float,
        typer.Option(min=0.001, max=0.5, help="Most chance of breaking --risk."),
    ] = 0.1,
    folds: Annotated[int, typer.Option(min=2, max=50, help="How many folds.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of the folds.")] = 0,
    plot: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the plot as SVG.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show it; keep nothing.")
    ] = False,
    json: Json = False,
    home: Home = None,
) -> None:
    """Fit confidence to outcomes, and switch off signals that rank no better than chance."""
    from ask_expert.confidence.calibration import libraries, store

    libraries.require()
    from ask_expert.evaluation import calibrating
    from ask_expert.evaluation import calibration_forms as forms

    place = folder(home)
    wanted = calibrating.Wanted(
        model=_model(model, place),
        kind=kind,
        folds=folds,
        seed=seed,
        now=datetime.now(UTC),
    )
    if source == "ledger":
        labelled = _from_ledger(place, wanted)
    else:
        labelled = calibrating.from_file(
            Path(source), wanted, weak=weak, strong=strong, signals=names(signals)
        )
    results, document = calibrating.calibrated(
        labelled, wanted, last=store.load(place), risk=risk, error=error
    )
    saved = None if dry_run else str(store.save(place, document))
    if plot is not None:
        with output.private_file(plot) as file:
            file.write(forms.svg(results))
    if json:
        output.as_json(
            forms.as_json(results, model=wanted.model, kind=kind, saved=saved)
        )
        return
    for result in results:
        output.title(forms.title(result))
        output.table(forms.facts(result))
        if result.found.fit.signals:
            output.table(
                forms.signal_rows(result.found.fit.signals), head=forms.SIGNAL_HEAD
            )
        if result.found.table:
            output.table(forms.table_rows(result.found.table), head=forms.TABLE_HEAD)
        output.say()
    output.say(f"Kept in {saved}." if saved else "Nothing was kept.")


def _from_ledger(home: Path, wanted: "Wanted") -> "tuple[Labelled, Labelled]":
    from ask_expert.evaluation import calibrating
    from ask_expert.report import desk

    with desk.opened(home, os.environ) as open_desk:
        return calibrating.from_ledger(open_desk.ledger, wanted)


def _model(model: str | None, home: Path) -> str:
    if model:
        return as_utf8(model)
    from ask_expert import settings_file
    from ask_expert.errors import ConfigError

    known = settings_file.load(home).locals
    if not known:
        raise ConfigError(
            "no local model is named: give --model, or `local:` in settings.yaml"
        )
    return known[0].model
