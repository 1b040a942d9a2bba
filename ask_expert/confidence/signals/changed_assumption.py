"""
Signal: whether the answer moves when an assumption of the problem changes.

An answer learnt by heart stays, however often it is sampled.
"""

from ask_expert.confidence import prompts
from ask_expert.confidence.answers.final import without_thoughts
from ask_expert.confidence.sitting import Sitting
from ask_expert.errors import SignalAbsentError


async def measure(sitting: Sitting) -> float:
    """Return 1 if the changed problem gets another answer than the one in question."""
    answer = await sitting.answer()
    text = sitting.problem.text
    changed = await sitting.solve(prompts.change(text, answer))
    other = without_thoughts(changed.text)
    if not changed.finished or other.split() == text.split():
        raise SignalAbsentError("the local model did not change an assumption")
    moved = await sitting.solve(prompts.solve(other))
    return float(not await sitting.same(answer, moved))
