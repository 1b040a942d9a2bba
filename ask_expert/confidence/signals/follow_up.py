"""Signal: whether the model, asked to defend the answer step by step, keeps to it."""

from ask_expert.confidence import prompts
from ask_expert.confidence.sitting import Sitting


async def measure(sitting: Sitting) -> float:
    """Return 1 if the defence ends with the answer in question, else 0."""
    answer = await sitting.answer()
    defence = await sitting.solve(prompts.defend(sitting.problem.text, answer))
    return float(await sitting.same(answer, defence))
