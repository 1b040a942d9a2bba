"""Signal: whether the problem in other words gets the same answer."""

from ask_expert.confidence import prompts
from ask_expert.confidence.answers.final import without_thoughts
from ask_expert.confidence.sitting import Sitting
from ask_expert.errors import SignalAbsentError


async def measure(sitting: Sitting) -> float:
    """Return 1 if the model's own rewording leads to the answer in question, else 0."""
    answer = await sitting.answer()
    text = sitting.problem.text
    reworded = await sitting.solve(prompts.reword(text, answer))
    other = without_thoughts(reworded.text)
    if not reworded.finished or other.split() == text.split():
        raise SignalAbsentError(
            "the local model did not put the problem into other words"
        )
    return float(await sitting.same(answer, await sitting.solve(prompts.solve(other))))
