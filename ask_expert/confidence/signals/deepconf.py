"""
Confidence of groups of tokens, from the tokens' likeliest alternatives.

Source:
    Fu et al. (2025), "Deep Think with Confidence", 2508.15260, section 3.
"""

import math
from collections.abc import Sequence

WINDOW = 2048
"""Tokens of a group; an answer that is shorter is one group."""


def token_confidence(logprobs: Sequence[float]) -> float:
    """Return the mean of the alternatives' log-probabilities, negated: high is peaked."""
    return -math.fsum(logprobs) / len(logprobs)


def lowest_group(
    alternatives: Sequence[Sequence[float]], *, window: int = WINDOW
) -> float:
    """Return the mean confidence of the group of consecutive tokens that has the least."""
    found = [token_confidence(each) for each in alternatives]
    size = min(window, len(found))
    total = math.fsum(found[:size])
    least = total
    for place in range(size, len(found)):
        total += found[place] - found[place - size]
        least = min(least, total)
    return least / size


def tail(alternatives: Sequence[Sequence[float]], *, window: int = WINDOW) -> float:
    """Return the mean confidence of the last tokens."""
    found = [token_confidence(each) for each in alternatives[-window:]]
    return math.fsum(found) / len(found)
