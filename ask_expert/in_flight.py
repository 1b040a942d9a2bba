"""Calls of this process that are on their way, and the booking that may come late."""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
import anyio.abc
import anyio.to_thread
import structlog

from ask_expert import intake
from ask_expert.errors import InvalidQuestionError, LedgerError
from ask_expert.experts.consultation import consult
from ask_expert.experts.desk import Call, Desk, Failed, Result, Settled
from ask_expert.house import House
from ask_expert.ledger.leases import UnderWay
from ask_expert.ledger.owner import is_dead, this_process
from ask_expert.ledger.records import Answered
from ask_expert.question import Caller

T = TypeVar("T")
_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

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
        desk: What the consultation works with: its policy and budgets, too.
        waiting: How many others wait for the same answer.
        done: Set when there is a result.
        result: How it ended; None while it has not.
    """

    call: Call
    desk: Desk
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


class Flights:
    """
    Every call of this process that is on its way; each outlives whoever asked.

    Attributes:
        tasks: Where they run; None while there is nobody to wait for them.
        closing: Whether no more are to come.
    """

    def __init__(self, house: House, recent: Remembered) -> None:
        self._house = house
        self._recent = recent
        self._by_id: dict[str, InFlight] = {}
        self._by_key: dict[str, str] = {}
        self._bookings: dict[Callable[[], Awaitable[bool]], anyio.Event] = {}
        self.tasks: anyio.abc.TaskGroup | None = None
        self.closing = False

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, question_id: str) -> bool:
        return question_id in self._by_id

    @property
    def unfinished(self) -> int:
        """How many are on their way, or have landed and are not booked yet."""
        return len(self._by_id) + len(self._bookings)

    def get(self, question_id: str) -> InFlight | None:
        """Return the call for a question."""
        return self._by_id.get(question_id)

    def with_key(self, key: str) -> str | None:
        """Return the question with this key that is on its way."""
        return self._by_key.get(key)

    def work_on(self, standing: Answered) -> bool:
        """Return whether somebody, here or elsewhere, works on a pending question."""
        if standing.owner == this_process():
            return standing.question_id in self._by_id
        alive = standing.lease_us >= self._house.now_us()
        return alive and not is_dead(standing.owner)

    def under_way(self) -> dict[str, UnderWay]:
        """Return the tries of every call, by id."""
        return {
            try_id: each
            for flight in self._by_id.values()
            for try_id, each in flight.call.under_way.items()
        }

    async def standing(self, question_id: str, caller: Caller | None) -> Answered:
        """
        Return where a question stands.

        Raises:
            InvalidQuestionError: This caller has no such question.
        """
        house = self._house
        known = caller and intake.known_caller(house, caller)
        found = await _in_thread(lambda: house.ledger.standing(question_id, known))
        if found is None:
            raise InvalidQuestionError(
                f"There is no question {question_id[:80]!r} here. Use the question_id "
                "that ask_expert returned."
            )
        return found

    async def swept(
        self, question_id: str, caller: Caller | None
    ) -> tuple[Answered, bool]:
        """
        Return where a question stands, and whether somebody works on it.

        What dead processes left is marked first. A call that lands between the two
        looks is looked at once more: it is answered then, and not lost.

        Raises:
            InvalidQuestionError: This caller has no such question.
        """
        house = self._house
        alive_here = frozenset(self.under_way())
        await _in_thread(
            lambda: house.ledger.sweep(now_us=house.now_us(), alive=alive_here)
        )
        standing = await self.standing(question_id, caller)
        alive = self.work_on(standing)
        if standing.status == "pending" and not alive:
            standing = await self.standing(question_id, caller)
        return standing, alive

    async def landed(self) -> None:
        """Wait until none is on its way."""
        while self._by_id:
            await next(iter(self._by_id.values())).done.wait()

    async def booked(self) -> None:
        """Wait until none is on its way, and what landed is booked or given up."""
        while self.unfinished:
            await self.landed()
            if self._bookings:
                await next(iter(self._bookings.values())).wait()

    def launch(self, call: Call, desk: Desk) -> InFlight:
        """Start a consultation that outlives whoever asked."""
        if self.tasks is None:
            raise RuntimeError("use `async with escalator.open():`")
        flight = InFlight(call=call, desk=desk)
        self._by_id[call.question.id] = flight
        self._by_key[call.key] = call.question.id
        self.tasks.start_soon(self._consult, flight)
        return flight

    async def _consult(self, flight: InFlight) -> None:
        call = flight.call
        try:
            flight.result = await consult(flight.desk, call)
            await self._keep(call, flight.result)
        except LedgerError as error:
            flight.result = Failed(reason=str(error), recorded=True)
        except Exception as error:  # noqa: BLE001  # a bug must not end the other calls
            _log.exception("a consultation broke")
            reason = (
                f"An internal error ({type(error).__name__}); see the server's log."
            )
            flight.result = Failed(reason=reason, recorded=True, may_be_billed=True)
            with contextlib.suppress(LedgerError):
                await self._keep(call, flight.result)
        finally:
            del self._by_id[call.question.id]
            self._by_key.pop(call.key, None)
            flight.done.set()

    async def _keep(self, call: Call, result: Result) -> None:
        """Keep what no try of the consultation put on record."""
        house = self._house
        if self.tasks is not None:
            for book in call.unbooked:
                self._bookings[book] = anyio.Event()
                self.tasks.start_soon(self._book, book)
        if isinstance(result, Settled):
            if call.unbooked or not house.stores_texts:
                self._recent.add(call.question.id, result.answer.text)
                self._recent.add(call.key, call.question.id)
        elif isinstance(result, Failed) and result.recorded:
            await _in_thread(
                lambda: house.ledger.end_question(
                    call.question.id, status="unavailable", reason=result.reason
                )
            )

    async def _book(self, book: Callable[[], Awaitable[bool]]) -> None:
        try:
            await book_later(book)
        finally:
            self._bookings.pop(book).set()


async def _in_thread(work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work)
