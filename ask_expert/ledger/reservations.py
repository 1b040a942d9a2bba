"""
Reserve, settle, release: every movement of money, each in one write transaction.

Reserving writes the try as `sent` in the same commit, before its first byte
leaves; so whatever happens later, the money is counted.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    RowMapping,
    Select,
    and_,
    func,
    insert,
    or_,
    select,
    update,
)

from ask_expert.budget import Cap, Denied, Room, grant, task_key
from ask_expert.errors import LedgerError
from ask_expert.ledger.owner import is_dead
from ask_expert.ledger.records import Granted, QuestionRecord, TryRequest, new_id
from ask_expert.ledger.tables import (
    escalations,
    holds,
    movements,
    questions,
    tries,
    windows,
)

OPEN = ("sent", "unresolved")
"""States in which a try's reservation is still counted."""


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
    shared = [_opened(connection, cap) for cap in request.caps if cap.scope != "call"]
    verdict = grant(
        [*single, *shared],
        want_nusd=request.want_nusd,
        least_nusd=request.least_nusd,
    )
    if isinstance(verdict, Denied):
        return verdict
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
            output_ceiling_tokens=ceiling(verdict),
            asked_model=request.model,
        )
    )
    ids = _open_windows(connection, request, question)
    if ids:
        connection.execute(
            insert(holds), [{"try_id": try_id, "window_id": each} for each in ids]
        )
        _add(connection, ids, reserved=verdict, calls=1)
    _move(connection, try_id, "reserve", verdict, request.sent_us)
    return Granted(try_id=try_id, nusd=verdict)


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
    reserved = _close(connection, try_id, "settled", now_us, columns)
    _add(connection, _held(connection, try_id), reserved=-reserved, spent=cost_nusd)
    _move(connection, try_id, "settle", cost_nusd, now_us)


def release(
    connection: Connection, try_id: str, *, now_us: int, columns: dict[str, object]
) -> None:
    """
    Give a reservation back: surely nothing was billed.

    Raises:
        LedgerError: The try has been settled or released before.
    """
    reserved = _close(connection, try_id, "released", now_us, columns)
    _add(connection, _held(connection, try_id), reserved=-reserved, calls=-1)
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
            .values(status="unavailable")
        )
    return [row.id for row in rows]


def rooms(connection: Connection, caps: Iterable[Cap]) -> list[Room]:
    """Return the running sums of the caps' windows, reading only."""
    found: list[Room] = []
    for cap in caps:
        if cap.scope == "call":  # it bounds each call anew and has no running sum
            found.append(Room(cap=cap))
            continue
        row = _window_row(connection, cap)
        found.append(_room(cap, row) if row else sum_of_tries(connection, cap))
    return found


def _open_windows(
    connection: Connection, request: TryRequest, question: QuestionRecord
) -> Sequence[int]:
    """Return every window that a try of this question falls into."""
    task = task_key(question.caller, question.task)
    own = or_(
        and_(windows.c.scope.not_in(("session", "task")), windows.c.key == ""),
        and_(windows.c.scope == "session", windows.c.key == question.caller.session),
        and_(windows.c.scope == "task", windows.c.key == task),
    )
    found = connection.execute(
        select(windows.c.id).where(
            own,
            windows.c.expert.in_(("", request.expert)),
            windows.c.start_us <= request.sent_us,
            windows.c.end_us > request.sent_us,
        )
    )
    return found.scalars().all()


def _opened(connection: Connection, cap: Cap) -> Room:
    row = _window_row(connection, cap)
    if row is not None:
        return _room(cap, row)
    # A window is opened on first use with the sum of what already fell into it:
    # a budget that is added on the 20th knows what the month has cost so far.
    room = sum_of_tries(connection, cap)
    window_id = connection.execute(
        insert(windows)
        .values(
            scope=cap.scope,
            key=cap.key,
            expert=cap.expert,
            start_us=cap.start_us,
            end_us=cap.end_us,
            spent_nusd=room.spent_nusd,
            reserved_nusd=room.reserved_nusd,
            calls=room.calls,
        )
        .returning(windows.c.id)
    ).scalar_one()
    open_tries = connection.execute(
        _tries_in(cap).with_only_columns(tries.c.id).where(tries.c.state.in_(OPEN))
    ).scalars()
    adopted = [{"try_id": each, "window_id": window_id} for each in open_tries]
    if adopted:
        connection.execute(insert(holds), adopted)
    return room


