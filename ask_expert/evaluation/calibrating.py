"""Calibrate from the ledger or from a table, and say what was found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ask_expert.confidence.calibration.calibrate import (
    Calibrated,
    Labelled,
    calibrate,
)
from ask_expert.confidence.calibration.document import (
    ANY_KIND,
    Document,
    Target,
    apply,
)
from ask_expert.confidence.calibration.drift import Drift, check
from ask_expert.confidence.calibration.guarantee import Guarantee, certify
from ask_expert.confidence.calibration.metrics import Floats
from ask_expert.confidence.signals.registry import SIGNALS
from ask_expert.errors import ConfigError
from ask_expert.evaluation.replay.table import number, parse
from ask_expert.ledger.engine import reading, translated_errors
from ask_expert.ledger.labels import LOCAL, solved_or_not
from ask_expert.ledger.store import Ledger

_GIVEN = {
    "stated_confidence": False,
    "failed_attempts": True,
    "check_failed": True,
    "repeated_error": True,
    "stalled": True,
}
"""Signals that cost nothing, and whether less of them means surer."""

_NO_SIGNALS = {
    "item_id",
    "task",
    "kind",
    "group",
    "prompt",
    "contaminated",
    "weak_cost_usd",
    "strong_cost_usd",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """
    What to calibrate.

    Attributes:
        model: The local model that the outcomes are of.
        kind: Kind of task they are of.
        folds: How many folds the errors are taken over.
        seed: Of the folds.
        now: The moment to keep with it.
    """

    model: str
    kind: str = ANY_KIND
    folds: int = 5
    seed: int = 0
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    One target's calibration, and whether the last one still held.

    Attributes:
        target: Whose answer is meant.
        found: What was fitted.
        drift: The last fit on outcomes it has not seen; None without a last fit.
        guarantee: What can be certified; None when it was not asked for.
    """

    target: Target
    found: Calibrated
    drift: Drift | None = None
    guarantee: Guarantee | None = None


def from_ledger(ledger: Ledger, wanted: Wanted) -> tuple[Labelled, Labelled]:
    """
    Return what the ledger tells of the local model and of the expert.

    A question that stayed local or was held out, and of which it was reported whether
    the sub-problem was solved, labels the local model; one that an expert answered
    labels the expert. Nothing labels both: what the other would have made of a
    question is not known. Questions before another local model say nothing of this
    one; where a kind is wanted, only those of that kind count.
    """
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        rows = [row for row in solved_or_not(connection) if _is_wanted(row, wanted)]
    mine = [row for row in rows if row.status in LOCAL]
    experts = [row for row in rows if row.status not in LOCAL]
    return _of_rows(mine, "local", wanted), _of_rows(experts, "expert", wanted)


def _is_wanted(row: Any, wanted: Wanted) -> bool:
    of_model = row.local_model in {None, wanted.model}
    return of_model and wanted.kind in {ANY_KIND, row.local_kind}


def _of_rows(rows: Sequence[Any], target: Target, wanted: Wanted) -> Labelled:
    falling = {name: each.surer_when == "low" for name, each in SIGNALS.items()}
    falling |= _GIVEN
    facts: list[Mapping[str, object]] = [row.facts for row in rows]
    signals: dict[str, Floats] = {}
    for name, is_falling in falling.items():
        values = np.array([_value(each.get(name)) for each in facts], dtype=float)
        if np.isfinite(values).any():
            signals[name] = -values if is_falling else values
    return Labelled(
        model=wanted.model,
        kind=wanted.kind,
        target=target,
        right=np.array([float(row.solved) for row in rows]),
        tasks=tuple(f"{row.user}\0{row.project}\0{row.task}" for row in rows),
        signals=signals,
        falling=frozenset(name for name in signals if falling[name]),
    )


def _value(fact: object) -> float:
    return float(fact) if isinstance(fact, bool | int | float) else float("nan")


def from_file(
    path: Path, wanted: Wanted, *, weak: str, strong: str, signals: Sequence[str] = ()
) -> tuple[Labelled, Labelled]:
    """
    Return what a table tells of the local model and of the expert.

    Without named signals, every column of numbers is one that no other meaning has.
    With a column `kind`, only the rows of the wanted kind count.

    Raises:
        ConfigError: The file cannot be read, or lacks a column.
    """
    header, rows, _ = parse(path)
    column = {name: place for place, name in enumerate(header)}
    named = list(signals) or [
        name
        for name in header
        if name
        and name not in {*_NO_SIGNALS, weak, strong}
        and _numbers(rows, column[name])
    ]
    for name in (weak, *(each.removeprefix("-") for each in named)):
        if name not in column:
            known = ", ".join(repr(each) for each in header[:30])
            raise ConfigError(f"has no column {name!r}; it has {known}", file=path)
    if "kind" in column and wanted.kind != ANY_KIND:
        rows = [row for row in rows if row[column["kind"]].strip() == wanted.kind]
    labels: dict[Target, str] = {"local": weak, "expert": strong}
    found = [
        _of_table(rows, column, target, label, named, wanted, path)
        for target, label in labels.items()
    ]
    return found[0], found[1]


