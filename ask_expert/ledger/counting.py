"""
The windows of budgets and their running sums.

A window is opened with the sum of what already fell into it, and every try is
counted in every open window that it falls into; so the sums are always the truth.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from ask_expert.budget import Cap, Room, buckets
from ask_expert.ledger.records import QuestionRecord, TryRequest
from ask_expert.ledger.summing import adopt, room_of, sum_of_tries
from ask_expert.ledger.tables import holds, tries, windows
from ask_expert.periods import FOREVER_US
from ask_expert.window_keys import dimensions, possible_keys

_Name = tuple[str, str, str, int, int]
"""A window's scope, key, expert, start and end."""

# Built once: what is built for each question costs more than the database's part.
_ADD: dict[str, Any] = {
    "spent_nusd": windows.c.spent_nusd + bindparam("more_spent"),
    "reserved_nusd": windows.c.reserved_nusd + bindparam("more_reserved"),
    "calls": windows.c.calls + bindparam("more_calls"),
    "tokens": windows.c.tokens + bindparam("more_tokens"),
    "reserved_tokens": windows.c.reserved_tokens + bindparam("more_reserved_tokens"),
}
_HELD: ScalarSelect[int] = (
    select(holds.c.window_id)
    .where(holds.c.try_id == bindparam("held_by"))
    .scalar_subquery()
)
_ADD_WHERE_HELD = update(windows).where(windows.c.id.in_(_HELD)).values(_ADD)
_OPEN_WINDOW = insert(windows).returning(windows.c.id)
_LATEST = select(func.max(tries.c.sent_us))

_SUMS = (
    windows.c.spent_nusd,
    windows.c.reserved_nusd,
    windows.c.calls,
    windows.c.tokens,
    windows.c.reserved_tokens,
)
_NAME = (
    windows.c.scope,
    windows.c.key,
    windows.c.expert,
    windows.c.start_us,
    windows.c.end_us,
)


def rooms(connection: Connection, caps: Iterable[Cap]) -> list[Room]:
    """Return the running sums of the caps' windows, reading only."""
    return look(connection, caps)[0]


def opened(connection: Connection, caps: Iterable[Cap]) -> list[Room]:
    """Return the running sums of the caps' windows; they are open from now on."""
    found, fresh = look(connection, caps)
    open_all(connection, fresh)
    return found


def look(connection: Connection, caps: Iterable[Cap]) -> tuple[list[Room], list[Room]]:
    """
    Return the sums of the caps' windows, and of those of them that are not open yet.

    One that is not open is summed from its tries, and can be opened in the same
    transaction.
    """
    parts = {cap: _parts(cap) for cap in caps}
    rows, latest_us = _rows(connection, parts)
    fresh: dict[_Name, Room] = {}

    def of(name: _Name, part: Cap) -> Sequence[int]:
        row = rows.get(name)
        if row is not None:
            return row[5:10]
        # A soft and a hard budget may share one window, which is opened once.
        if name not in fresh:
            fresh[name] = sum_of_tries(connection, part)
        return _sums(fresh[name])

    found: list[Room] = []
    for cap, own in parts.items():
        sums = [of(*each) for each in own]
        if cap.rolling and latest_us >= cap.end_us:
            sums.append(_sums(_ahead(connection, cap)))
        if sums:
            whole = [sum(each) for each in zip(*sums, strict=True)]
            found.append(room_of(cap, whole))
        else:  # a call's budget bounds each call anew and has no running sum
            found.append(Room(cap=cap))
    return found, [*fresh.values()]


@lru_cache(maxsize=512)
def _parts(cap: Cap) -> tuple[tuple[_Name, Cap], ...]:
    """Return the windows that a cap's sums are in, by name."""
    if cap.scope == "call":
        return ()
    return tuple(
        (_name(each), each) for each in (buckets(cap) if cap.rolling else (cap,))
    )


def _sums(room: Room) -> tuple[int, int, int, int, int]:
    return (
        room.spent_nusd,
        room.reserved_nusd,
        room.calls,
        room.tokens,
        room.reserved_tokens,
    )


def warn(connection: Connection, cap: Cap, *, now_us: int) -> bool:
    """
    Note that people were warned of a full window; return whether nobody was before.

    A rolling budget has warned if it did within the period that ends now.
    """
    opened(connection, [cap])
    parts = _parts(cap)
    rows, _ = _rows(connection, {cap: parts})
    found = [rows[name] for name, _ in parts]
    if any(row.warned_us is not None for row in found):
        return False
    connection.execute(
        update(windows).where(windows.c.id == found[-1].id).values(warned_us=now_us)
    )
    return True


def hold(
    connection: Connection, try_id: str, request: TryRequest, question: QuestionRecord
) -> None:
    """Note that a try is counted in every window that it falls into."""
    pairs = dimensions(question.caller, task=question.task, thread=question.thread)
    keys = possible_keys(pairs)
    given = {f"key{place}": key for place, key in enumerate(keys)}
    connection.execute(
        _hold(len(keys)),
        {
            **given,
            "held_try": try_id,
            "expert": request.expert,
            "sent_us": request.sent_us,
        },
    )


