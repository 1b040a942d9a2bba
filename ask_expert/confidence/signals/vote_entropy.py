"""
Signal: entropy of the votes of sampled answers.

Source:
    Kuhn et al. (2023), "Semantic Uncertainty", 2302.09664: its discrete form.
"""

from ask_expert.confidence.signals.votes import voted
from ask_expert.confidence.sitting import Sitting


async def measure(sitting: Sitting) -> float:
    """Measure it on the samples of `vote_share`, in nats."""
    return (await voted(sitting)).entropy
