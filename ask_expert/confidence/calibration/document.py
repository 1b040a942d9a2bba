"""
Calibrations as they are kept, `calibration.json`, and applied: plain arithmetic.

What is fitted elsewhere is a few numbers here: the answer to a question never waits
for a numerical library to be imported, and needs none.
"""

import json
import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ask_expert.errors import ConfigError

VERSION = 1
"""Of the document; another one is refused, never guessed at."""

ANY_KIND = "any"
"""The task kind of outcomes that name none."""

Target = Literal["local", "expert"]


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SignalRow(_Kept):
    """
    What the gate said of one signal.

    Attributes:
        name: The signal.
        outcomes: On how many outcomes it was judged.
        auroc: How well it ranks; None when that cannot be said.
        low: Lower end of the interval.
        high: Upper end.
        used: Whether it may be used.
        reason: Why.
    """

    name: str
    outcomes: Annotated[int, Field(ge=0)]
    auroc: float | None
    low: float | None
    high: float | None
    used: bool
    reason: str


class Formula(_Kept):
    """
    What turns signals into a probability.

    Attributes:
        method: What was fitted.
        signals: Names of the signals it takes, in order; empty for a base rate.
        falling: Those of them of which less means surer: they enter negated.
        logit: Which of them enter as their logit.
        centre: What is taken off each.
        spread: What each is divided by.
        weights: What each is multiplied by.
        intercept: Log-odds where all are at their centre; None where the only signal
            goes straight into the table.
        table: Corners (value, probability) of a rising curve.
        ece: Calibration error on outcomes it was not fitted on.
        brier: Mean squared error there.
        auroc: How well it ranks there.
    """

    method: Literal["isotonic", "logistic", "base rate"]
    signals: tuple[str, ...]
    falling: tuple[str, ...] = ()
    logit: tuple[bool, ...] = ()
    centre: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    intercept: float | None = None
    table: tuple[tuple[float, float], ...] = ()
    ece: float | None = None
    brier: float | None = None
    auroc: float | None = None

    def probability(self, signals: Mapping[str, float]) -> float:
        """
        Return the probability, in [0, 1].

        Raises:
            KeyError: A signal is missing.
        """
        values = [
            -signals[name] if name in self.falling else signals[name]
            for name in self.signals
        ]
        value = values[0] if self.intercept is None else self._line(values)
        return _between(self.table, value) if self.table else value

    def _line(self, values: list[float]) -> float:
        log_odds = self.intercept or 0.0
        for place, value in enumerate(values):
            ready = _logit(value) if self.logit[place] else value
            unit = (ready - self.centre[place]) / self.spread[place]
            log_odds += self.weights[place] * unit
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, log_odds))))


class Fit(_Kept):
    """
    One model's calibration for one kind of task.

    Attributes:
        model: The local model.
        kind: Kind of task, `any` where outcomes name none.
        target: Whose answer is meant: the local model's or the expert's.
        outcomes: How many it was fitted on.
        right: How many of them are right.
        folds: How many folds the errors are from.
        seed: Of the folds.
        fitted_at: When, ISO 8601 in UTC.
        inputs: SHA-256 over the outcomes and signals.
        signals: What the gate said.
        formulas: What can be applied, best first; empty means uncalibrated.
        reason: Why it is uncalibrated; None when it is calibrated.
    """

    model: str
    kind: str
    target: Target
    outcomes: Annotated[int, Field(ge=0)]
    right: Annotated[int, Field(ge=0)]
    folds: int
    seed: int
    fitted_at: str
    inputs: str
    signals: tuple[SignalRow, ...]
    formulas: tuple[Formula, ...]
    reason: str | None = None


class Document(_Kept):
    """
    All calibrations of one home folder.

    Attributes:
        version: Of the form.
        fits: One a model, kind and target.
    """

    version: int = VERSION
    fits: tuple[Fit, ...] = ()

    def with_fit(self, fit: Fit) -> "Document":
        """Return the document with this fit in place of the last one like it."""
        key = (fit.model, fit.kind, fit.target)
        others = [
            each for each in self.fits if (each.model, each.kind, each.target) != key
        ]
        return Document(fits=(*others, fit))


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """
    What a calibration says of one question.

    Attributes:
        probability: That the answer is right; None when it is uncalibrated.
        method: How it came about.
        signals: The signals that went in.
        reason: Why there is none.
    """

    probability: float | None
    method: str | None = None
    signals: tuple[str, ...] = ()
    reason: str | None = None