def _numbers(rows: Sequence[Sequence[str]], place: int) -> bool:
    cells = [row[place] for row in rows[:1000] if row[place].strip()]
    return bool(cells) and all(np.isfinite(number(cell)) for cell in cells)


def _of_table(  # one table, read twice
    rows: Sequence[Sequence[str]],
    column: Mapping[str, int],
    target: Target,
    label: str,
    named: Sequence[str],
    wanted: Wanted,
    path: Path,
) -> Labelled:
    place = column.get(label)
    told = [row for row in rows if place is not None and row[place].strip()]
    right = np.array([number(row[place]) for row in told if place is not None])
    there = np.isfinite(right)
    if ((right[there] < 0) | (right[there] > 1)).any():
        raise ConfigError(f"column {label!r} goes beyond 0 to 1", file=path)
    kept = [row for row, known in zip(told, there, strict=True) if known]
    by = next((name for name in ("task", "item_id") if name in column), None)
    signals = {
        each.removeprefix("-"): np.array(
            [number(row[column[each.removeprefix("-")]]) for row in kept], dtype=float
        )
        * (-1 if each.startswith("-") else 1)
        for each in named
    }
    return Labelled(
        model=wanted.model,
        kind=wanted.kind,
        target=target,
        right=(right[there] >= 0.5).astype(float),  # noqa: PLR2004  # half right
        tasks=tuple(
            row[column[by]] if by else str(number_) for number_, row in enumerate(kept)
        ),
        signals=signals,
        falling=frozenset(each[1:] for each in named if each.startswith("-")),
    )


def calibrated(
    labelled: Sequence[Labelled],
    wanted: Wanted,
    *,
    last: Document,
    risk: float | None = None,
    error: float = 0.1,
) -> tuple[list[Result], Document]:
    """
    Fit each target; return what was found and the document with it in place.

    Args:
        labelled: Outcomes of the local model and of the expert.
        wanted: What to keep with them.
        last: The calibrations so far; the last fit is checked for drift on the
            outcomes that came after it.
        risk: Most of what is kept local that may be wrong; None certifies nothing.
        error: Most chance of breaking that.
    """
    document, results = last, list[Result]()
    for outcomes in labelled:
        found = calibrate(
            outcomes,
            folds=wanted.folds,
            seed=wanted.seed,
            fitted_at=f"{wanted.now:%Y-%m-%dT%H:%M:%SZ}",
        )
        results.append(
            Result(
                target=outcomes.target,
                found=found,
                drift=drift(outcomes, last),
                guarantee=_certified(outcomes, found, risk, error),
            )
        )
        document = document.with_fit(found.fit)
    return results, document


def _certified(
    outcomes: Labelled, found: Calibrated, risk: float | None, error: float
) -> Guarantee | None:
    if risk is None or outcomes.target != "local":
        return None
    if found.probabilities is None or found.right is None:
        nothing = np.zeros(0)
        return certify(nothing, nothing, risk=risk, error=error)
    return certify(found.probabilities, found.right, risk=risk, error=error)


def drift(outcomes: Labelled, last: Document) -> Drift | None:
    """Return how the last fit fares on outcomes that came after it; None without one."""
    mine = [
        each
        for each in last.fits
        if (each.model, each.kind, each.target)
        == (outcomes.model, outcomes.kind, outcomes.target)
    ]
    if not mine or not mine[0].formulas:
        return None
    first = min(mine[0].outcomes, len(outcomes.right))
    promised: list[float] = []
    came: list[float] = []
    for row in range(first, len(outcomes.right)):
        raw = {
            name: float(-values[row] if name in outcomes.falling else values[row])
            for name, values in outcomes.signals.items()
        }
        said = apply(
            last,
            raw,
            model=outcomes.model,
            kind=outcomes.kind,
            target=outcomes.target,
        )
        if said.probability is not None:
            promised.append(said.probability)
            came.append(float(outcomes.right[row]))
    return check(np.array(promised), np.array(came))
