"""How well a number tells right answers from wrong ones, and how far to believe it."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]

LEVEL = 0.95
"""Of the intervals, unless another is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Auroc:
    """
    Chance that a right answer scores above a wrong one; ties count half.

    Attributes:
        value: In [0, 1]; None when all outcomes are the same.
        low: Lower end of the interval; None without a value.
        high: Upper end of it.
        right: How many outcomes are right.
        wrong: How many are wrong.
    """

    value: float | None
    low: float | None
    high: float | None
    right: int
    wrong: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """
    One line of a reliability table.

    Attributes:
        low: Smallest probability that falls here.
        high: Largest one.
        count: How many outcomes.
        predicted: Their mean probability.
        observed: The share of them that is right.
    """

    low: float
    high: float
    count: int
    predicted: float
    observed: float


def midranks(values: Floats) -> Floats:
    """Return each value's rank from 1; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]


def auroc(
    scores: Floats,
    right: Floats,
    *,
    groups: Sequence[object] | None = None,
    level: float = LEVEL,
) -> Auroc:
    """
    Return the tie-corrected AUROC with a DeLong interval.

    Where outcomes come in groups, such as the questions of one task, the variance is
    taken over the groups: ten reports on one task are not ten pieces of evidence.
    Where every right answer scores above every wrong one the variance is zero and
    would promise certainty; the bound is then that of as many draws without a miss as
    the smaller class (or the number of groups) has.

    Args:
        scores: Higher means surer; finite.
        right: 1 for right, 0 for wrong.
        groups: What each outcome belongs to; None when they are independent.
        level: Of the interval, two-sided.

    Source:
        DeLong, DeLong and Clarke-Pearson (1988); for groups Obuchowski (1997),
        "Nonparametric analysis of clustered ROC curve data".
    """
    is_right = right > 0.5  # noqa: PLR2004  # the border between 0 and 1
    many, few = int(is_right.sum()), int((~is_right).sum())
    if not many or not few:
        return Auroc(value=None, low=None, high=None, right=many, wrong=few)
    ranks = midranks(scores)
    above = (ranks[is_right] - midranks(scores[is_right])) / few
    below = 1.0 - (ranks[~is_right] - midranks(scores[~is_right])) / many
    value = float(above.mean())
    influence = np.empty(len(scores))
    influence[is_right] = (above - value) / many * _bessel(many)
    influence[~is_right] = (below - value) / few * _bessel(few)
    draws = min(many, few)
    if groups is not None:
        influence, found = _by_group(influence, groups)
        draws = min(draws, found)
    half = NormalDist().inv_cdf(0.5 + level / 2) * float(np.sqrt((influence**2).sum()))
    low, high = max(0.0, value - half), min(1.0, value + half)
    miss = ((1 - level) / 2) ** (1 / draws)
    if value >= 1.0:
        low = miss
    if value <= 0.0:
        high = 1 - miss
    return Auroc(value=value, low=low, high=high, right=many, wrong=few)


def _bessel(count: int) -> float:
    return float(np.sqrt(count / (count - 1))) if count > 1 else 1.0


def _by_group(influence: Floats, groups: Sequence[object]) -> tuple[Floats, int]:
    """Return the sums of each group, scaled for their number, and that number."""
    _, index = np.unique(np.array([repr(each) for each in groups]), return_inverse=True)
    sums: Floats = np.bincount(index, weights=influence).astype(np.float64)
    found = len(sums)
    if found == len(influence):
        return influence, found
    return sums * _bessel(found), found


def ece(probabilities: Floats, right: Floats, *, bins: int = 10) -> float:
    """
    Return the expected calibration error over bins of equal width.

    The bins are [0, 1/bins), …, [1 - 1/bins, 1]; empty ones count nothing.

    Source:
        Guo et al. (2017), "On calibration of modern neural networks".
    """
    place = np.clip((probabilities * bins).astype(np.intp), 0, bins - 1)
    return _gap(probabilities, right, place, bins)


def adaptive_ece(probabilities: Floats, right: Floats, *, bins: int = 10) -> float:
    """Return the same over bins of equal count; equal probabilities share a bin."""
    place = _equal_count(probabilities, bins)
    return _gap(probabilities, right, place, bins)


def _equal_count(probabilities: Floats, bins: int) -> Ints:
    first = midranks(probabilities) - 0.5
    share = first * bins / max(len(probabilities), 1)
    return np.clip(share.astype(np.intp), 0, bins - 1)


def _gap(probabilities: Floats, right: Floats, place: Ints, bins: int) -> float:
    if not len(probabilities):
        return float("nan")
    predicted = np.bincount(place, weights=probabilities, minlength=bins)
    observed = np.bincount(place, weights=right, minlength=bins)
    return float(np.abs(predicted - observed).sum() / len(probabilities))


def brier(probabilities: Floats, right: Floats) -> float:
    """Return the mean squared distance between probability and outcome."""
    return float(np.mean((probabilities - right) ** 2))


def reliability(
    probabilities: Floats, right: Floats, *, bins: int = 10
) -> tuple[Bin, ...]:
    """Return the reliability table over bins of equal width; empty ones left out."""
    place = np.clip((probabilities * bins).astype(np.intp), 0, bins - 1)
    rows: list[Bin] = []
    for number in range(bins):
        inside = place == number
        if inside.any():
            rows.append(
                Bin(
                    low=number / bins,
                    high=(number + 1) / bins,
                    count=int(inside.sum()),
                    predicted=float(probabilities[inside].mean()),
                    observed=float(right[inside].mean()),
                )
            )
    return tuple(rows)
