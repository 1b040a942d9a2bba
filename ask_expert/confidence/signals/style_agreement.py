"""Signal: whether another style of prompt gets the same answer."""

from ask_expert.confidence import prompts
from ask_expert.confidence.sitting import Sitting


async def measure(sitting: Sitting) -> float:
    """Return 1 if working in checked steps leads to the answer in question, else 0."""
    answer = sitting.problem.draft or await sitting.first()
    turns = prompts.solve(sitting.problem.text, style=prompts.STEPS)
    return float(await sitting.same(answer, await sitting.solve(turns)))
