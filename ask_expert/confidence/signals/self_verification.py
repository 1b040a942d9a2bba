"""
Signal: share of sampled verdicts that call the answer correct.

Source:
    Madaan et al. (2023), "AutoMix", 2310.12963: eight verdicts at temperature 1.
"""

from collections.abc import Sequence

from ask_expert.confidence import prompts
from ask_expert.confidence.sitting import Sitting
from ask_expert.errors import SignalAbsentError

VERDICTS = 8


async def measure(sitting: Sitting) -> float:
    """Measure it on the agent's draft, else on the model's own greedy answer."""
    turns = prompts.verify(sitting.problem.text, await sitting.answer())
    found = share(await sitting.words(turns, n=VERDICTS, temperature=1.0))
    if found is None:
        raise SignalAbsentError("no verdict says yes or no")
    return found


def share(verdicts: Sequence[bool | None]) -> float | None:
    """Return the share of yes among all; None when none is yes or no."""
    if all(verdict is None for verdict in verdicts):
        return None
    return sum(verdict is True for verdict in verdicts) / len(verdicts)
