"""
Who would be sent to the expert first, decided without looking at one's own outcome.

Rows are dealt into folds; what decides on a fold is learnt, weighed and calibrated on
the other folds alone, with folds of their own inside.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ask_expert.confidence.calibration import fit
from ask_expert.confidence.calibration.folds import folds
from ask_expert.confidence.calibration.gate import Gate
from ask_expert.confidence.calibration.libraries import library
from ask_expert.confidence.calibration.metrics import Floats, Ints
from ask_expert.evaluation.replay import learners
from ask_expert.evaluation.replay.learners import Material, Said

INNER_FOLDS = 3
_SHRINK = 20.0
"""The weights of learners are shrunk to equal ones as if by so many further rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """
    What was decided about every row by those who had not seen its outcome.

    Attributes:
        score: Expected gain from asking; the highest are asked first.
        raw: P(local right) before calibration.
        confidence: P(local right), calibrated on other rows.
        expert: P(expert right), likewise.
        fold: The fold of each row.
        learners: Their mean weight in the score, by name.
        gates: What the gate says of each signal over all rows; within a fold the
            decision was made on the other folds' rows alone.
        used_in: In how many folds each signal passed.
    """

    score: Floats
    raw: Floats
    confidence: Floats
    expert: Floats
    fold: Ints
    learners: dict[str, float]
    gates: tuple[Gate, ...]
    used_in: dict[str, int]


def decide(rows: Material, *, count: int, seed: int) -> Decided:
    """
    Decide on every row out of fold.

    Args:
        rows: What may be looked at.
        count: How many folds; fewer where there are fewer items.
        seed: Of the folds and the trees.
    """
    total = len(rows.targets)
    rng = np.random.default_rng(seed)
    fold = folds(rows.cluster, count, rng)
    score = np.zeros(total)
    probabilities = np.tile(rows.targets.mean(axis=0), (total, 1))
    raw = probabilities[:, 0].copy()
    weights = dict.fromkeys(rows.names, 0.0)
    used_in = dict.fromkeys(rows.signals, 0)
    many = int(fold.max()) + 1
    for number in range(many if many > 1 else 0):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        for name in learners.gated(rows, train):
            used_in[name] += 1
        one = _one_fold(rows, train, test, rng=rng, seed=seed)
        score[test], raw[test] = one.score, one.raw
        probabilities[test] = one.probabilities
        for name, weight in one.weights.items():
            weights[name] += weight / many
    everywhere = np.arange(total)
    return Decided(
        score=score,
        raw=raw,
        confidence=probabilities[:, 0],
        expert=probabilities[:, 1],
        fold=fold,
        learners=weights,
        gates=tuple(
            learners.judged(name, values, rows, everywhere)
            for name, values in rows.signals.items()
        ),
        used_in=used_in,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _OneFold:
    score: Floats
    raw: Floats
    probabilities: Floats
    weights: dict[str, float]


def _one_fold(
    rows: Material, train: Ints, test: Ints, *, rng: np.random.Generator, seed: int
) -> _OneFold:
    """Learn on `train` and speak about `test`; inner folds weigh and calibrate."""
    names = rows.names
    inner = folds(rows.cluster[train], INNER_FOLDS, rng)
    seen = {name: _inner(name, rows, train, inner, seed=seed) for name in names}
    new = {name: learners.said(name, rows, train, test, seed=seed) for name in names}
    targets = rows.targets[train]
    gain = targets[:, 1] - targets[:, 0]
    weights = weigh([seen[name].gain for name in names], gain - gain.mean())
    score = np.zeros(len(test))
    for name, weight in zip(names, weights, strict=True):
        score += weight * (new[name].gain - gain.mean())
    columns = [_column(seen, new, targets[:, each], weak=each == 0) for each in (0, 1)]
    return _OneFold(
        score=score,
        raw=columns[0][0],
        probabilities=np.column_stack([column[1] for column in columns]),
        weights=dict(zip(names, weights.tolist(), strict=True)),
    )


def _inner(name: str, rows: Material, train: Ints, inner: Ints, *, seed: int) -> Said:
    """
    Let a learner speak about its own training rows, out of inner folds.

    The mean of the rows it was fitted on is taken off: it moves against the rows left
    out, and would rank whole folds the wrong way round.
    """
    whole = rows.targets[train]
    gain = np.zeros(len(train))
    both: list[Floats | None] = [np.zeros(len(train)), np.zeros(len(train))]
    for number in range(int(inner.max()) + 1):
        out = inner == number
        if out.all():
            continue
        fitted = train[~out]
        one = learners.said(name, rows, fitted, train[out], seed=seed)
        means = rows.targets[fitted].mean(axis=0)
        gain[out] = one.gain - (means[1] - means[0])
        for each, said in enumerate((one.weak, one.strong)):
            known = both[each]
            if said is None or known is None:
                both[each] = None
            else:
                known[out] = said - means[each] + whole[:, each].mean()
    return Said(gain=gain, weak=both[0], strong=both[1])


def _column(
    seen: dict[str, Said], new: dict[str, Said], target: Floats, *, weak: bool
) -> tuple[Floats, Floats]:
    """Return what is expected of one model, before and after calibration."""

    def of(said: Said) -> Floats | None:
        return said.weak if weak else said.strong

    mean = float(target.mean())
    names = [
        name
        for name, said in seen.items()
        if of(said) is not None and of(new[name]) is not None
    ]
    known = [np.asarray(of(seen[name])) - mean for name in names]
    weights = weigh(known, target - mean)
    inside, outside = np.full(len(target), mean), None
    for name, column, weight in zip(names, known, weights, strict=True):
        inside = inside + weight * column
        further = weight * (np.asarray(of(new[name])) - mean)
        outside = further if outside is None else outside + further
    if outside is None:
        outside = np.zeros(len(next(iter(new.values())).gain)) if new else np.zeros(0)
    raw = np.clip(outside + mean, 0.0, 1.0)
    curve = fit.calibrated(np.clip(inside, 0.0, 1.0), target)
    return raw, raw if curve is None else curve(raw)


def weigh(columns: Sequence[Floats], target: Floats) -> Floats:
    """
    Return weights >= 0 of the columns that best make the target, by least squares.

    They are shrunk to equal ones that add up to 1, which is what few rows can tell.
    """
    if not columns:
        return np.zeros(0)
    table = np.column_stack(columns)
    many = table.shape[1]
    pull = np.sqrt(_SHRINK * table.var(axis=0))
    augmented = np.vstack([table, np.diag(pull)])
    aims = np.r_[target, pull / many]
    solution: tuple[Floats, float] = library("scipy.optimize").nnls(augmented, aims)
    return np.asarray(solution[0], dtype=float)
