"""Threads for people: the latest ones as lines, and one as a conversation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Row

from ask_expert.errors import LedgerError
from ask_expert.ledger import threads
from ask_expert.ledger.engine import reading, translated_errors
from ask_expert.ledger.export import moment
from ask_expert.ledger.store import Ledger
from ask_expert.money import show, show_paid, usd, usd_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    One thread in a list.

    Attributes:
        id: Its handle.
        expert: The expert that was asked first, or `local` and the server that began it.
        turns: Questions in it that an expert was asked, or the local system answered.
        cost_nusd: What the settled tries cost.
        counted_nusd: What the open and unresolved ones may cost at most.
        used_us: When its latest question was asked, microseconds since 1970.
        closed_us: When a person closed it; None while it is open.
        by_subscription: A subscription pays for some of the tries.
    """

    id: str
    expert: str
    turns: int
    cost_nusd: int
    counted_nusd: int
    used_us: int
    closed_us: int | None
    by_subscription: bool = False

    def cells(self) -> tuple[str, ...]:
        """Return the line as a table shows it."""
        cost = show_paid(self.cost_nusd, by_subscription=self.by_subscription)
        if self.counted_nusd:
            cost += f" + up to {show(self.counted_nusd)}"
        return (
            self.id,
            self.expert,
            str(self.turns),
            cost,
            _second(self.used_us),
            "open" if self.closed_us is None else "closed",
        )

    def as_json(self) -> dict[str, object]:
        """Return the line as JSON can carry it; dollars as decimal text."""
        return {
            "thread": self.id,
            "expert": self.expert,
            "turns": self.turns,
            "cost_usd": usd_text(self.cost_nusd, by_subscription=self.by_subscription),
            "subscription": self.by_subscription,
            "counted_usd": f"{usd(self.counted_nusd):f}",
            "last_used_at": moment(self.used_us),
            "closed_at": None if self.closed_us is None else moment(self.closed_us),
        }


HEAD = ("thread", "expert", "turns", "cost", "last used", "state")
"""Names of the cells of a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """
    One question of a thread with one expert's answer; texts are masked, as stored.

    Attributes:
        question_id: The question.
        asked_us: When it was asked, microseconds since 1970.
        status: What the agent was told.
        cached_from: The question whose answer was given again.
        expert: The expert asked; None if none was.
        cost_nusd: What its settled tries cost.
        question: What was asked, with all that was sent; None if it is not stored.
        answer: What came back; None if nothing did or it is not stored.
        by_subscription: A subscription pays for the expert.
        local: The local server whose answer it is; None for an expert's.
    """

    question_id: str
    asked_us: int
    status: str
    cached_from: str | None
    expert: str | None
    cost_nusd: int
    question: str | None
    answer: str | None
    by_subscription: bool = False
    local: str | None = None

    def headline(self) -> str:
        """Return the turn's title in one line."""
        paid = show_paid(self.cost_nusd, by_subscription=self.by_subscription)
        asked = f", {self.expert} for {paid}" if self.expert else ""
        asked = f", local {self.local}" if self.local else asked
        repeat = f" (again from {self.cached_from})" if self.cached_from else ""
        return f"{_second(self.asked_us)}  {self.question_id}: {self.status}{repeat}{asked}"

    def as_json(self) -> dict[str, object]:
        """Return the turn as JSON can carry it; dollars as decimal text."""
        return {
            "question_id": self.question_id,
            "asked_at": moment(self.asked_us),
            "status": self.status,
            "cached_from": self.cached_from,
            "expert": self.expert,
            "cost_usd": usd_text(self.cost_nusd, by_subscription=self.by_subscription),
            "subscription": self.by_subscription,
            "question": self.question,
            "answer": self.answer,
            "local": self.local,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """
    One thread in full.

    Attributes:
        thread: Its handle.
        expert: The expert that was asked first.
        closed_us: When a person closed it; None while it is open.
        turns: What was said, oldest first.
    """

    thread: str
    expert: str
    closed_us: int | None
    turns: tuple[Said, ...]

    def as_json(self) -> dict[str, object]:
        """Return the thread as JSON can carry it."""
        return {
            "thread": self.thread,
            "expert": self.expert,
            "closed_at": None if self.closed_us is None else moment(self.closed_us),
            "turns": [each.as_json() for each in self.turns],
        }


def latest(ledger: Ledger, limit: int) -> list[Line]:
    """
    Return the threads, last used first.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        rows = threads.latest(connection, limit)
    return [
        Line(
            id=row.id,
            expert=row.expert,
            turns=row.turns,
            cost_nusd=int(row.cost_nusd),
            counted_nusd=int(row.counted_nusd),
            by_subscription=bool(row.by_plan),
            used_us=row.used_us,
            closed_us=row.closed_us,
        )
        for row in rows
    ]


def in_full(ledger: Ledger, thread: str) -> Conversation:
    """
    Return all that was said in a thread.

    Raises:
        LedgerError: There is no such thread, or the ledger cannot be read.
    """
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        row = threads.one(connection, thread)
        if row is None:
            raise _unknown(thread)
        said = threads.conversation(connection, thread)
    return Conversation(
        thread=row.id,
        expert=row.expert,
        closed_us=row.closed_us,
        turns=tuple(map(_said, said)),
    )


def ending(conversation: Conversation) -> str:
    """Return how a thread stands, as one sentence."""
    if conversation.closed_us is None:
        return f"{conversation.thread} is open."
    return f"{conversation.thread} was closed at {_second(conversation.closed_us)}."


def close(ledger: Ledger, thread: str, *, now_us: int) -> str:
    """
    Close a thread; return what was done, as one sentence.

    Raises:
        LedgerError: There is no such thread, or the ledger cannot be written.
    """
    closed_us = threads.close(ledger, thread, now_us=now_us)
    if closed_us is None:
        raise _unknown(thread)
    if closed_us != now_us:
        return f"{thread} was closed at {_second(closed_us)} already."
    return f"{thread} is closed: a follow-up has to begin a new thread."


def _said(row: Row[*tuple[Any, ...]]) -> Said:
    texts = cast("Mapping[str, str]", row.texts or {})
    return Said(
        question_id=row.id,
        asked_us=row.created_us,
        status=row.status,
        cached_from=row.cached_from,
        expert=row.expert,
        cost_nusd=int(row.cost_nusd or 0),
        by_subscription=bool(row.by_plan),
        question=texts.get("sent") or texts.get("question"),
        answer=row.answer,
        local=row.local,
    )


def _second(us: int) -> str:
    return f"{moment(us)[:19]}Z"


def _unknown(thread: str) -> LedgerError:
    return LedgerError(
        f"There is no thread {thread[:80]!r}; `ask-expert thread list` shows the latest."
    )
