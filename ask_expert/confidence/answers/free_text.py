"""
Answers in many words: the same when each says what the other does.

Source:
    Kuhn et al. (2023), "Semantic Uncertainty", 2302.09664, algorithm 1.
"""

from collections.abc import Awaitable, Callable, Sequence

from ask_expert.confidence.answers.final import without_thoughts

Says = Callable[[str, str], Awaitable[bool]]
"""Judges whether the first answer says all that matters in the second."""


async def groups(replies: Sequence[str | None], says: Says) -> tuple[int | None, ...]:
    """
    Return for each reply the number of its group; None for an empty one.

    A reply joins the first group whose first member says what it says and the other
    way round; texts that are equal to the letter need no judge.
    """
    firsts: list[str] = []
    found: list[int | None] = []
    for reply in replies:
        text = without_thoughts(reply or "")
        found.append(await _group(text, firsts, says) if text else None)
    return tuple(found)


async def _group(text: str, firsts: list[str], says: Says) -> int:
    if text in firsts:
        return firsts.index(text)
    for number, first in enumerate(firsts):
        if await says(first, text) and await says(text, first):
            return number
    firsts.append(text)
    return len(firsts) - 1
