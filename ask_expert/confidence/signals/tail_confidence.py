"""Signal: confidence of the answer's end."""

from ask_expert.confidence.signals import deepconf
from ask_expert.confidence.sitting import Sitting, tops


async def measure(sitting: Sitting) -> float:
    """Measure it on the model's own greedy answer, in nats."""
    return deepconf.tail(tops(await sitting.listed(), least=2))
