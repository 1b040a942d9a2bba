"""Copy a ledger into an empty one in another database, and prove that nothing changed."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Table,
    func,
    insert,
    select,
    text,
)

from ask_expert.errors import LedgerError
from ask_expert.ledger import postgres
from ask_expert.ledger.columns import clean
from ask_expert.ledger.engine import translated_errors, writing
from ask_expert.ledger.owner import is_dead
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import metadata, tries

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """
    One table, the same on both sides.

    Attributes:
        table: Its name.
        rows: How many rows it has.
        sums: Sums of its columns of money, in nano-dollars.
        digest: SHA-256 of all its rows, in the order of their keys.
    """

    table: str
    rows: int
    sums: Mapping[str, int]
    digest: str


def move(source: Ledger, target: Ledger, *, now_us: int) -> list[Copied]:
    """
    Copy every row in one transaction, and compare both sides before it is committed.

    The source is read behind its write lock, so that nothing is set aside in it
    meanwhile, and is left as it is.

    Raises:
        LedgerError: A call is in flight, the target is not empty, one of them cannot
            be used, or the copy is not the same; the target then stays empty.
    """
    tables = metadata.sorted_tables
    with translated_errors(source.path), writing(source.engine) as old:
        _refuse_in_flight(old, now_us)
        before = [fingerprint(old, table) for table in tables]
        with translated_errors(target.path), writing(target.engine) as new:
            _refuse_filled(new, target)
            server = new.dialect.name == "postgresql"
            if server:
                postgres.without_limit(new)
            for table in tables:
                _copy(old, new, table)
            if server:
                # Without it, the first questions asked of so many rows take minutes.
                new.exec_driver_sql("ANALYZE")
            after = [fingerprint(new, table) for table in tables]
            _refuse_changed(before, after)
            return after


def fingerprint(connection: Connection, table: Table) -> Copied:
    """Return what tells a table's contents apart from any other's, in any database."""
    money = [
        each.name
        for each in table.c
        if each.name.endswith("_nusd") or each.name == "nusd"
    ]
    sums = dict.fromkeys(money, 0)
    digest = hashlib.sha256()
    rows = 0
    for row in _rows(connection, table):
        rows += 1
        for name in money:
            sums[name] += row[name] or 0
        digest.update(_canonical(row) + b"\n")
    return Copied(table=table.name, rows=rows, sums=sums, digest=digest.hexdigest())


def _rows(connection: Connection, table: Table) -> Any:
    query = select(table).order_by(*table.primary_key.columns)
    return connection.execute(
        query, execution_options={"yield_per": _AT_ONCE}
    ).mappings()


def _canonical(row: Mapping[Any, Any]) -> bytes:
    """Return a row as bytes; texts as they can be stored in any database."""
    return json.dumps(clean(list(row.values()))).encode()


def _copy(old: Connection, new: Connection, table: Table) -> None:
    for batch in _rows(old, table).partitions(_AT_ONCE):
        new.execute(insert(table), [dict(row) for row in batch])
    number = table.autoincrement_column
    if new.dialect.name == "postgresql" and number is not None:
        _count_on(new, table, number.name)


def _count_on(new: Connection, table: Table, column: str) -> None:
    """Let the next row's number follow those that were copied."""
    highest = new.execute(select(func.max(table.c[column]))).scalar_one()
    if highest is not None:
        new.execute(
            text("SELECT setval(pg_get_serial_sequence(:table, :column), :highest)"),
            {"table": table.name, "column": column, "highest": highest},
        )


def _refuse_changed(before: Sequence[Copied], after: Sequence[Copied]) -> None:
    for old, new in zip(before, after, strict=True):
        if old != new:
            raise LedgerError(
                f"The copy of {old.table} is not the same: {old.rows} rows and "
                f"{dict(old.sums)} before, {new.rows} rows and {dict(new.sums)} after. "
                "Nothing was copied."
            )


def _refuse_in_flight(old: Connection, now_us: int) -> None:
    rows = old.execute(
        select(tries.c.id, tries.c.lease_us, tries.c.owner).where(
            tries.c.state == "sent"
        )
    ).all()
    alive = [row for row in rows if row.lease_us >= now_us and not is_dead(row.owner)]
    if alive:
        calls = "1 call is" if len(alive) == 1 else f"{len(alive)} calls are"
        raise LedgerError(
            f"{calls} in flight (try {alive[0].id}): stop the servers that use this "
            "ledger, then move it."
        )


def _refuse_filled(new: Connection, target: Ledger) -> None:
    for table in metadata.sorted_tables:
        if new.execute(select(func.count()).select_from(table)).scalar_one():
            raise LedgerError(
                f"The ledger {target.path} is not empty (it has rows in {table.name}): "
                "a ledger is moved into an empty one only. Use a new database: what a "
                "server wrote that was started on it is never taken out again."
            )
