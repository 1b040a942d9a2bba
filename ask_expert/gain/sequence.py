"""
What confidence sequences read: a bounded score a task, made of what came before it.

Each score is doubly robust: what the arms are expected to solve, by the tasks before,
mended by the task itself. Its bounds and the size of the bet on it are known before
its outcome, which is all that makes the sequences valid whenever one looks. Tasks have
to come in an order that does not hang on their outcomes, and to be alike over time.

Source:
    Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro (2022), "Anytime-valid
    off-policy inference for contextual bandits", 2210.10768.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from ask_expert.gain.estimate import LEVEL, Estimate, Share
from ask_expert.gain.observations import Observation, Unit, evidence

BET = 0.5
"""The most that is bet on a score, as a share of what there is to lose."""

CROSSED = (
    "The ends of the interval have crossed: outcomes have drifted, or this is the one "
    "case in twenty."
)
WHENEVER = "Valid whenever you look."


class Bounded(NamedTuple):
    """A score and the bounds that were known before its outcome."""

    value: float
    low: float
    high: float


class Bet(NamedTuple):
    """A score with what was settled before its outcome: expectation and stake."""

    score: Bounded
    expected: float
    stake: float


def running_scores(known: Sequence[Unit]) -> list[Bounded]:
    """Return the doubly robust score of each task, by the tasks before it."""
    solved = {True: 0.5, False: 0.5}
    count = {True: 1, False: 1}
    found: list[Bounded] = []
    for unit in known:
        one = solved[True] / count[True]
        other = solved[False] / count[False]
        up, down = 1 / unit.propensity, 1 / (1 - unit.propensity)
        base = one - other
        mended = (
            up * (unit.solved - one) if unit.treated else down * (other - unit.solved)
        )
        found.append(
            Bounded(
                base + mended,
                base - max(up * one, down * (1 - other)),
                base + max(up * (1 - one), down * other),
            )
        )
        solved[unit.treated] += unit.solved
        count[unit.treated] += 1
    return found


def bets(
    scores: Sequence[Bounded], *, level: float = LEVEL, start: float | None = None
) -> list[Bet]:
    """
    Return each score with its predictable expectation and stake.

    The stake is sqrt(2 ln(2/a) / (v t ln(1 + t))), where v is the variance so far, in
    units of one over the score; `BET` over the width of the bounds is its most.

    Args:
        scores: In the order of time.
        level: Of the interval, two-sided.
        start: What is expected of the first; None is the middle of its bounds.
    """
    odds = 2 * math.log(2 / (1 - level))
    found: list[Bet] = []
    total = squares = 0.0
    for t, score in enumerate(scores, start=1):
        width = score.high - score.low
        first = (score.low + score.high) / 2 if start is None else start
        expected = min(max((first + total) / t, score.low), score.high)
        variance = (width**2 / 4 + squares) / t
        stake = min(math.sqrt(odds / (variance * t * math.log1p(t))), BET / width)
        found.append(Bet(score, expected, stake))
        total += score.value
        squares += (score.value - (first + total) / (t + 1)) ** 2
    return found


def by_sequence(
    rows: Sequence[Observation],
    known: Sequence[Unit],
    found: tuple[float, float, float],
    method: str,
    *,
    level: float,
) -> Share:
    """
    Return the estimate of a sequence as it stands; none where its ends have crossed.

    Args:
        rows: What was observed.
        known: The tasks of known outcome.
        found: Value, lower and upper end.
        method: Name of the method.
        level: Of the interval, two-sided.
    """
    value, low, high = found
    crossed = low > high
    treated = sum(unit.treated for unit in known)
    return Estimate(
        value=None if crossed else min(max(value, low), high),
        low=None if crossed else low,
        high=None if crossed else high,
        level=level,
        method=method,
        n_treated=treated,
        n_control=len(known) - treated,
        evidence=evidence(rows, "hold_out"),
        note=CROSSED if crossed else WHENEVER,
    )
