"""
Prove that every sum in the ledger follows from its movements, or say what does not.

Movements are append-only, so they are the truth: a try's state and cost have to
match them, and a window's running sums have to match its tries.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    case,
    func,
    or_,
    select,
)

from ask_expert.budget import Cap
from ask_expert.ledger.engine import reading, translated_errors
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.summing import OPEN, sum_of_tries, tries_in
from ask_expert.ledger.tables import holds, metadata, movements, tries, windows
from ask_expert.money import usd

Sums = tuple[int, int, int, int, int]
"""Spent, set aside, calls, tokens, tokens set aside."""

_MOST = 1000
"""Findings of one kind that are listed; a damaged table has one a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    One thing that is not as it has to be.

    Attributes:
        what: What is wrong, as one sentence.
        repair: What a repair does about it; None is nothing.
    """

    what: str
    repair: str | None = None


def check(ledger: Ledger) -> list[Finding]:
    """
    Return everything that is wrong, on one snapshot; nothing is written.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        return findings(connection)


def findings(connection: Connection) -> list[Finding]:
    """
    Return everything that is wrong, as one transaction sees it.

    In a damaged file nothing else is looked for: what is read there may be anything.
    """
    damage = list(_file(connection))
    return damage or [
        *_orphans(connection),
        *_movements(connection),
        *_states(connection),
        *_windows(connection),
    ]


def _file(connection: Connection) -> Iterator[Finding]:
    """Ask SQLite about its own file; PostgreSQL checks its pages as it reads them."""
    if connection.dialect.name != "sqlite":
        return
    query = f"PRAGMA integrity_check({_MOST})"
    for said in connection.exec_driver_sql(query).scalars():
        if said != "ok":
            yield Finding(what=f"The file is damaged: {said}.")


def _orphans(connection: Connection) -> Iterator[Finding]:
    """Find rows that belong to a row that is not there."""
    for table in metadata.sorted_tables:
        for key in table.foreign_keys:
            target = key.column
            other = target.table.alias()
            lonely = (
                select(key.parent)
                .join(other, other.c[target.name] == key.parent, isouter=True)
                .where(key.parent.is_not(None), other.c[target.name].is_(None))
                .limit(_MOST)
            )
            for name in connection.execute(lonely).scalars():
                yield Finding(
                    what=f"A row of {table.name} belongs to {target.table.name} "
                    f"{name}, which is not there."
                )


def _movements(connection: Connection) -> Iterator[Finding]:
    """Find tries without exactly one reservation, or with more than one end."""
    reserves = func.count().filter(movements.c.kind == "reserve")
    ends = func.count().filter(movements.c.kind != "reserve")
    counted = (
        select(movements.c.try_id, reserves.label("reserves"), ends.label("ends"))
        .group_by(movements.c.try_id)
        .subquery()
    )
    query = (
        select(tries.c.id, counted.c.reserves, counted.c.ends)
        .join(counted, counted.c.try_id == tries.c.id, isouter=True)
        .where(
            or_(
                counted.c.reserves.is_(None),
                counted.c.reserves != 1,
                counted.c.ends > 1,
            )
        )
        .order_by(tries.c.id)
        .limit(_MOST)
    )
    for row in connection.execute(query):
        yield Finding(
            what=f"Try {row.id} has {row.reserves or 0} reservations and "
            f"{row.ends or 0} ends; it has to have one, and at most one."
        )


_reserve = movements.alias("reserve")
_end = movements.alias("ended")
_TRUE_STATE: ColumnElement[str] = case(
    (_end.c.kind == "settle", "settled"),
    (_end.c.kind == "release", "released"),
    (tries.c.state.in_(OPEN), tries.c.state),
    else_="unresolved",
)
_TRUE_COST: ColumnElement[int] = case((_end.c.kind == "settle", _end.c.nusd))


