"""Signal: mean entropy of the next token among its likeliest alternatives."""

import math
from collections.abc import Sequence

from ask_expert.confidence.sitting import Sitting, tops


async def measure(sitting: Sitting) -> float:
    """Measure it on the model's own greedy answer, in nats a token."""
    return mean_entropy(tops(await sitting.listed(), least=2))


def mean_entropy(alternatives: Sequence[Sequence[float]]) -> float:
    """
    Return the mean entropy; 0 is sure, log K is clueless.

    What a server tells is cut off at K tokens: they are made to sum up to 1.
    """
    return math.fsum(_entropy(each) for each in alternatives) / len(alternatives)


def _entropy(logprobs: Sequence[float]) -> float:
    weights = [math.exp(each) for each in logprobs]
    total = math.fsum(weights)
    if total == 0:
        return math.log(len(logprobs))
    shares = [weight / total for weight in weights]
    return math.fsum(-share * math.log(share) for share in shares if share > 0)
