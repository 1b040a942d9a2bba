"""
The sum of a window's tries: what its running sums begin with, and have to equal.

A sum looks at every try that may be in the window, so it is made once and then kept.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    case,
    func,
    insert,
    literal,
    or_,
    select,
)

from ask_expert.budget import Cap, Room
from ask_expert.ledger.columns import total
from ask_expert.ledger.tables import escalations, holds, questions, tries, windows
from ask_expert.window_keys import pairs_of

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
    # An answer that comes later still does not move what was booked.
    (tries.c.reconciled == "worst_case", BOUND),
    (or_(tries.c.usage_source == "provider", _TOLD > BOUND), _TOLD),
    else_=BOUND,
)
"""Tokens of a settled try: what the provider told, else what was set aside."""


_Shape = tuple[bool, tuple[str, ...], bool]
"""Whether a window is an expert's, what else tells it apart, and of no thread."""

_LONG = 100
"""A sum over so many tries is one that grows with the ledger."""

_INDEXED = {
    "thread": questions.c.thread,
    "task": questions.c.task,
    "session": questions.c.session,
}
"""Whose questions are found without looking at others."""


def _shape(cap: Cap) -> tuple[_Shape, dict[str, object]]:
    """Return the shape of a query for a window's tries, and what it is given."""
    pairs = pairs_of(cap.key)
    given: dict[str, object] = {"start": cap.start_us, "end": cap.end_us, **pairs}
    if cap.expert:
        given["expert"] = cap.expert
    return (bool(cap.expert), tuple(pairs), pairs.get("thread") == ""), given


def tries_in(cap: Cap) -> Select[*tuple[Any, ...]]:
    """Select the tries that fall into a window, released ones left out."""
    shape, given = _shape(cap)
    return _tries_in(shape).params(given)


@cache
def _tries_in(shape: _Shape) -> Select[*tuple[Any, ...]]:
    of_expert, names, of_no_thread = shape
    query = (
        select(tries)
        .join(escalations, escalations.c.id == tries.c.escalation_id)
        .join(questions, questions.c.id == escalations.c.question_id)
        .where(
            tries.c.state != literal("released"),
            tries.c.sent_us >= bindparam("start"),
            tries.c.sent_us < bindparam("end"),
        )
    )
    if of_expert:
        query = query.where(escalations.c.expert == bindparam("expert"))
    for name in names:
        same = questions.c[name] == bindparam(name)
        if name == "thread" and of_no_thread:
            same = or_(same, questions.c.thread.is_(None))
        query = query.where(same)
    return query


def sum_of_tries(connection: Connection, cap: Cap) -> Room:
    """Return a window's sums from its tries; what its running sums have to equal."""
    shape, given = _shape(cap)
    return room_of(cap, connection.execute(_sum_of(shape), given).one())


@cache
def _sum_of(shape: _Shape) -> Select[*tuple[Any, ...]]:
    held = tries.c.state.in_([literal(each) for each in OPEN])
    return _tries_in(shape).with_only_columns(
        total(tries.c.cost_nusd),
        total(tries.c.reserved_nusd, where=held),
        func.count(),
        total(COUNTED, where=tries.c.state == literal("settled")),
        total(BOUND, where=held),
    )


def room_of(cap: Cap, sums: Sequence[int]) -> Room:
    """Return a cap's room from its sums, in the order of a room's attributes."""
    spent, reserved, calls, tokens, reserved_tokens = sums
    return Room(
        cap=cap,
        spent_nusd=spent,
        reserved_nusd=reserved,
        calls=calls,
        tokens=tokens,
        reserved_tokens=reserved_tokens,
    )


def long_sums(connection: Connection, fresh: Iterable[Room]) -> list[Room]:
    """
    Return those windows, of them that are not open, whose sums grow with the ledger.

    The others are of so few tries that to sum them each time costs nothing.
    """
    found: list[Room] = []
    for room in fresh:
        cap, pairs = room.cap, pairs_of(room.cap.key)
        owner = next((name for name in _INDEXED if pairs.get(name)), "")
        given = {"start": cap.start_us, "end": cap.end_us, "owner": pairs.get(owner)}
        many = connection.execute(_first_tries(owner), given).scalar_one()
        if many == _LONG:
            found.append(room)
    return found


@cache
def _first_tries(owner: str) -> Select[int]:
    """Count what a sum looks at, up to where it is long."""
    if owner:
        column = _INDEXED[owner]
        first = select(column.label("x")).where(column == bindparam("owner"))
    else:
        first = select(tries.c.sent_us.label("x")).where(
            tries.c.sent_us >= bindparam("start"), tries.c.sent_us < bindparam("end")
        )
    return select(func.count()).select_from(first.limit(_LONG).subquery())


def adopt(connection: Connection, cap: Cap, window_id: int) -> None:
    """Note that a window that was just opened counts what is on its way."""
    shape, given = _shape(cap)
    connection.execute(_adopt(shape), {**given, "in_window": window_id})


@cache
def _adopt(shape: _Shape) -> Any:
    """Note that a window that is opened counts what is on its way."""
    query = (
        _tries_in(shape)
        .with_only_columns(
            tries.c.id, bindparam("in_window", type_=windows.c.id.type, unique=False)
        )
        .where(tries.c.state.in_([literal(each) for each in OPEN]))
    )
    return insert(holds).from_select([holds.c.try_id, holds.c.window_id], query)
