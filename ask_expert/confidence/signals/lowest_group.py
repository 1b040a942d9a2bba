"""Signal: confidence of the least confident stretch of the answer."""

from ask_expert.confidence.signals import deepconf
from ask_expert.confidence.sitting import Sitting, tops


async def measure(sitting: Sitting) -> float:
    """Measure it on the model's own greedy answer, in nats."""
    return deepconf.lowest_group(tops(await sitting.listed(), least=2))
