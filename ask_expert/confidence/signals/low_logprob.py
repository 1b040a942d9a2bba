"""
Signal: a low quantile of the log-probabilities of the answer's tokens.

Source:
    Gupta et al. (2024), "Language Model Cascades", 2404.10136: Chow-Quantile.
"""

import math
from collections.abc import Sequence

from ask_expert.confidence.sitting import Sitting

QUANTILE = 0.1


async def measure(sitting: Sitting) -> float:
    """Measure it on the model's own greedy answer, in nats."""
    return quantile(await sitting.logprobs(), QUANTILE)


def quantile(values: Sequence[float], q: float) -> float:
    """Return the quantile, straight between its two neighbours; q = 0 is the least."""
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
