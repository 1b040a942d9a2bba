"""
A confidence sequence by betting: the values against which no gambler has grown rich.

Source:
    Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by
    betting", 2010.09686, theorem 3, with bounds that may differ from score to score.
"""

import math
from collections.abc import Callable, Sequence

from ask_expert.gain.enough import too_few
from ask_expert.gain.estimate import LEVEL, Share
from ask_expert.gain.observations import Observation, mean, units
from ask_expert.gain.sequence import (
    BET,
    Bet,
    Bounded,
    bets,
    by_sequence,
    running_scores,
)

METHOD = "betting confidence sequence"
_HALVINGS = 50


def wealth(placed: Sequence[Bet], mean_score: float, *, upwards: bool) -> float:
    """
    Return the logarithm of the most that a gambler with 1 has had so far.

    Args:
        placed: The bets, in the order of time.
        mean_score: The mean that is bet against.
        upwards: Whether the bet is that scores lie above it; else below.
    """
    now = most = 0.0
    for score, _, stake in placed:
        room = mean_score - score.low if upwards else score.high - mean_score
        own = min(stake, BET / room) if room > 0 else stake
        gained = score.value - mean_score
        now += math.log1p(own * (gained if upwards else -gained))
        most = max(most, now)
    return most


def betting_interval(
    scores: Sequence[Bounded],
    *,
    level: float = LEVEL,
    within: tuple[float, float] = (-1.0, 1.0),
    start: float | None = 0.0,
) -> tuple[float, float]:
    """
    Return the means that no bet up to now has refuted, at any time.

    The wealth falls as the mean that is bet against rises (and the other way round for
    the other gambler), so that each end is found by halving. The ends may cross.

    Args:
        scores: In the order of time; the bounds of each hold `within`.
        level: Of the sequence, two-sided.
        within: Where the mean can lie.
        start: As in `bets`.
    """
    placed = bets(scores, level=level, start=start)
    rich = math.log(2 / (1 - level))
    low, high = within

    def is_refuted(at: float, *, upwards: bool) -> bool:
        return wealth(placed, at, upwards=upwards) >= rich

    return (
        _end(low, high, lambda at: is_refuted(at, upwards=True)),
        _end(high, low, lambda at: is_refuted(at, upwards=False)),
    )


def _end(refuted: float, kept: float, is_refuted: Callable[[float], bool]) -> float:
    """Return the last refuted value, walking from one border to the other."""
    if not is_refuted(refuted):
        return refuted
    if is_refuted(kept):
        return kept
    for _ in range(_HALVINGS):
        middle = (refuted + kept) / 2
        if is_refuted(middle):
            refuted = middle
        else:
            kept = middle
    return refuted


def betting(rows: Sequence[Observation], *, level: float = LEVEL) -> Share:
    """
    Return the gain of a hold-out with bounds that hold whenever one looks.

    Raises:
        ValueError: As `units`.
    """
    lacking = too_few(rows, METHOD, level)
    if lacking is not None:
        return lacking
    known = units(rows)
    scores = running_scores(known)
    low, high = betting_interval(scores, level=level)
    value = mean([score.value for score in scores])
    return by_sequence(rows, known, (value, low, high), METHOD, level=level)
