"""From outcomes and signals to what is kept: the gate, the curves, their errors."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ask_expert.confidence.calibration import gate, metrics
from ask_expert.confidence.calibration.document import (
    ANY_KIND,
    Fit,
    Formula,
    SignalRow,
    Target,
)
from ask_expert.confidence.calibration.fit import (
    LOGISTIC_FROM,
    Curve,
    calibrated,
    cross_fitted,
)
from ask_expert.confidence.calibration.folds import clusters
from ask_expert.confidence.calibration.metrics import Auroc, Bin, Flags, Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """
    Outcomes of one model on one kind of task.

    Attributes:
        model: The local model.
        kind: Kind of task.
        target: Whose answer was right or wrong.
        right: 1 or 0.
        tasks: What each belongs to; outcomes of one task stay in one fold.
        signals: By name; higher means surer; NaN where it was not measured.
        falling: Those that are negated here, since less of them means surer.
    """

    model: str
    kind: str = ANY_KIND
    target: Target = "local"
    right: Floats
    tasks: tuple[str, ...]
    signals: Mapping[str, Floats]
    falling: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """
    A fit, and what can be shown of it.

    Attributes:
        fit: What is kept.
        probabilities: Of the best formula, out of fold; None when uncalibrated.
        right: The outcomes beside them.
        auroc: How well they rank.
        ece: Calibration error `before`, `after` and `adaptive`, where it can be said.
        brier: Mean squared error.
        table: The reliability table.
    """

    fit: Fit
    probabilities: Floats | None = None
    right: Floats | None = None
    auroc: Auroc | None = None
    ece: Mapping[str, float | None]
    brier: float | None = None
    table: tuple[Bin, ...] = ()


def calibrate(
    outcomes: Labelled, *, folds: int, seed: int, fitted_at: str
) -> Calibrated:
    """
    Judge the signals, and fit what the outcomes allow.

    Formulas are the signals that passed, all together and each alone: whichever
    signals a later question has, the best formula that it can feed is applied.

    Args:
        outcomes: What is known.
        folds: How many folds the errors are taken over.
        seed: Of the folds.
        fitted_at: The moment to keep with it, ISO 8601.
    """
    gates = [_judged(outcomes, name) for name in outcomes.signals]
    used = [each for each in gates if each.used]
    used.sort(key=lambda each: each.auroc.value or 0.0, reverse=True)
    names = [each.signal for each in used]
    sets = [names, *([name] for name in names)] if len(names) > 1 else [names]
    fitted = [
        found
        for chosen in sets
        if chosen and (found := _formula(outcomes, chosen, folds=folds, seed=seed))
    ]
    formulas = [formula for formula, _, _ in fitted]
    if outcomes.target == "expert" and len(outcomes.right) >= LOGISTIC_FROM:
        formulas.append(_base_rate(outcomes.right))
    fit = Fit(
        model=outcomes.model,
        kind=outcomes.kind,
        target=outcomes.target,
        outcomes=len(outcomes.right),
        right=int(outcomes.right.sum()),
        folds=folds,
        seed=seed,
        fitted_at=fitted_at,
        inputs=fingerprint(outcomes),
        signals=tuple(_kept(each) for each in gates),
        formulas=tuple(formulas),
        reason=None if formulas else _why_not(outcomes, names),
    )
    if not fitted:
        return Calibrated(fit=fit, ece={})
    return _shown(fit, outcomes, *fitted[0])


def _judged(outcomes: Labelled, name: str) -> gate.Gate:
    values = outcomes.signals[name]
    there = np.isfinite(values)
    tasks = [
        task
        for task, known in zip(outcomes.tasks, there.tolist(), strict=True)
        if known
    ]
    return gate.judge(name, values[there], outcomes.right[there], groups=tasks)


def _formula(
    outcomes: Labelled, names: Sequence[str], *, folds: int, seed: int
) -> tuple[Formula, Floats, Floats] | None:
    """Return a formula, its probabilities out of fold, and the outcomes beside them."""
    values = np.column_stack([outcomes.signals[name] for name in names])
    there: Flags = np.isfinite(values.sum(axis=1))
    values, right = values[there], outcomes.right[there]
    curve = calibrated(values, right)
    if curve is None:
        return None
    tasks = [
        task
        for task, known in zip(outcomes.tasks, there.tolist(), strict=True)
        if known
    ]
    out = cross_fitted(values, right, clusters(tasks), folds=folds, seed=seed)
    if out is None:
        return None
    formula = _as_formula(curve, names).model_copy(
        update={
            "falling": tuple(each for each in names if each in outcomes.falling),
            "ece": metrics.ece(out, right),
            "brier": metrics.brier(out, right),
            "auroc": metrics.auroc(out, right).value,
        }
    )
    return formula, out, right


def _as_formula(curve: Curve, names: Sequence[str]) -> Formula:
    line = curve.line
    if line is None:
        return Formula(
            method=curve.method, signals=tuple(names), table=curve.table or ()
        )
    return Formula(
        method=curve.method,
        signals=tuple(names),
        logit=line.logit,
        centre=line.centre,
        spread=line.spread,
        weights=line.weights,
        intercept=line.intercept,
        table=curve.table or (),
    )


def _base_rate(right: Floats) -> Formula:
    """How often the expert is right, whatever the signals say: better than no number."""
    rate = (float(right.sum()) + 0.5) / (len(right) + 1)
    return Formula(
        method="base rate", signals=(), intercept=float(np.log(rate / (1 - rate)))
    )


def _kept(each: gate.Gate) -> SignalRow:
    return SignalRow(
        name=each.signal,
        outcomes=each.count,
        auroc=each.auroc.value,
        low=each.auroc.low,
        high=each.auroc.high,
        used=each.used,
        reason=each.reason,
    )


def _why_not(outcomes: Labelled, names: Sequence[str]) -> str:
    count = len(outcomes.right)
    if count < LOGISTIC_FROM:
        return f"{count} outcomes; {LOGISTIC_FROM - count} more are needed"
    if len(set(outcomes.right.tolist())) == 1:
        return f"all {count} outcomes are {'right' if outcomes.right[0] else 'wrong'}"
    if not outcomes.signals:
        return "no signal was measured"
    if not names:
        return "no signal ranks better than chance"
    return f"fewer than {LOGISTIC_FROM} outcomes in every fold have the signals"


def _shown(
    fit: Fit, outcomes: Labelled, formula: Formula, out: Floats, right: Floats
) -> Calibrated:
    return Calibrated(
        fit=fit,
        probabilities=out,
        right=right,
        auroc=metrics.auroc(out, right),
        ece={
            "before": _before(outcomes, formula),
            "after": metrics.ece(out, right),
            "adaptive": metrics.adaptive_ece(out, right),
        },
        brier=metrics.brier(out, right),
        table=metrics.reliability(out, right),
    )


def _before(outcomes: Labelled, formula: Formula) -> float | None:
    """Return the error of the best signal taken at its word; None if it is no share."""
    values = outcomes.signals[formula.signals[0]]
    there = np.isfinite(values)
    values = values[there]
    if not len(values) or values.min() < 0 or values.max() > 1:
        return None
    return metrics.ece(values, outcomes.right[there])


def fingerprint(outcomes: Labelled) -> str:
    """Return a hash of everything that was fitted on."""
    digest = hashlib.sha256()
    digest.update(np.ascontiguousarray(outcomes.right, dtype="<f8").tobytes())
    for name in sorted(outcomes.signals):
        digest.update(f"\0{name}\0".encode())
        values = np.ascontiguousarray(outcomes.signals[name], dtype="<f8")
        digest.update(values.tobytes())
    return digest.hexdigest()