def wrong_tries() -> Any:
    """Select the tries that do not match their movements, with what would match."""
    return (
        select(
            tries.c.id,
            tries.c.state,
            tries.c.cost_nusd,
            tries.c.reserved_nusd,
            _TRUE_STATE.label("true_state"),
            _TRUE_COST.label("true_cost"),
            _reserve.c.nusd.label("true_reserved"),
        )
        .join(
            _reserve,
            and_(_reserve.c.try_id == tries.c.id, _reserve.c.kind == "reserve"),
        )
        .join(
            _end,
            and_(_end.c.try_id == tries.c.id, _end.c.kind != "reserve"),
            isouter=True,
        )
        .where(
            or_(
                tries.c.state != _TRUE_STATE,
                tries.c.cost_nusd.is_distinct_from(_TRUE_COST),
                tries.c.reserved_nusd != _reserve.c.nusd,
            )
        )
        .order_by(tries.c.id)
    )


def _states(connection: Connection) -> Iterator[Finding]:
    """Find tries whose state or amounts are not those of their movements."""
    for row in connection.execute(wrong_tries().limit(_MOST)):
        is_ = f"{row.state}, {_money(row.reserved_nusd)} set aside"
        has = f"{row.true_state}, {_money(row.true_reserved)} set aside"
        yield Finding(
            what=f"Try {row.id} is {is_}, cost {_money(row.cost_nusd)}; "
            f"its movements say {has}, cost {_money(row.true_cost)}.",
            repair="it becomes what its movements say",
        )


def _windows(connection: Connection) -> Iterator[Finding]:
    """Find windows whose running sums or holds are not those of their tries."""
    for row, cap in every_window(connection):
        name = f"Window {row.id} ({cap.scope} {_plain(cap.key)}".rstrip() + ")"
        sums = (
            row.spent_nusd,
            row.reserved_nusd,
            row.calls,
            row.tokens,
            row.reserved_tokens,
        )
        wanted = truth(connection, cap)
        if sums != wanted:
            yield Finding(
                what=f"{name} says {_sums(sums)}; its tries say {_sums(wanted)}.",
                repair="its sums become those of its tries",
            )
        if min(sums) < 0:
            yield Finding(what=f"{name} holds a negative sum: {_sums(sums)}.")
        missing, foreign = misheld(connection, row.id, cap)
        for try_id in missing:
            yield Finding(
                what=f"{name} would miss how try {try_id} ends.",
                repair="the try is held in it",
            )
        for try_id in foreign:
            yield Finding(
                what=f"{name} holds try {try_id}, which does not fall into it.",
                repair="the hold is removed",
            )


def every_window(
    connection: Connection,
) -> Iterator[tuple[Row[*tuple[Any, ...]], Cap]]:
    """Yield every window's row, and the window as a budget names it."""
    for row in connection.execute(select(windows).order_by(windows.c.id)).all():
        cap = Cap(
            scope=row.scope,
            key=row.key,
            expert=row.expert,
            start_us=row.start_us,
            end_us=row.end_us,
        )
        yield row, cap


def truth(connection: Connection, cap: Cap) -> Sums:
    """Return what a window's tries add up to."""
    room = sum_of_tries(connection, cap)
    return (
        room.spent_nusd,
        room.reserved_nusd,
        room.calls,
        room.tokens,
        room.reserved_tokens,
    )


def misheld(
    connection: Connection, window_id: int, cap: Cap
) -> tuple[Sequence[str], Sequence[str]]:
    """Return the open tries that the window lacks, and those it has beyond its own."""
    open_ = tries.c.state.in_(OPEN)
    own = connection.execute(
        tries_in(cap).with_only_columns(tries.c.id).where(open_)
    ).scalars()
    held = connection.execute(
        select(holds.c.try_id)
        .join(tries, tries.c.id == holds.c.try_id)
        .where(holds.c.window_id == window_id, open_)
    ).scalars()
    wanted, there = set(own), set(held)
    return sorted(wanted - there), sorted(there - wanted)


def _sums(sums: Sums) -> str:
    spent, reserved, calls, tokens, reserved_tokens = sums
    return (
        f"{_money(spent)} spent, {_money(reserved)} set aside, {calls} calls, "
        f"{tokens} tokens, {reserved_tokens} tokens set aside"
    )


def _money(nusd: int | None) -> str:
    return "nothing" if nusd is None else f"${usd(nusd):f}"


def _plain(key: str) -> str:
    return key.replace("\x1f", " / ")
