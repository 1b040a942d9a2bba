"""Open the ledger's database and bring it to our schema version."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionError

from ask_expert.errors import LedgerBusyError, LedgerError
from ask_expert.ledger import postgres, sqlite
from ask_expert.ledger.tables import HEAD
from ask_expert.ledger_address import Where, is_server, shown

_BUSY_WORDS = ("locked", "busy", "disk is full", "readonly", "read-only", "disk I/O")
"""What SQLite says when a later try may succeed."""

_BUSY_CODES = ("08", "25006", "25P03", "40", "53", "55P03", "57")
"""Beginnings of the SQLSTATEs of PostgreSQL after which a later try may succeed."""

_NO_ENTRY = ("authentication", "password", "does not exist", "pg_hba", "role")
"""What PostgreSQL says when it will not let us in however often we try."""


def open_engine(where: Where) -> Engine:
    """
    Open or create a ledger and bring it to our schema version.

    Raises:
        ConfigError: A server's address is wrong, or its driver is missing.
        LedgerBusyError: Locked, read-only, full, or not to be reached.
        LedgerError: No database, damaged, or written by a newer version.
    """
    engine = new_engine(where)
    try:
        migrate(engine, where)
    except BaseException:
        engine.dispose()
        raise
    return engine


def new_engine(where: Where) -> Engine:
    """
    Return an engine for a ledger, whatever its schema version.

    Raises:
        ConfigError: A server's address is wrong, or its driver is missing.
        LedgerError: The file cannot be created.
    """
    if is_server(where):
        return postgres.new_engine(str(where))
    return sqlite.new_engine(Path(where))


def migrate(engine: Engine, where: Where) -> tuple[str | None, str]:
    """
    Bring a ledger to our schema version, unless it is there already.

    Returns:
        Its version before, None for an empty database, and its version now.

    Raises:
        LedgerBusyError: Locked, read-only, full, or not to be reached.
        LedgerError: No database, damaged, or written by a newer version.
    """
    with translated_errors(where):
        with reading(engine) as connection:
            if is_server(where):
                postgres.check_server(connection)
            version = _version(connection)
        if version == HEAD:
            return version, HEAD
        with writing(engine) as connection:
            # Asked again inside the write lock: another process may have migrated.
            version = _version(connection)
            if version == HEAD:
                return version, HEAD
            if version is not None and version > HEAD:
                raise LedgerError(
                    f"This ledger has schema {version}, this program knows {HEAD}: "
                    "it was written by a newer ask-expert. Upgrade ask-expert."
                )
            if is_server(where):
                postgres.without_limit(connection)
            _upgrade(connection)
        return version, HEAD


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
    options = postgres.READER if engine.dialect.name == "postgresql" else {}
    with engine.connect() as connection:
        reader = connection.execution_options(**options)
        with reader.begin():
            yield reader


@contextmanager
def alone(engine: Engine) -> Generator[Connection]:
    """Run a block whose statements are each their own transaction, like VACUUM."""
    server = engine.dialect.name == "postgresql"
    with engine.connect() as connection:
        yield connection.execution_options(
            **{"isolation_level": "AUTOCOMMIT"} if server else {"alone": True}
        )


@contextmanager
def translated_errors(where: Where = "") -> Generator[None]:
    """Turn a database error into one of ours, which holds no password."""
    try:
        yield
    except DBAPIError as error:
        message = f"The ledger {shown(where)} cannot be used: {_said(error)}."
        if _may_pass(error):
            raise LedgerBusyError(message) from error
        raise LedgerError(message) from error
    except NoConnectionError as error:
        raise LedgerBusyError(
            f"The ledger {shown(where)} cannot be used: all its connections are in use."
        ) from error


def _said(error: DBAPIError) -> str:
    """Return what the database said, without the row it said it of."""
    primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)
    return " ".join(str(primary or error.orig).split()).rstrip(".")


def _may_pass(error: DBAPIError) -> bool:
    """Return whether the same may succeed later."""
    said = str(error.orig)
    if not hasattr(error.orig, "sqlstate"):
        return any(word in said for word in _BUSY_WORDS)
    code: str | None = getattr(error.orig, "sqlstate", None)
    if code is not None:
        return code.startswith(_BUSY_CODES)
    lost = error.connection_invalidated or "connection" in said
    return lost and not any(word in said for word in _NO_ENTRY)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415  # 100 ms, needed once in a ledger's life
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