def _window_row(connection: Connection, cap: Cap) -> RowMapping | None:
    return (
        connection.execute(
            select(windows).where(
                windows.c.scope == cap.scope,
                windows.c.key == cap.key,
                windows.c.expert == cap.expert,
                windows.c.start_us == cap.start_us,
                windows.c.end_us == cap.end_us,
            )
        )
        .mappings()
        .one_or_none()
    )


def _room(cap: Cap, row: RowMapping) -> Room:
    return Room(
        cap=cap,
        spent_nusd=row["spent_nusd"],
        reserved_nusd=row["reserved_nusd"],
        calls=row["calls"],
    )


def _tries_in(cap: Cap) -> Select[*tuple[Any, ...]]:
    """Select the tries that fall into a window, released ones left out."""
    query = (
        select(tries)
        .join(escalations, escalations.c.id == tries.c.escalation_id)
        .join(questions, questions.c.id == escalations.c.question_id)
        .where(
            tries.c.state != "released",
            tries.c.sent_us >= cap.start_us,
            tries.c.sent_us < cap.end_us,
        )
    )
    if cap.expert:
        query = query.where(escalations.c.expert == cap.expert)
    if cap.scope == "session":
        query = query.where(questions.c.session == cap.key)
    if cap.scope == "task":
        user, project, task = cap.key.split("\x1f", 2)
        query = query.where(
            questions.c.user == user,
            questions.c.project == project,
            questions.c.task == task,
        )
    return query


def sum_of_tries(connection: Connection, cap: Cap) -> Room:
    """Return a window's sums from its tries; what its running sums have to equal."""
    held = tries.c.state.in_(OPEN)
    row = connection.execute(
        _tries_in(cap).with_only_columns(
            func.coalesce(func.sum(tries.c.cost_nusd), 0).label("spent"),
            func.coalesce(func.sum(tries.c.reserved_nusd).filter(held), 0).label(
                "reserved"
            ),
            func.count().label("calls"),
        )
    ).one()
    return Room(
        cap=cap,
        spent_nusd=int(row.spent),
        reserved_nusd=int(row.reserved),
        calls=row.calls,
    )


def _held(connection: Connection, try_id: str) -> Sequence[int]:
    return (
        connection.execute(select(holds.c.window_id).where(holds.c.try_id == try_id))
        .scalars()
        .all()
    )


def _add(
    connection: Connection,
    window_ids: Sequence[int],
    *,
    spent: int = 0,
    reserved: int = 0,
    calls: int = 0,
) -> None:
    if not window_ids:
        return
    connection.execute(
        update(windows)
        .where(windows.c.id.in_(window_ids))
        .values(
            spent_nusd=windows.c.spent_nusd + spent,
            reserved_nusd=windows.c.reserved_nusd + reserved,
            calls=windows.c.calls + calls,
        )
    )


def _close(
    connection: Connection,
    try_id: str,
    state: str,
    now_us: int,
    columns: dict[str, object],
) -> int:
    reserved = connection.execute(
        update(tries)
        .where(tries.c.id == try_id, tries.c.state.in_(OPEN))
        .values(state=state, ended_us=now_us, **columns)
        .returning(tries.c.reserved_nusd)
    ).scalar_one_or_none()
    if reserved is None:
        raise LedgerError(f"Try {try_id} has been settled or released before.")
    return reserved


def _move(
    connection: Connection, try_id: str, kind: str, nusd: int, now_us: int
) -> None:
    connection.execute(
        insert(movements).values(try_id=try_id, at_us=now_us, kind=kind, nusd=nusd)
    )
