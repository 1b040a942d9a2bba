"""
Count the votes of sampled answers, and tell when further ones cannot matter.

Source:
    Wang et al. (2022), "Self-Consistency", 2203.11171; Aggarwal et al. (2023),
    "Adaptive-Consistency", 2305.11860, the Beta criterion.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

ENOUGH = 0.95
"""Probability of the leader's majority at which sampling stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """
    How the samples voted.

    Attributes:
        groups: For each sample the number of its answer; None where none could be
            read, which counts as a vote for nothing.
    """

    groups: tuple[int | None, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Votes of each answer, most first."""
        found = Counter(each for each in self.groups if each is not None)
        return tuple(sorted(found.values(), reverse=True))

    @property
    def share(self) -> float:
        """Share of the samples that voted for the first answer, in [0, 1]."""
        return self.counts[0] / len(self.groups)

    @property
    def margin(self) -> float:
        """Share of the first answer less that of the second, in [0, 1]."""
        first, second, *_ = (*self.counts, 0)
        return (first - second) / len(self.groups)

    @property
    def entropy(self) -> float:
        """Entropy of the votes in nats; each unreadable sample is an answer of its own."""
        k = len(self.groups)
        unread = k - sum(self.counts)
        shares = [count / k for count in (*self.counts, *(1,) * unread)]
        return math.fsum(-share * math.log(share) for share in shares)


def majority(first: int, second: int) -> float:
    """
    Return P(Beta(first + 1, second + 1) > 1/2): that the leader would keep leading.

    With whole numbers it is a binomial tail: of first + second + 1 coins at most
    `first` show heads.
    """
    coins = first + second + 1
    return sum(math.comb(coins, heads) for heads in range(first + 1)) / 2**coins


def further(counts: Sequence[int], *, left: int) -> int:
    """
    Return how many samples to take next; 0 when further ones cannot matter.

    It is the fewest after which sampling could stop, so that none is taken in vain.

    Args:
        counts: Votes of each answer so far, most first.
        left: How many samples may still be taken.
    """
    first, second, *_ = (*counts, 0, 0)
    if majority(first, second) >= ENOUGH:
        return 0
    return next(
        (more for more in range(1, left) if majority(first + more, second) >= ENOUGH),
        left,
    )
