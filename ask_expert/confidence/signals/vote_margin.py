"""Signal: share of the most frequent sampled answer less that of the second."""

from ask_expert.confidence.signals.votes import voted
from ask_expert.confidence.sitting import Sitting


async def measure(sitting: Sitting) -> float:
    """Measure it on the samples of `vote_share`."""
    return (await voted(sitting)).margin
