"""
A ledger in PostgreSQL, shared by servers on any number of machines.

Every write transaction first takes one advisory lock, so that writers come one
after another as they do in SQLite: what is read behind the lock stays true until
the commit, nothing is counted twice, and there is only one lock to wait for, so no
deadlock. Little is lost by it: every question of a budget would wait for the same
row of `windows` anyway.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError

from ask_expert import ledger_address
from ask_expert.errors import ConfigError, LedgerError
from ask_expert.ledger.columns import as_json

OLDEST = (14,)
"""The oldest version of the server that this code is for."""

READER = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
"""What makes a transaction one snapshot that cannot write."""

_LOCK = 0x61736B20
"""First half of the advisory lock's key; the second tells schemas of one database apart."""
_LOCK_TIMEOUT_MS = 5000
_STATEMENT_TIMEOUT_MS = 30_000
_IDLE_TIMEOUT_MS = 15_000
_CONNECTIONS = 5
_POOL_TIMEOUT_S = 5
_LIFETIME_S = 1800

_DEFAULTS = {
    "connect_timeout": "5",
    "application_name": "ask-expert",
    "client_encoding": "utf8",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "options": f"-c lock_timeout={_LOCK_TIMEOUT_MS}",
}
"""What holds unless the address says otherwise; a dead network is noticed by it."""

_FIRST = text(
    "SELECT set_config('statement_timeout', :statement, true), "
    # A machine that vanishes in mid-transaction must not keep the lock for long.
    "set_config('idle_in_transaction_session_timeout', :idle, true), "
    # A commit that a crash of the server can undo would free money that is spent.
    "set_config('synchronous_commit', CASE current_setting('synchronous_commit') "
    "WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true), "
    # A NULL would make the lock a no-op.
    "pg_advisory_xact_lock(:lock, hashtext(coalesce(current_schema(), '')))"
)


def new_engine(address: str) -> Engine:
    """
    Return an engine for a database; nothing is connected yet.

    Raises:
        ConfigError: The address cannot be used, or the driver is missing.
    """
    url = _url(address)
    try:
        engine = create_engine(
            url,
            # A snapshot taken before the lock is held would miss what others spent.
            isolation_level="READ COMMITTED",
            json_serializer=as_json,
            hide_parameters=True,
            use_native_hstore=False,
            pool_pre_ping=True,
            pool_size=_CONNECTIONS,
            max_overflow=_CONNECTIONS,
            pool_timeout=_POOL_TIMEOUT_S,
            pool_recycle=_LIFETIME_S,
        )
    except ImportError as error:
        raise ConfigError(
            "a ledger in PostgreSQL needs its driver: pip install 'ask-expert[postgres]'"
        ) from error
    event.listen(engine, "begin", _begin)
    return engine


def check_server(connection: Connection) -> None:
    """
    Refuse a server that cannot hold a ledger.

    Raises:
        LedgerError: It is too old, or its database holds no Unicode.
    """
    version: Any = connection.dialect.server_version_info
    if version < OLDEST:
        found = ".".join(map(str, version))
        raise LedgerError(
            f"The ledger's server is PostgreSQL {found}; {OLDEST[0]} or newer is needed."
        )
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise LedgerError(
            f"The ledger's database has the encoding {encoding}; create one with "
            "ENCODING 'UTF8' TEMPLATE template0."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """What a server is and promises."""

    version: str
    is_read_only: bool
    is_durable: bool


def server_state(connection: Connection) -> ServerState:
    """Return what the server says of itself."""
    row = connection.exec_driver_sql(
        "SELECT current_setting('server_version'), pg_is_in_recovery() "
        # The transaction that asks is read-only itself.
        "OR current_setting('default_transaction_read_only')::bool, "
        "current_setting('fsync')::bool"
    ).one()
    return ServerState(version=row[0], is_read_only=row[1], is_durable=row[2])


def without_limit(connection: Connection) -> None:
    """Let the statements of this transaction take their time: they touch every row."""
    connection.exec_driver_sql(
        "SELECT set_config('statement_timeout', '0', true), "
        "set_config('idle_in_transaction_session_timeout', '0', true)"
    )


def _url(address: str) -> URL:
    try:
        ledger_address.check(address)
        url = make_url(address)
    except (ValueError, ArgumentError) as error:
        message = str(error) if isinstance(error, ValueError) else "is no address"
        raise ConfigError(message, key="ledger") from error
    given = {**_DEFAULTS, **url.query}
    return url.set(drivername="postgresql+psycopg", query=given)


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("writes", False):
        # After a reader the pool asks for READ WRITE, which would overrule a
        # database that its owner made read-only.
        driver: Any = connection.connection.dbapi_connection
        driver.read_only = None
        connection.execute(
            _FIRST,
            {
                "statement": str(_STATEMENT_TIMEOUT_MS),
                "idle": str(_IDLE_TIMEOUT_MS),
                "lock": _LOCK,
            },
        )
