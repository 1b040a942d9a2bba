"""A ledger in a SQLite file: durable, and private to its user."""

import os
import sqlite3
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from ask_expert.errors import LedgerError
from ask_expert.ledger.columns import as_json

BUSY_TIMEOUT_MS = 5000
"""How long a writer waits for another one, in milliseconds."""


def new_engine(path: Path) -> Engine:
    """
    Return an engine for a file, created 0600 in a 0700 folder if it is not there.

    WAL and `synchronous=FULL` make every commit survive a power cut.

    Raises:
        LedgerError: The file cannot be created.
    """
    _create_private(path)
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        json_serializer=as_json,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _create_private(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except PermissionError as error:
        if not path.is_file():
            raise LedgerError(
                f"The ledger {path} cannot be created: {error}."
            ) from error
    except OSError as error:
        raise LedgerError(f"The ledger {path} cannot be created: {error}.") from error


def _prepare(connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
    del entry
    # The driver's own BEGIN would start a read transaction, whose upgrade to a
    # write fails at once under contention and ignores the busy timeout.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode != "wal":
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("alone", False):
        writes = options.get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
