"""Signal: whether another local model gives the same answer."""

from ask_expert.confidence import prompts
from ask_expert.confidence.sitting import Sitting


async def measure(sitting: Sitting) -> float:
    """Return 1 if the second model's answer is the one in question, else 0."""
    answer = sitting.problem.draft or await sitting.first()
    turns = prompts.solve(sitting.problem.text)
    return float(await sitting.same(answer, await sitting.solve(turns, other=True)))
