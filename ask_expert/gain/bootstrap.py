"""
Intervals by resampling tasks: what belongs to one task is drawn together.

Source:
    Efron and Tibshirani (1993), "An introduction to the bootstrap", chapter 13;
    Davison and Hinkley (1997), section 2.4, for drawing clusters.
"""

import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from ask_expert.gain.estimate import LEVEL

DRAWS = 2000
"""Resamples, unless another number is asked for."""

T = TypeVar("T")
Totals = tuple[float, ...]
"""What is summed over the tasks, for one of them."""


class Draws(Protocol):
    """Where chance comes from; `random.Random` is one."""

    def choices(self, population: Sequence[T], /, *, k: int) -> list[T]:
        """Return `k` members, drawn with replacement."""
        ...


def bootstrap(
    tasks: Sequence[Totals],
    statistic: Callable[[Sequence[float]], float],
    rng: Draws,
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
) -> tuple[float, float]:
    """
    Return the percentile interval of a statistic of the sums over tasks.

    Args:
        tasks: The totals of each task, which are resampled.
        statistic: Makes the figure of the summed totals.
        rng: Source of chance; pass a seeded one to reproduce a report.
        level: Of the interval, two-sided.
        draws: How many resamples.

    Raises:
        ValueError: There is no task.
    """
    if not tasks:
        raise ValueError("nothing to resample: there is no task")
    in_order = sorted(tasks)
    found = [
        statistic(sums(rng.choices(in_order, k=len(in_order)))) for _ in range(draws)
    ]
    return percentiles(found, level=level)


def sums(tasks: Sequence[Totals]) -> list[float]:
    """Return the sum of each column."""
    return [math.fsum(column) for column in zip(*tasks, strict=True)]


def percentiles(values: Sequence[float], *, level: float) -> tuple[float, float]:
    """Return the two quantiles that hold `level` of the values, interpolated."""
    ordered = sorted(values)
    tail = (1 - level) / 2
    return _quantile(ordered, tail), _quantile(ordered, 1 - tail)


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
