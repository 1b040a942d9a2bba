"""Open the ledger's database: durable, private to its user, and at our schema version."""

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from ask_expert.errors import LedgerBusyError, LedgerError
from ask_expert.ledger.tables import HEAD

BUSY_TIMEOUT_MS = 5000
"""How long a writer waits for another one, in milliseconds."""

_BUSY_WORDS = ("locked", "busy", "disk is full", "readonly", "read-only", "disk I/O")


def open_engine(path: Path) -> Engine:
    """
    Open or create a SQLite ledger and bring it to our schema version.

    The file is created 0600 in a 0700 folder; WAL and `synchronous=FULL` make
    every commit survive a power cut.

    Raises:
        LedgerBusyError: Locked, read-only or full.
        LedgerError: No database, damaged, or written by a newer version.
    """
    _create_private(path)
    engine = create_engine(URL.create("sqlite", database=str(path)))
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    try:
        with translated_errors(path):
            _bring_to_head(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def writing(engine: Engine) -> Generator[Connection]:
    """Run a block in one write transaction that no other writer can interleave with."""
    with engine.connect() as connection:
        writer = connection.execution_options(writes=True)
        with writer.begin():
            yield writer


@contextmanager
def reading(engine: Engine) -> Generator[Connection]:
    """Run a block on one consistent snapshot."""
    with engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def translated_errors(path: object = "") -> Generator[None]:
    """Turn a database error into one of ours."""
    try:
        yield
    except DBAPIError as error:
        message = f"The ledger {path} cannot be used: {error.orig}."
        if any(word in str(error.orig) for word in _BUSY_WORDS):
            raise LedgerBusyError(message) from error
        raise LedgerError(message) from error


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
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _bring_to_head(engine: Engine) -> None:
    with reading(engine) as connection:
        if _version(connection) == HEAD:
            return
    with writing(engine) as connection:
        # Asked again inside the write lock: another process may have migrated.
        version = _version(connection)
        if version == HEAD:
            return
        if version is not None and version > HEAD:
            raise LedgerError(
                f"This ledger has schema {version}, this program knows {HEAD}: "
                "it was written by a newer ask-expert. Upgrade ask-expert."
            )
        _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415  # 100 ms, needed once in a ledger's life
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
