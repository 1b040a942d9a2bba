"""Signal: how far the likeliest token stands above the next one, on average."""

import math
from collections.abc import Sequence

from ask_expert.confidence.sitting import Sitting, tops


async def measure(sitting: Sitting) -> float:
    """Measure it on the model's own greedy answer, in nats a token."""
    return margin(tops(await sitting.listed(), least=2))


def margin(alternatives: Sequence[Sequence[float]]) -> float:
    """Return the mean of the first log-probability less the second one."""
    gaps: list[float] = []
    for each in alternatives:
        first, second, *_ = sorted(each, reverse=True)
        gaps.append(first - second)
    return math.fsum(gaps) / len(gaps)
