"""
Signal: share of sampled answers that agree with the most frequent one.

Source:
    Wang et al. (2022), "Self-Consistency", 2203.11171.
"""

from ask_expert.confidence.signals.votes import voted
from ask_expert.confidence.sitting import Sitting


async def measure(sitting: Sitting) -> float:
    """Measure it on at most `samples` answers; fewer where further ones cannot matter."""
    return (await voted(sitting)).share
