"""Group answers that are the same, by a kind that is given or detected."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import anyio.to_thread

from ask_expert.confidence.answers import choice, code, free_text, number, short_text
from ask_expert.confidence.answers.final import final
from ask_expert.confidence.answers.free_text import Says

Kind = Literal["number", "choice", "code", "short_text", "free_text"]
"""What an answer is, as far as telling two of them apart goes."""

Key = Callable[[str], str | None]
"""Returns what two same answers share; None for one that cannot be read."""

_KEYS: dict[Kind, Key] = {
    "number": number.key,
    "choice": choice.key,
    "code": code.key,
    "short_text": short_text.key,
}
_SPARE_CHARS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """
    How answers are compared.

    Attributes:
        kind: What they are.
        given: The kind was given; else it was detected.
        behaviour: Key of code by what it does on visible tests; the default reads it.
    """

    kind: Kind
    given: bool
    behaviour: Key | None = None

    async def groups(
        self, replies: Sequence[str | None], says: Says
    ) -> tuple[int | None, ...]:
        """
        Return for each reply the number of its group, in the order of appearance.

        Args:
            replies: None stands for one that broke off.
            says: Judge of free text; unused for the other kinds.

        Returns:
            None for each reply that holds no answer of this kind.
        """
        if self.kind == "free_text":
            return await free_text.groups(replies, says)
        key = _KEYS[self.kind]
        if self.kind == "code" and self.behaviour is not None:
            key = self.behaviour
        # Running code blocks; nothing else takes long, and nothing else is worth a thread.
        keys = [
            None if reply is None else await anyio.to_thread.run_sync(key, reply)
            for reply in replies
        ]
        order = list(dict.fromkeys(each for each in keys if each is not None))
        return tuple(None if each is None else order.index(each) for each in keys)


def detect(question: str, replies: Sequence[str]) -> Kind:
    """
    Return the kind that most of the replies are.

    Options in the question make it a choice, fenced blocks code; then a marked
    number, a few words, and what is left is free text.
    """
    if choice.offers_choices(question) and _most(replies, _is_choice):
        return "choice"
    if _most(replies, _is_code):
        return "code"
    if _most(replies, _is_number):
        return "number"
    if _most(replies, short_text.is_short):
        return "short_text"
    return "free_text"


def _most(replies: Sequence[str], test: Callable[[str], bool]) -> bool:
    return 2 * sum(map(test, replies)) > len(replies)


def _is_choice(reply: str) -> bool:
    return choice.key(reply) is not None


def _is_code(reply: str) -> bool:
    return code.has_block(reply) and code.source(reply) is not None


def _is_number(reply: str) -> bool:
    """Return whether a number, with a unit at most, is the whole final answer."""
    text = final(reply)
    letters = sum(each.isalpha() for each in text)
    few = len(text) <= _SPARE_CHARS and letters <= _SPARE_CHARS // 2
    return few and number.number(reply) is not None
