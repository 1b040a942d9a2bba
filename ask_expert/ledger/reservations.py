"""
Reserve, settle, release: every movement of money, each in one write transaction.

Reserving writes the try as `sent` in the same commit, before its first byte
leaves; so whatever happens later, the money is counted.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Row, case, insert, select, update

from ask_expert.budget import Denied, Room, grant, most_output
from ask_expert.errors import LedgerError
from ask_expert.ledger.counting import (
    BOUND,
    COUNTED,
    OPEN,
    add,
    held_by,
    open_windows,
    opened,
)
from ask_expert.ledger.owner import is_dead
from ask_expert.ledger.records import Granted, QuestionRecord, TryRequest, new_id
from ask_expert.ledger.tables import escalations, holds, movements, questions, tries
from ask_expert.reply import REFUSALS


def reserve(
    connection: Connection,
    request: TryRequest,
    *,
    question: QuestionRecord,
    ceiling: Callable[[int], int],
) -> Granted | Denied:
    """
    Set money aside in every window of `request.caps`, or in none.

    It is counted in every window that is open for the try, also in those of
    budgets that another policy or time zone set: whoever asks next under that
    policy finds its sums right.

    The escalation's row must exist. The try is written as `sent`, with the
    output ceiling that the money set aside pays for.
    """
    single = [Room(cap=cap) for cap in request.caps if cap.scope == "call"]
    shared = [opened(connection, cap) for cap in request.caps if cap.scope != "call"]
    verdict = grant(
        [*single, *shared],
        want_nusd=request.want_nusd,
        least_nusd=request.least_nusd,
        least_tokens=request.input_bound_tokens + request.least_output_tokens,
        approved=request.approved,
    )
    if isinstance(verdict, Denied):
        return verdict
    output_tokens = ceiling(verdict)
    most = most_output(
        [*single, *shared],
        input_tokens=request.input_bound_tokens,
        approved=request.approved,
    )
    if most is not None:
        output_tokens = min(output_tokens, most)
    try_id = new_id("y")
    connection.execute(
        insert(tries).values(
            id=try_id,
            escalation_id=request.escalation_id,
            number=request.number,
            state="sent",
            sent_us=request.sent_us,
            lease_us=request.lease_us,
            owner=request.owner,
            reserved_nusd=verdict,
            price_source=request.price_source,
            input_bound_tokens=request.input_bound_tokens,
            output_ceiling_tokens=output_tokens,
            asked_model=request.model,
        )
    )
    ids = open_windows(connection, request, question)
    if ids:
        connection.execute(
            insert(holds), [{"try_id": try_id, "window_id": each} for each in ids]
        )
        bound = request.input_bound_tokens + output_tokens
        add(connection, ids, reserved=verdict, calls=1, reserved_tokens=bound)
    _move(connection, try_id, "reserve", verdict, request.sent_us)
    return Granted(try_id=try_id, nusd=verdict, output_tokens=output_tokens)


def settle(
    connection: Connection,
    try_id: str,
    *,
    cost_nusd: int,
    now_us: int,
    columns: dict[str, object],
) -> None:
    """
    Turn a reservation into its actual cost, in the windows where it was made.

    Raises:
        LedgerError: The try has been settled or released before.
    """
    closed = _close(connection, try_id, "settled", now_us, columns)
    add(
        connection,
        held_by(connection, try_id),
        reserved=-closed.reserved_nusd,
        spent=cost_nusd,
        reserved_tokens=-closed.bound,
        tokens=closed.counted,
    )
    _move(connection, try_id, "settle", cost_nusd, now_us)


def release(
    connection: Connection, try_id: str, *, now_us: int, columns: dict[str, object]
) -> None:
    """
    Give a reservation back: surely nothing was billed.

    Raises:
        LedgerError: The try has been settled or released before.
    """
    closed = _close(connection, try_id, "released", now_us, columns)
    reserved = closed.reserved_nusd
    add(
        connection,
        held_by(connection, try_id),
        reserved=-reserved,
        calls=-1,
        reserved_tokens=-closed.bound,
    )
    _move(connection, try_id, "release", reserved, now_us)


def leave_unresolved(
    connection: Connection, try_id: str, *, now_us: int, columns: dict[str, object]
) -> None:
    """Mark a try whose fate is unknown; its reservation stays counted in full."""
    connection.execute(
        update(tries)
        .where(tries.c.id == try_id, tries.c.state == "sent")
        .values(state="unresolved", ended_us=now_us, **columns)
    )


def lost(connection: Connection, *, now_us: int) -> list[Row[*tuple[Any, ...]]]:
    """Return (try id, question id, lease) of what a dead process left behind."""
    rows = connection.execute(
        select(tries.c.id, escalations.c.question_id, tries.c.lease_us, tries.c.owner)
        .join(escalations, escalations.c.id == tries.c.escalation_id)
        .where(tries.c.state == "sent")
    ).all()
    return [row for row in rows if row.lease_us < now_us or is_dead(row.owner)]


def sweep(connection: Connection, *, now_us: int) -> list[str]:
    """Mark as unresolved what a dead owner or a lapsed lease left behind."""
    rows = lost(connection, now_us=now_us)
    for row in rows:
        why = "its process ended" if row.lease_us >= now_us else "its lease lapsed"
        leave_unresolved(
            connection, row.id, now_us=now_us, columns={"error": f"Unresolved: {why}."}
        )
        connection.execute(
            update(questions)
            .where(questions.c.id == row.question_id, questions.c.status == "pending")
            .values(status=case((_has_answer, "answered"), else_="unavailable"))
        )
    return [row.id for row in rows]


_has_answer = (
    select(escalations.c.id)
    .where(
        escalations.c.question_id == questions.c.id,
        escalations.c.finish.is_not(None),
        escalations.c.finish.not_in(REFUSALS),
    )
    .correlate(questions)
    .exists()
)
"""One of a panel answered before the process died: that is an answer, too."""


def _close(
    connection: Connection,
    try_id: str,
    state: str,
    now_us: int,
    columns: dict[str, object],
) -> Row[*tuple[Any, ...]]:
    closed = connection.execute(
        update(tries)
        .where(tries.c.id == try_id, tries.c.state.in_(OPEN))
        .values(state=state, ended_us=now_us, **columns)
        .returning(
            tries.c.reserved_nusd, BOUND.label("bound"), COUNTED.label("counted")
        )
    ).one_or_none()
    if closed is None:
        raise LedgerError(f"Try {try_id} has been settled or released before.")
    return closed


def _move(
    connection: Connection, try_id: str, kind: str, nusd: int, now_us: int
) -> None:
    connection.execute(
        insert(movements).values(try_id=try_id, at_us=now_us, kind=kind, nusd=nusd)
    )
