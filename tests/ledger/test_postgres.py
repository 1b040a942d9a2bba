"""What only a ledger in PostgreSQL can meet."""

import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from urllib.parse import quote

import pytest

from ask_expert.errors import ConfigError, LedgerBusyError, LedgerError
from ask_expert.ledger.engine import (
    migrate,
    new_engine,
    reading,
    translated_errors,
    writing,
)
from ask_expert.ledger.records import Granted
from ask_expert.ledger.store import Ledger
from tests.databases import PostgreSQL
from tests.ledger.support import CENT, cap, question, request, tokens

TOTAL = cap(50 * CENT)


@contextmanager
def opened(address: str) -> Generator[Ledger]:
    with closing(Ledger.open(address)) as ledger:
        yield ledger


def reserve(ledger: Ledger) -> object:
    return ledger.reserve(question(), request(CENT, [TOTAL]), ceiling=tokens)


def name_of(address: str) -> str:
    return address.rpartition("/")[2]


def with_options(address: str, options: str) -> str:
    return f"{address}?options={quote(options)}"


@pytest.mark.parametrize("level", ["read committed", "repeatable read", "serializable"])
def test_racing_writers_never_pass_a_cap_whatever_isolation_the_server_prefers(
    postgres: PostgreSQL, database: str, level: str
) -> None:
    name = name_of(database)
    postgres.run(f"ALTER DATABASE {name} SET default_transaction_isolation = '{level}'")
    with opened(database) as first, opened(database) as second:
        with ThreadPoolExecutor(8) as pool:
            doors = [first, second] * 60
            granted = list(pool.map(reserve, doors))

        (room,) = first.rooms([TOTAL])

    assert sum(isinstance(each, Granted) for each in granted) == 50
    assert (room.reserved_nusd, room.calls) == (50 * CENT, 50)


def test_a_writer_that_waits_too_long_for_another_one_says_so(database: str) -> None:
    hasty = with_options(database, "-c lock_timeout=100")
    with (
        opened(database) as patient,
        opened(hasty) as ledger,
        writing(patient.engine),
        pytest.raises(LedgerBusyError, match="lock timeout"),
    ):
        reserve(ledger)


def test_a_reader_waits_for_no_writer_and_sees_one_snapshot(database: str) -> None:
    with opened(database) as ledger, opened(database) as other:
        with reading(ledger.engine) as snapshot:
            before = snapshot.exec_driver_sql("SELECT count(*) FROM tries").scalar()
            reserve(other)
            during = snapshot.exec_driver_sql("SELECT count(*) FROM tries").scalar()
        with reading(ledger.engine) as later:
            after = later.exec_driver_sql("SELECT count(*) FROM tries").scalar()

    assert (before, during, after) == (0, 0, 1)


def test_a_reader_cannot_write(database: str) -> None:
    with (
        opened(database) as ledger,
        pytest.raises(Exception, match="read-only"),
        reading(ledger.engine) as connection,
    ):
        connection.exec_driver_sql("DELETE FROM tries")


def test_a_commit_waits_for_the_disk_even_where_the_database_need_not(
    postgres: PostgreSQL, database: str
) -> None:
    name = name_of(database)
    postgres.run(f"ALTER DATABASE {name} SET synchronous_commit = off")
    with opened(database) as ledger, writing(ledger.engine) as connection:
        found = connection.exec_driver_sql("SHOW synchronous_commit").scalar()

    assert found == "on"


def test_a_read_only_database_is_reported_and_can_still_be_read(
    postgres: PostgreSQL, database: str
) -> None:
    name = name_of(database)
    postgres.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with opened(database) as ledger:
        with pytest.raises(LedgerBusyError, match="read-only"):
            reserve(ledger)
        (room,) = ledger.rooms([TOTAL])

    assert room.calls == 0


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("53100", LedgerBusyError),  # disk full
        ("57P01", LedgerBusyError),  # the administrator shuts the server down
        ("40P01", LedgerBusyError),  # deadlock
        ("XX001", LedgerError),  # a damaged page
    ],
)
def test_what_goes_wrong_in_mid_transaction_leaves_nothing_behind(
    postgres: PostgreSQL, database: str, code: str, error: type[LedgerError]
) -> None:
    postgres.run(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"RAISE EXCEPTION 'it went wrong' USING ERRCODE = '{code}'; END $$",
        name_of(database),
    )
    postgres.run(
        "CREATE TRIGGER fails BEFORE INSERT ON movements EXECUTE FUNCTION fail()",
        name_of(database),
    )
    with opened(database) as ledger:
        with pytest.raises(LedgerError, match="it went wrong") as caught:
            reserve(ledger)
        (room,) = ledger.rooms([TOTAL])

    assert type(caught.value) is error
    assert (room.reserved_nusd, room.calls) == (0, 0)


