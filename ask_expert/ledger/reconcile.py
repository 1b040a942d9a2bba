"""
What the ledger does for reconciliation: list unresolved tries, claim them, settle them.

A claim is the try's lease, taken over: of many processes that look after one ledger,
one at a time asks the provider; its claim lapses like the lease of a call.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import func, select, update

from ask_expert.ledger import reservations
from ask_expert.ledger.engine import reading, translated_errors, writing
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import escalations, tries

By = Literal["provider", "worst_case"]
"""How an unresolved try was settled: by the provider's own record, or without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unresolved:
    """
    A try of which nobody knows what was billed.

    Attributes:
        try_id: The try.
        question_id: Its question.
        expert: Who was asked.
        request_id: The provider's id of the request, if it was told in time.
        reserved_nusd: What stays counted for it.
        price_source: Where the prices of its worst case are from.
        since_us: Since when it is unresolved, microseconds since 1970.
        lease_us: Until when somebody may still work on it.
    """

    try_id: str
    question_id: str
    expert: str
    request_id: str | None
    reserved_nusd: int
    price_source: str
    since_us: int
    lease_us: int


def unresolved(ledger: Ledger) -> list[Unresolved]:
    """
    Return every unresolved try, oldest first.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    since = func.coalesce(tries.c.ended_us, tries.c.sent_us)
    query = (
        select(
            tries.c.id.label("try_id"),
            escalations.c.question_id,
            escalations.c.expert,
            tries.c.request_id,
            tries.c.reserved_nusd,
            tries.c.price_source,
            since.label("since_us"),
            tries.c.lease_us,
        )
        .join(escalations, escalations.c.id == tries.c.escalation_id)
        .where(tries.c.state == "unresolved")
        .order_by(since, tries.c.id)
    )
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        found = connection.execute(query).mappings().all()
    return [Unresolved(**row) for row in found]


def claim(ledger: Ledger, until_us: Mapping[str, int], *, now_us: int) -> set[str]:
    """
    Claim unresolved tries that nobody works on; return those that are ours now.

    A question that still waits for one of them is ended: a living call would have
    renewed its lease.

    Args:
        ledger: Where they are on record.
        until_us: The tries, each with the time until which nobody else should ask.
        now_us: The present.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    if not until_us:
        return set()
    ours: set[str] = set()
    with translated_errors(ledger.path), writing(ledger.engine) as connection:
        for try_id, until in sorted(until_us.items()):
            escalation_id = connection.execute(
                update(tries)
                .where(
                    tries.c.id == try_id,
                    tries.c.state == "unresolved",
                    tries.c.lease_us < now_us,
                )
                .values(lease_us=until)
                .returning(tries.c.escalation_id)
            ).scalar_one_or_none()
            if escalation_id is None:
                continue
            ours.add(try_id)
            question_id = connection.execute(
                select(escalations.c.question_id).where(
                    escalations.c.id == escalation_id
                )
            ).scalar_one()
            reservations.end_pending(connection, [question_id])
    return ours


def settle(
    ledger: Ledger,
    try_id: str,
    *,
    by: By,
    cost_nusd: int,
    columns: Mapping[str, object],
    now_us: int,
) -> bool:
    """
    Settle an unresolved try in the windows where it was reserved; return whether it was.

    Args:
        ledger: Where it is on record.
        try_id: The try.
        by: Whose word it is.
        cost_nusd: What it cost.
        columns: What else its row keeps, such as the provider's counts.
        now_us: The present.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    with translated_errors(ledger.path), writing(ledger.engine) as connection:
        return reservations.reconcile(
            connection,
            try_id,
            cost_nusd=cost_nusd,
            now_us=now_us,
            columns={**columns, "cost_nusd": cost_nusd, "reconciled": by},
        )
