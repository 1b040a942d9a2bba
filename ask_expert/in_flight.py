"""A call of this process that is on its way, and the booking that may come late."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from ask_expert.experts.desk import Call, Failed, Result

BOOK_PAUSE_S = 2.0
"""Pause between two tries to book an answer in a ledger that is locked, in seconds."""

BOOK_TRIES = 20

MOST_REMEMBERED = 256
"""Answers kept in memory where the ledger keeps no texts."""


@dataclass(slots=True, kw_only=True)
class InFlight:
    """
    One call on its way.

    Attributes:
        call: The question and whom to ask.
        waiting: How many others wait for the same answer.
        done: Set when there is a result.
        result: How it ended; None while it has not.
    """

    call: Call
    waiting: int = 0
    done: anyio.Event = field(default_factory=anyio.Event)
    result: Result | None = None

    @property
    def was_not_recorded(self) -> bool:
        """Whether it ended before anything of it came into the ledger."""
        return isinstance(self.result, Failed) and not self.result.recorded


async def book_later(book: Callable[[], Awaitable[bool]]) -> None:
    """Book an answer once the ledger can be written again; try for a good while."""
    for _ in range(BOOK_TRIES):
        await anyio.sleep(BOOK_PAUSE_S)
        if await book():
            return


class Remembered:
    """
    Answers that are not stored, by question id, while this process lives.

    A question's key leads to its id: no hash of it need be stored for that.
    """

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def add(self, question_id: str, text: str) -> None:
        """Keep an answer; the oldest goes when there are too many."""
        if len(self._texts) >= MOST_REMEMBERED:
            del self._texts[next(iter(self._texts))]
        self._texts[question_id] = text

    def get(self, question_id: str) -> str | None:
        """Return a kept answer."""
        return self._texts.get(question_id)

    def __contains__(self, question_id: str) -> bool:
        return question_id in self._texts