def test_a_connection_that_the_administrator_ends_is_replaced(
    postgres: PostgreSQL, database: str
) -> None:
    with opened(database) as ledger:
        with pytest.raises(LedgerBusyError):
            break_off(ledger, postgres)
        end_connections(postgres, ledger)

        assert isinstance(reserve(ledger), Granted)


def end_connections(postgres: PostgreSQL, ledger: Ledger) -> None:
    name = ledger.engine.url.database
    postgres.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "  # noqa: S608
        f"WHERE datname = '{name}'"
    )


def break_off(ledger: Ledger, postgres: PostgreSQL) -> None:
    with translated_errors(ledger.path), writing(ledger.engine) as connection:
        end_connections(postgres, ledger)
        connection.exec_driver_sql("SELECT 1")


def test_a_machine_that_vanishes_in_mid_transaction_frees_the_lock(
    database: str,
) -> None:
    with opened(database) as ledger, writing(ledger.engine) as connection:
        limit = connection.exec_driver_sql(
            "SHOW idle_in_transaction_session_timeout"
        ).scalar()

    assert limit == "15s"


def test_a_used_up_pool_is_worth_another_try(database: str) -> None:
    with opened(database) as ledger, ExitStack() as stack:
        pool = ledger.engine.pool
        pool._timeout = 0.05  # pyright: ignore[reportAttributeAccessIssue]
        for _ in range(10):
            stack.enter_context(reading(ledger.engine))

        with pytest.raises(LedgerBusyError, match="all its connections are in use"):
            ledger.rooms([TOTAL])


@pytest.mark.parametrize(
    "address",
    ["postgresql://nobody:hidden-word@{}/x", "postgresql://owner:hidden-word@{}/x"],
)
def test_an_unknown_user_or_database_is_no_matter_of_patience(
    postgres: PostgreSQL, address: str
) -> None:
    with pytest.raises(LedgerError, match="does not exist") as caught:
        Ledger.open(address.format(f"127.0.0.1:{postgres.port}"))

    assert not isinstance(caught.value, LedgerBusyError)
    assert "hidden-word" not in str(caught.value)


def test_a_database_without_unicode_is_refused(postgres: PostgreSQL) -> None:
    postgres.run(
        "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 "
        "LOCALE_PROVIDER libc LOCALE 'C'"
    )

    with pytest.raises(LedgerError, match="encoding SQL_ASCII"):
        Ledger.open(postgres.address("ascii"))


def test_an_old_server_is_refused(database: str) -> None:
    engine = new_engine(database)
    engine.connect().close()
    engine.dialect.server_version_info = (13, 9)

    with pytest.raises(LedgerError, match=r"PostgreSQL 13\.9; 14 or newer"):
        migrate(engine, database)
    engine.dispose()


def test_a_missing_driver_is_named_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(ConfigError, match=r"pip install 'ask-expert\[postgres\]'"):
        Ledger.open("postgresql://ada@127.0.0.1/ledger")


def test_ledgers_in_two_schemas_of_one_database_do_not_wait_for_each_other(
    postgres: PostgreSQL, database: str
) -> None:
    postgres.run("CREATE SCHEMA other", name_of(database))
    elsewhere = with_options(database, "-c search_path=other -c lock_timeout=100")
    with opened(database) as here, opened(elsewhere) as there:
        with writing(here.engine):
            granted = reserve(there)
        (room,) = here.rooms([TOTAL])

    assert isinstance(granted, Granted)
    assert room.calls == 0
