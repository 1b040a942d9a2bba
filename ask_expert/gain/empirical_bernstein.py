"""
The empirical-Bernstein confidence sequence: wider than betting, in closed form.

Source:
    Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by
    betting", 2010.09686, theorem 2, with bounds that may differ from score to score.
"""

import math
from collections.abc import Iterator, Sequence

from ask_expert.gain.enough import too_few
from ask_expert.gain.estimate import LEVEL, Share
from ask_expert.gain.observations import Observation, units
from ask_expert.gain.sequence import Bounded, bets, by_sequence, running_scores

METHOD = "empirical-Bernstein confidence sequence"


def bernstein_steps(
    scores: Sequence[Bounded], *, level: float = LEVEL, start: float | None = 0.0
) -> Iterator[tuple[float, float]]:
    """Yield the weighted mean and the half width after each score."""
    weights = weighted = 0.0
    slack = math.log(2 / (1 - level))
    for score, expected, stake in bets(scores, level=level, start=start):
        share = stake * (score.high - score.low)
        miss = (score.value - expected) / (score.high - score.low)
        weights += stake
        weighted += stake * score.value
        slack += miss**2 * (-math.log1p(-share) - share)
        yield weighted / weights, slack / weights


def bernstein_interval(
    scores: Sequence[Bounded],
    *,
    level: float = LEVEL,
    within: tuple[float, float] = (-1.0, 1.0),
    start: float | None = 0.0,
) -> tuple[float, float, float]:
    """
    Return the weighted mean, and the ends that every look up to now agrees on.

    Args:
        scores: In the order of time.
        level: Of the sequence, two-sided.
        within: Where the mean can lie; its middle is the mean of no score.
        start: As in `bets`.
    """
    low, high = within
    middle = (low + high) / 2
    for middle, half in bernstein_steps(scores, level=level, start=start):
        low, high = max(low, middle - half), min(high, middle + half)
    return middle, low, high


def empirical_bernstein(rows: Sequence[Observation], *, level: float = LEVEL) -> Share:
    """
    Return the gain of a hold-out with bounds that hold whenever one looks.

    Raises:
        ValueError: As `units`.
    """
    lacking = too_few(rows, METHOD, level)
    if lacking is not None:
        return lacking
    known = units(rows)
    found = bernstein_interval(running_scores(known), level=level)
    return by_sequence(rows, known, found, METHOD, level=level)
