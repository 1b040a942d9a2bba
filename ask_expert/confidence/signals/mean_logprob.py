"""
Signal: mean log-probability of the answer's tokens.

Source:
    Gupta et al. (2024), "Language Model Cascades", 2404.10136: Chow-Average.
"""

import math
from collections.abc import Sequence

from ask_expert.confidence.sitting import Sitting


async def measure(sitting: Sitting) -> float:
    """Measure it on the model's own greedy answer, in nats a token."""
    return mean(await sitting.logprobs())


def mean(logprobs: Sequence[float]) -> float:
    """Return the mean; of a longer answer no more than of a short one."""
    return math.fsum(logprobs) / len(logprobs)