def parse(text: str) -> Document:
    """
    Read a document.

    Raises:
        ConfigError: It is none, or of a version that this program does not read.
    """
    try:
        raw: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"is no calibration: not JSON: {error}. {_AGAIN}") from error
    version = raw.get("version") if isinstance(raw, dict) else None  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]
    if version != VERSION:
        raise ConfigError(
            f"is a calibration of version {version!r}; this program reads {VERSION}."
            f" {_AGAIN}"
        )
    try:
        found = Document.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"is no calibration: {place}: {first['msg']}. {_AGAIN}"
        ) from error
    for fit in found.fits:
        for formula in fit.formulas:
            _check(fit, formula)
    return found


def apply(
    document: Document,
    signals: Mapping[str, float],
    *,
    model: str,
    kind: str = ANY_KIND,
    target: Target = "local",
) -> Applied:
    """
    Return the calibrated probability, or why there is none.

    The first formula is taken whose signals are all there: a missing signal is never
    guessed. A calibration of another model says nothing about this one; one for `any`
    kind serves every kind that has none of its own.
    """
    mine = [fit for fit in document.fits if fit.model == model and fit.target == target]
    if not mine:
        others = sorted({fit.model for fit in document.fits if fit.target == target})
        known = f"only for {', '.join(others)}" if others else "none at all"
        return Applied(
            probability=None, reason=f"no calibration for {model!r}, {known}"
        )
    fits = [fit for fit in mine if fit.kind == kind]
    fits += [fit for fit in mine if fit.kind == ANY_KIND and kind != ANY_KIND]
    if not fits:
        return Applied(probability=None, reason=f"no calibration for kind {kind!r}")
    known_signals = {
        name: value for name, value in signals.items() if math.isfinite(value)
    }
    reasons: list[str] = []
    for fit in fits:
        for formula in fit.formulas:
            if known_signals.keys() >= {*formula.signals}:
                return Applied(
                    probability=formula.probability(known_signals),
                    method=formula.method,
                    signals=formula.signals,
                )
        reasons.append(fit.reason or _missing(fit, known_signals))
    return Applied(probability=None, reason=reasons[0])


_AGAIN = "Run `ask-expert calibrate` again."
_CLIP = 0.001


def _missing(fit: Fit, signals: Mapping[str, float]) -> str:
    wanted = {name for formula in fit.formulas for name in formula.signals}
    return f"not measured: {', '.join(sorted(wanted - signals.keys()))}"


def _check(fit: Fit, formula: Formula) -> None:
    """Refuse numbers that cannot be applied."""
    count = len(formula.signals)
    sizes = {len(formula.logit), len(formula.centre), len(formula.spread)}
    sizes.add(len(formula.weights))
    straight = formula.intercept is None
    steps = [x for x, _ in formula.table]
    heights = [y for _, y in formula.table]
    wrong = (
        (straight and (count != 1 or not formula.table))
        or (not straight and sizes != {count})
        or any(each <= 0 for each in formula.spread)
        or steps != sorted(steps)
        or heights != sorted(heights)
        or any(not 0 <= each <= 1 for each in heights)
    )
    if wrong:
        raise ConfigError(
            f"is no calibration: the numbers for {fit.model!r} make no sense. {_AGAIN}"
        )


def _logit(value: float) -> float:
    near = min(1 - _CLIP, max(_CLIP, value))
    return math.log(near / (1 - near))


def _between(table: tuple[tuple[float, float], ...], value: float) -> float:
    """Return the height of a curve: straight between its corners, flat outside."""
    place = bisect_right(table, value, key=lambda corner: corner[0])
    if place == 0:
        return table[0][1]
    if place == len(table):
        return table[-1][1]
    (low, left), (high, right) = table[place - 1], table[place]
    return left + (right - left) * (value - low) / (high - low)
