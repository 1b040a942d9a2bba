"""Intervals for what the benchmarks count: a share, and a difference in pairs."""

import math
from collections.abc import Sequence
from random import Random

_Z = 1.959963984540054
_RESAMPLES = 4000


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    if not n:
        return 0.0, 1.0
    p = hits / n
    middle = p + _Z**2 / (2 * n)
    half = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    return (middle - half) / (1 + _Z**2 / n), (middle + half) / (1 + _Z**2 / n)


def paired(
    one: Sequence[float], other: Sequence[float], *, seed: int = 1
) -> tuple[float, float, float]:
    """Return the mean of one minus other, and its 95 % paired bootstrap interval."""
    gaps = [a - b for a, b in zip(one, other, strict=True)]
    rng = Random(seed)  # noqa: S311  # nothing secret hangs on it
    n = len(gaps)
    means = sorted(sum(rng.choices(gaps, k=n)) / n for _ in range(_RESAMPLES))
    low, high = means[int(0.025 * _RESAMPLES)], means[int(0.975 * _RESAMPLES) - 1]
    return sum(gaps) / n, low, high
