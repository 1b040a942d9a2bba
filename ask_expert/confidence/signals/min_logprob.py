"""Signal: log-probability of the answer's least likely token."""

from ask_expert.confidence.sitting import Sitting


async def measure(sitting: Sitting) -> float:
    """Measure it on the model's own greedy answer, in nats."""
    return min(await sitting.logprobs())
