"""
Intervals of curves by resampling items, the same items for every ranking.

Differences between two rankings are taken within each resample, so that what both
owe to easy or hard items cancels out (paired).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ask_expert.confidence.calibration.metrics import Floats, Ints
from ask_expert.evaluation.replay.curve import Costs, order

LEAST_RESAMPLES = 2000
FIGURES = ("apgr", "cpt50", "cpt80", "calls_at_95", "cost_at_95")
_NOTHING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """
    A percentile interval.

    Attributes:
        low: Its lower end; None when fewer than nine in ten resamples give a figure.
        high: Its upper end.
    """

    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool | None:
        """Whether zero lies outside; None without an interval."""
        if self.low is None or self.high is None:
            return None
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What is resampled: the outcomes and costs of the items."""

    weak: Floats
    strong: Floats
    costs: Costs
    cluster: Ints
    share: float


def resampled(
    rankings: Mapping[str, Floats], rows: Rows, *, count: int, seed: int
) -> dict[str, dict[str, Floats]]:
    """
    Return each figure of each ranking in each resample.

    Args:
        rankings: Scores by name; the highest are asked first.
        rows: The items; those of one cluster are drawn together.
        count: How many resamples.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    walks = {name: Walk(score, rows) for name, score in rankings.items()}
    found = {
        name: {figure: np.full(count, np.nan) for figure in FIGURES} for name in walks
    }
    many = int(rows.cluster.max()) + 1
    for number in range(count):
        drawn = np.bincount(rng.integers(0, many, many), minlength=many)
        weights = drawn[rows.cluster].astype(np.float64)
        for name, walk in walks.items():
            for figure, value in walk.figures(weights).items():
                found[name][figure][number] = value
    return found


class Walk:
    """One ranking, sorted once, from which every resample's figures are read."""

    def __init__(self, score: Floats, rows: Rows) -> None:
        self._rows, self._ends = order(score)
        self._starts = np.append(0, self._ends[:-1])
        self._alone = len(self._ends) == len(score)
        self._gain = (rows.strong - rows.weak)[self._rows]
        self._cost = rows.costs.strong[self._rows]
        self._weak = rows.weak[self._rows]
        self._weak_cost = rows.costs.weak[self._rows]
        self._share = rows.share

    def figures(self, weights: Floats) -> dict[str, float]:
        """Return the figures with each item counted so often."""
        drawn = weights[self._rows]
        total = float(drawn.sum())
        calls, gained = self._steps(drawn), self._steps(drawn * self._gain)
        reached = np.cumsum(gained)
        gap, weak = float(reached[-1]), float(drawn @ self._weak)
        found = {"apgr": np.nan, "cpt50": np.nan, "cpt80": np.nan}
        if gap > _NOTHING:
            area = float(calls @ (reached - gained / 2))
            found["apgr"] = area / (total * gap)
        asked = np.cumsum(calls)
        for name, part in (("cpt50", 0.5), ("cpt80", 0.8)):
            if gap > _NOTHING:
                found[name] = _first(reached, asked, part * gap) / total
        aim = self._share * (weak + gap) - weak
        found["calls_at_95"] = _first(reached, asked, aim) / total
        paid = np.cumsum(self._steps(drawn * self._cost))
        before = float(drawn @ self._weak_cost)
        found["cost_at_95"] = (before + _first(reached, paid, aim)) / total
        return found

    def _steps(self, values: Floats) -> Floats:
        return values if self._alone else np.add.reduceat(values, self._starts)


def _first(reached: Floats, axis: Floats, aim: float) -> float:
    """Return how far the axis has come where the aim is first reached; NaN if never."""
    if aim <= _NOTHING:
        return 0.0
    over = reached >= aim - 1e-9
    place = int(over.argmax())
    if not over[place]:
        return float("nan")
    low, start = (reached[place - 1], axis[place - 1]) if place else (0.0, 0.0)
    high = reached[place]
    part = min(1.0, (aim - low) / (high - low)) if high > low else 1.0
    return float(start + part * (axis[place] - start))


def interval(values: Floats, *, level: float = 0.95) -> Interval:
    """Return the percentile interval of a figure over the resamples."""
    known = values[np.isfinite(values)]
    if len(known) < 0.9 * len(values):
        return Interval(low=None, high=None)
    tail = (1 - level) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high))
