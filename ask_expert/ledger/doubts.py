"""
What this process began to write and never heard whether it was committed.

A server can be lost between the commit and its confirmation. Whether the rows came
in is looked up behind the write lock, where it cannot change any more, once the
server is back.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, select, update

from ask_expert.errors import LedgerBusyError
from ask_expert.ledger import reservations
from ask_expert.ledger.records import TryRequest
from ask_expert.ledger.summing import OPEN
from ask_expert.ledger.tables import escalations, questions, tries

_NEVER_SENT = "Never sent: the ledger was lost while the money was set aside."


@dataclass(slots=True)
class Doubts:
    """The reservations and the ends of tries that may be on record or not."""

    _reserved: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    _ended: set[str] = field(default_factory=set[str])

    def __bool__(self) -> bool:
        return bool(self._reserved)

    @contextmanager
    def reserving(self, request: TryRequest) -> Generator[None]:
        """Note a reservation as doubtful when the ledger is lost in this block."""
        try:
            yield
        except LedgerBusyError:
            self._reserved.add((request.escalation_id, request.number))
            raise

    @contextmanager
    def ending(self, try_id: str) -> Generator[None]:
        """Note a try's end as doubtful when the ledger is lost in this block."""
        try:
            yield
        except LedgerBusyError:
            self._ended.add(try_id)
            raise
        self._ended.discard(try_id)

    def is_booked(self, connection: Connection, try_id: str) -> bool:
        """
        Return whether a try's doubtful end turns out to be on record.

        One that was reconciled meanwhile has an end, but not this one.
        """
        if try_id not in self._ended:
            return False
        found = connection.execute(
            select(tries.c.state).where(
                tries.c.id == try_id, tries.c.reconciled.is_(None)
            )
        ).scalar_one_or_none()
        return found in {"settled", "released"}

    @contextmanager
    def taken(self) -> Generator[frozenset[tuple[str, int]]]:
        """
        Hand out the doubtful reservations to one transaction, which takes them back.

        Nobody else knows of them meanwhile: one that is asked for anew, and granted,
        must not be taken back by another thread.
        """
        keys = frozenset(self._reserved)
        self._reserved -= keys
        try:
            yield keys
        except BaseException:
            self._reserved |= keys
            raise


def take_back(
    connection: Connection, keys: Iterable[tuple[str, int]], *, now_us: int
) -> None:
    """
    Release the doubtful reservations that turn out to be on record.

    A try that was not granted was not sent, so surely nothing was billed.
    """
    for key in sorted(keys):
        row = _found(connection, key)
        if row is None:
            continue
        reservations.release(
            connection, row.id, now_us=now_us, columns={"error": _NEVER_SENT}
        )
        connection.execute(
            update(questions)
            .where(questions.c.id == row.question_id, questions.c.status == "pending")
            .values(status="unavailable")
        )


def _found(
    connection: Connection, key: tuple[str, int]
) -> Row[*tuple[Any, ...]] | None:
    return connection.execute(
        select(tries.c.id, escalations.c.question_id)
        .join(escalations, escalations.c.id == tries.c.escalation_id)
        .where(
            tries.c.escalation_id == key[0],
            tries.c.number == key[1],
            tries.c.state.in_(OPEN),
        )
    ).one_or_none()
