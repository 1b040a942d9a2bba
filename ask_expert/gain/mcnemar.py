"""
Whether the expert solves more of the same questions, by those where the two differ.

Source:
    McNemar (1947); the exact form is a sign test of the pairs that differ.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ask_expert.gain.observations import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class McNemar:
    """
    The two-by-two table of pairs, and how surprising it is.

    Attributes:
        both: Both answers solve it: the escalation was needless.
        recovered: Only the expert's does: gain.
        harmed: Only the local one does: harm, where the agent took the expert's.
        neither: Neither does: the escalation was in vain.
        p_value: Chance of so uneven a split, or a more uneven one, if the two were
            equally good, in (0, 1]. Pairs of one task count as independent here.
    """

    both: int
    recovered: int
    harmed: int
    neither: int
    p_value: float


def mcnemar(pairs: Iterable[Pair]) -> McNemar:
    """Count the pairs, and test the ones that differ, exactly and two-sided."""
    count = {(e, w): 0 for e in (True, False) for w in (True, False)}
    for pair in pairs:
        count[pair.expert, pair.local] += 1
    recovered, harmed = count[True, False], count[False, True]
    return McNemar(
        both=count[True, True],
        recovered=recovered,
        harmed=harmed,
        neither=count[False, False],
        p_value=sign_test(recovered, harmed),
    )


def sign_test(one: int, other: int) -> float:
    """Return the exact two-sided p-value of so many against so many."""
    coins = one + other
    tail = sum(math.comb(coins, heads) for heads in range(min(one, other) + 1))
    return min(1.0, 2 * tail / 2**coins)
