"""
The windows of budgets and their running sums.

A window is opened with the sum of what already fell into it, and every try is
counted in every open window that it falls into; so the sums are always the truth.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    case,
    func,
    insert,
    or_,
    select,
    update,
)

from ask_expert.budget import Cap, Room, buckets, together
from ask_expert.ledger.columns import total
from ask_expert.ledger.records import QuestionRecord, TryRequest
from ask_expert.ledger.tables import escalations, holds, questions, tries, windows
from ask_expert.periods import FOREVER_US
from ask_expert.window_keys import dimensions, pairs_of, possible_keys

OPEN = ("sent", "unresolved")
"""States in which a try's reservation is still counted."""

BOUND = tries.c.input_bound_tokens + tries.c.output_ceiling_tokens
_TOLD = sum(
    (
        func.coalesce(each, 0)
        for each in (
            tries.c.cache_read_tokens,
            tries.c.cache_write_tokens,
            tries.c.cache_write_long_tokens,
            tries.c.output_tokens,
        )
    ),
    func.coalesce(tries.c.input_tokens, 0),
)
COUNTED: ColumnElement[int] = case(
    (or_(tries.c.usage_source == "provider", _TOLD > BOUND), _TOLD), else_=BOUND
)
"""Tokens of a settled try: what the provider told, else what was set aside."""


def rooms(connection: Connection, caps: Iterable[Cap]) -> list[Room]:
    """Return the running sums of the caps' windows, reading only."""
    return [_seen(connection, cap) for cap in caps]


def _seen(connection: Connection, cap: Cap) -> Room:
    if cap.scope == "call":  # it bounds each call anew and has no running sum
        return Room(cap=cap)
    if cap.rolling:
        parts = [_seen(connection, each) for each in buckets(cap)]
        return together(cap, [*parts, _ahead(connection, cap)])
    row = _window_row(connection, cap)
    return _room(cap, row) if row else sum_of_tries(connection, cap)


def warn(connection: Connection, cap: Cap, *, now_us: int) -> bool:
    """
    Note that people were warned of a full window; return whether nobody was before.

    A rolling budget has warned if it did within the period that ends now.
    """
    opened(connection, cap)
    parts = buckets(cap) if cap.rolling else (cap,)
    rows = [_window_row(connection, each) for each in parts]
    found = [row for row in rows if row is not None]
    if any(row["warned_us"] is not None for row in found):
        return False
    connection.execute(
        update(windows).where(windows.c.id == found[-1]["id"]).values(warned_us=now_us)
    )
    return True


def open_windows(
    connection: Connection, request: TryRequest, question: QuestionRecord
) -> Sequence[int]:
    """Return every window that a try of this question falls into."""
    pairs = dimensions(question.caller, task=question.task, thread=question.thread)
    found = connection.execute(
        select(windows.c.id).where(
            windows.c.key.in_(possible_keys(pairs)),
            windows.c.expert.in_(("", request.expert)),
            windows.c.start_us <= request.sent_us,
            windows.c.end_us > request.sent_us,
        )
    )
    return found.scalars().all()


def opened(connection: Connection, cap: Cap) -> Room:
    """Return the running sums of a cap's window; it is open from now on."""
    if cap.rolling:
        parts = [opened(connection, each) for each in buckets(cap)]
        return together(cap, [*parts, _ahead(connection, cap)])
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
            tokens=room.tokens,
            reserved_tokens=room.reserved_tokens,
        )
        .returning(windows.c.id)
    ).scalar_one()
    open_tries = connection.execute(
        tries_in(cap).with_only_columns(tries.c.id).where(tries.c.state.in_(OPEN))
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
        tokens=row["tokens"],
        reserved_tokens=row["reserved_tokens"],
    )


def _ahead(connection: Connection, cap: Cap) -> Room:
    """
    Return the sums of what was sent after a rolling budget's last part.

    There is something only where the clock went back; left out, it would be spent
    a second time within one period.
    """
    after = replace(cap, rolling=False, start_us=cap.end_us, end_us=FOREVER_US)
    return sum_of_tries(connection, after)


def tries_in(cap: Cap) -> Select[*tuple[Any, ...]]:
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
    for name, value in pairs_of(cap.key).items():
        column = questions.c[name]
        if name == "thread":
            query = query.where(func.coalesce(column, "") == value)
        else:
            query = query.where(column == value)
    return query


def sum_of_tries(connection: Connection, cap: Cap) -> Room:
    """Return a window's sums from its tries; what its running sums have to equal."""
    held = tries.c.state.in_(OPEN)
    row = connection.execute(
        tries_in(cap).with_only_columns(
            total(tries.c.cost_nusd).label("spent"),
            total(tries.c.reserved_nusd, where=held).label("reserved"),
            func.count().label("calls"),
            total(COUNTED, where=tries.c.state == "settled").label("tokens"),
            total(BOUND, where=held).label("reserved_tokens"),
        )
    ).one()
    return Room(
        cap=cap,
        spent_nusd=row.spent,
        reserved_nusd=row.reserved,
        calls=row.calls,
        tokens=row.tokens,
        reserved_tokens=row.reserved_tokens,
    )


def held_by(connection: Connection, try_id: str) -> Sequence[int]:
    """Return the windows that a try was counted in."""
    return (
        connection.execute(select(holds.c.window_id).where(holds.c.try_id == try_id))
        .scalars()
        .all()
    )


def add(
    connection: Connection,
    window_ids: Sequence[int],
    *,
    spent: int = 0,
    reserved: int = 0,
    calls: int = 0,
    tokens: int = 0,
    reserved_tokens: int = 0,
) -> None:
    """Change the running sums of windows by so much."""
    if not window_ids:
        return
    connection.execute(
        update(windows)
        .where(windows.c.id.in_(window_ids))
        .values(
            spent_nusd=windows.c.spent_nusd + spent,
            reserved_nusd=windows.c.reserved_nusd + reserved,
            calls=windows.c.calls + calls,
            tokens=windows.c.tokens + tokens,
            reserved_tokens=windows.c.reserved_tokens + reserved_tokens,
        )
    )