@cache
def _hold(keys: int) -> Any:
    query = select(
        bindparam("held_try", type_=tries.c.id.type, unique=False), windows.c.id
    ).where(
        windows.c.key.in_([bindparam(f"key{place}") for place in range(keys)]),
        windows.c.expert.in_([literal(""), bindparam("expert")]),
        windows.c.start_us <= bindparam("sent_us"),
        windows.c.end_us > bindparam("sent_us"),
    )
    return insert(holds).from_select([holds.c.try_id, holds.c.window_id], query)


def open_all(connection: Connection, fresh: Iterable[Room]) -> None:
    """
    Open windows with the sums that `look` found in this write transaction.

    A window is opened on first use with the sum of what already fell into it: a
    budget that is added on the 20th knows what the month has cost so far.
    """
    for room in fresh:
        cap = room.cap
        window_id = connection.execute(
            _OPEN_WINDOW,
            {
                "scope": cap.scope,
                "key": cap.key,
                "expert": cap.expert,
                "start_us": cap.start_us,
                "end_us": cap.end_us,
                "spent_nusd": room.spent_nusd,
                "reserved_nusd": room.reserved_nusd,
                "calls": room.calls,
                "tokens": room.tokens,
                "reserved_tokens": room.reserved_tokens,
            },
        ).scalar_one()
        if room.calls:
            adopt(connection, cap, window_id)


def _rows(
    connection: Connection, parts: Mapping[Cap, tuple[tuple[_Name, Cap], ...]]
) -> tuple[dict[_Name, Row[*tuple[Any, ...]]], int]:
    """
    Return the rows of those windows that are open, by one query.

    And when the latest try was sent, if a rolling budget is among them; else 0.
    """
    by_scope: dict[str, tuple[set[str], set[str], set[int]]] = {}
    for own in parts.values():
        for (scope, key, expert, start_us, _), _ in own:
            wanted = by_scope.get(scope)
            if wanted is None:
                wanted = by_scope[scope] = (set(), set(), set())
            wanted[0].add(key)
            wanted[1].add(expert)
            wanted[2].add(start_us)
    if not by_scope:
        return {}, 0
    given: dict[str, object] = {}
    for place, (scope, wanted) in enumerate(by_scope.items()):
        given[f"scope{place}"] = scope
        for name, values in zip(_WANTED, wanted, strict=True):
            given.update({f"{name}{place}_{n}": each for n, each in enumerate(values)})
    rolls = any(cap.rolling for cap in parts)
    shape = tuple((len(k), len(x), len(s)) for k, x, s in by_scope.values())
    found = connection.execute(_windows_of(shape, rolls=rolls), given).all()
    latest_us: int | None = 0
    if rolls:
        latest_us = found[0][-1] if found else connection.execute(_LATEST).scalar_one()
    return {tuple(row[:5]): row for row in found}, latest_us or 0


_WANTED = ("key", "expert", "start")


@lru_cache(maxsize=128)
def _windows_of(
    shape: tuple[tuple[int, int, int], ...], *, rolls: bool
) -> Select[*tuple[Any, ...]]:
    """
    Select windows of several scopes; each arm finds its own by the unique index.

    Args:
        shape: Of each scope, how many keys, experts and starts.
        rolls: Whether it has to be known when the latest try was sent.
    """
    columns = (windows.c.key, windows.c.expert, windows.c.start_us)
    arms = [
        and_(
            windows.c.scope == bindparam(f"scope{place}"),
            *(
                column.in_([bindparam(f"{name}{place}_{n}") for n in range(size)])
                for column, name, size in zip(columns, _WANTED, sizes, strict=True)
            ),
        )
        for place, sizes in enumerate(shape)
    ]
    latest = [_LATEST.scalar_subquery().label("latest_us")] if rolls else []
    return select(*_NAME, *_SUMS, windows.c.id, windows.c.warned_us, *latest).where(
        or_(*arms)
    )


def _name(cap: Cap) -> _Name:
    return cap.scope, cap.key, cap.expert, cap.start_us, cap.end_us


def _ahead(connection: Connection, cap: Cap) -> Room:
    """
    Return the sums of what was sent after a rolling budget's last part.

    There is something only where the clock went back; left out, it would be spent
    a second time within one period.
    """
    after = replace(cap, rolling=False, start_us=cap.end_us, end_us=FOREVER_US)
    return sum_of_tries(connection, after)


def add(
    connection: Connection,
    try_id: str,
    *,
    spent: int = 0,
    reserved: int = 0,
    calls: int = 0,
    tokens: int = 0,
    reserved_tokens: int = 0,
) -> None:
    """Change the running sums of the windows that a try is counted in by so much."""
    connection.execute(
        _ADD_WHERE_HELD,
        {
            "held_by": try_id,
            "more_spent": spent,
            "more_reserved": reserved,
            "more_calls": calls,
            "more_tokens": tokens,
            "more_reserved_tokens": reserved_tokens,
        },
    )
