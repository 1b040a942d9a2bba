"""Clocks that jump, databases that break, processes that race: no money is lost."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import QueuePool

from ask_expert.budget import Cap, Denied, caps, to_us
from ask_expert.errors import LedgerBusyError, LedgerError
from ask_expert.ledger import migrations
from ask_expert.ledger.check import check
from ask_expert.ledger.engine import new_engine, reading, writing
from ask_expert.ledger.records import End, Granted
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import HEAD
from ask_expert.policy.budgets import Budget
from tests.databases import PostgreSQL, emptied, running
from tests.ledger.support import (
    ANSWER,
    CALLER,
    CENT,
    HOUR,
    NOW,
    cap,
    charge,
    question,
    request,
    tokens,
)
from tests.ledger.test_migrations import ROWS, put

ROOT = Path(__file__).parents[2]
INSTANT = timedelta(microseconds=1)
MONTH = 30 * 24 * HOUR
TOTAL = cap(1000 * CENT)


def reserve(
    ledger: Ledger, limits: Sequence[Cap], *, sent_us: int = NOW, nusd: int = CENT
) -> Granted | Denied:
    wanted = request(nusd, limits, sent_us=sent_us, lease_us=sent_us + HOUR)
    verdict = ledger.reserve(
        question(created_us=sent_us, texts={"sent": "x" * 3000}), wanted, ceiling=tokens
    )
    assert isinstance(verdict, Granted | Denied)
    return verdict


def granted(ledger: Ledger, limits: Sequence[Cap], **more: int) -> Granted:
    verdict = reserve(ledger, limits, **more)
    assert isinstance(verdict, Granted)
    return verdict


def balance(ledger: Ledger, limit: Cap = TOTAL) -> tuple[int, int, int]:
    (room,) = ledger.rooms([limit])
    return room.spent_nusd, room.reserved_nusd, room.calls


def at(instant: str) -> datetime:
    return datetime.fromisoformat(instant)


def limits_at(scope: str, moment: datetime, zone: str) -> tuple[Cap, ...]:
    """Return the cap of one cent in the scope's window around a moment."""
    line = Budget.model_validate({"scope": scope, "usd": Decimal("0.01")})
    return caps(
        [line],
        caller=CALLER,
        task="t_1",
        expert="flagship",
        now=moment,
        zone=ZoneInfo(zone),
    )


EDGES = {
    # Berlin loses an hour on 29 March 2026 and gains one on 25 October.
    "Europe/Berlin": [
        ("day", "2026-03-28T23:00:00Z"),
        ("day", "2026-03-29T22:00:00Z"),
        ("day", "2026-10-24T22:00:00Z"),
        ("day", "2026-10-25T23:00:00Z"),
        ("week", "2026-03-29T22:00:00Z"),
        ("week", "2026-10-25T23:00:00Z"),
        ("month", "2026-02-28T23:00:00Z"),
        ("month", "2026-03-31T22:00:00Z"),
        ("month", "2026-10-31T23:00:00Z"),
        ("year", "2026-12-31T23:00:00Z"),
        ("hour", "2026-03-29T01:00:00Z"),
        ("hour", "2026-10-25T01:00:00Z"),
        ("hour", "2026-10-25T02:00:00Z"),
    ],
    # Lord Howe Island shifts by half an hour, on 5 April and on 4 October.
    "Australia/Lord_Howe": [
        ("hour", "2026-04-04T15:00:00Z"),
        ("hour", "2026-04-04T15:30:00Z"),
        ("hour", "2026-10-03T15:30:00Z"),
        ("day", "2026-04-04T13:00:00Z"),
        ("day", "2026-04-05T13:30:00Z"),
        ("day", "2026-10-03T13:30:00Z"),
        ("day", "2026-10-04T13:00:00Z"),
    ],
}


@pytest.mark.parametrize("zone", [*EDGES])
def test_a_full_window_has_room_again_at_its_edge_and_not_a_microsecond_before(
    ledger: Ledger, zone: str
) -> None:
    for scope, edge in EDGES[zone]:
        emptied(ledger)
        last, first = at(edge) - INSTANT, at(edge)
        old, new = limits_at(scope, last, zone), limits_at(scope, first, zone)

        held = granted(ledger, old, sent_us=to_us(last))
        full = reserve(ledger, old, sent_us=to_us(last))
        later = granted(ledger, new, sent_us=to_us(first))

        assert isinstance(full, Denied)
        assert full.renews_at == first
        # What was reserved before the edge is booked there, whenever it is settled.
        settled_us = to_us(first) + HOUR
        ledger.settle(held.try_id, ANSWER, charge(7), end=End(now_us=settled_us))
        assert balance(ledger, old[0]) == (7, 0, 1)
        assert balance(ledger, new[0]) == (0, later.nusd, 1)
        assert check(ledger) == []


@pytest.mark.parametrize("zone", [*EDGES])
def test_a_clock_set_back_over_an_edge_gives_no_window_a_second_time(
    ledger: Ledger, zone: str
) -> None:
    for scope, edge in EDGES[zone]:
        emptied(ledger)
        last, first = at(edge) - INSTANT, at(edge)
        for moment in (last, first):
            granted(ledger, limits_at(scope, moment, zone), sent_us=to_us(moment))

        again = [
            reserve(ledger, limits_at(scope, moment, zone), sent_us=to_us(moment))
            for moment in (last, first, last)
        ]

        assert all(isinstance(each, Denied) for each in again)
        assert check(ledger) == []


@pytest.mark.parametrize("verb", ["settle", "release", "leave_unresolved"])
def test_a_clock_set_back_between_reserve_and_settle_changes_no_sum(
    ledger: Ledger, verb: str
) -> None:
    expected = {
        "settle": (7, 0, 1),
        "release": (0, 0, 0),
        "leave_unresolved": (0, CENT, 1),
    }[verb]
    start = NOW // HOUR * HOUR
    for back_us, rolls in product([HOUR, MONTH], [False, True]):
        emptied(ledger)
        day = cap(
            10 * CENT, scope="day", start_us=start, end_us=start + HOUR, rolling=rolls
        )
        held = granted(ledger, [day, TOTAL])
        end = End(now_us=NOW - back_us)

        if verb == "settle":
            ledger.settle(held.try_id, ANSWER, charge(7), end=end)
        elif verb == "release":
            ledger.release(held.try_id, None, end=end)
        else:
            ledger.leave_unresolved(held.try_id, None, end=end)

        assert balance(ledger, day) == expected
        assert balance(ledger) == expected
        assert check(ledger) == []


def test_a_laptop_that_slept_past_its_lease_still_books_what_the_call_cost(
    ledger: Ledger, where: Path | str
) -> None:
    held = granted(ledger, [TOTAL])
    woken_us = NOW + 10 * HOUR
    with closing(Ledger.open(where)) as other:
        swept = other.sweep(now_us=woken_us)
    counted = balance(ledger)

    ledger.settle(held.try_id, ANSWER, charge(7), end=End(now_us=woken_us))

    assert swept == [held.try_id]
    assert counted == (0, CENT, 1)
    assert balance(ledger) == (7, 0, 1)
    assert check(ledger) == []


def test_a_budget_that_is_too_small_keeps_every_other_one_untouched(
    ledger: Ledger,
) -> None:
    tight = cap(CENT - 1, scope="session", key="session=s_1")

    verdicts = [reserve(ledger, [TOTAL, tight]), reserve(ledger, [tight, TOTAL])]

    assert all(isinstance(each, Denied) for each in verdicts)
    assert (balance(ledger), balance(ledger, tight)) == ((0, 0, 0), (0, 0, 0))
    assert check(ledger) == []


# Two processes, each with the same budgets, listed in opposite orders.
RACER = """
import pathlib, sys
from ask_expert.ledger.records import Granted
from ask_expert.ledger.store import Ledger
from tests.ledger.support import CENT, cap, question, request, tokens
name, order = sys.argv[1:]
budgets = [
    cap(50 * CENT),
    cap(50 * CENT, scope="session", key="session=s_1"),
    cap(50 * CENT, scope="user", key="user=ada"),
    cap(50 * CENT, scope="expert", expert="flagship"),
]
ledger = Ledger.open(name if "://" in name else pathlib.Path(name))
sys.stdin.read()
step = 1 if order == "forward" else -1
got = [
    ledger.reserve(question(), request(CENT, budgets[::step]), ceiling=tokens)
    for _ in range(40)
]
ledger.close()
print(sum(isinstance(each, Granted) for each in got))
"""


def test_budgets_listed_in_opposite_orders_neither_deadlock_nor_pass_a_cap(
    ledger: Ledger, where: Path | str
) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(where), order],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for order in ("forward", "backward")
    ]

    ended = [racer.communicate(timeout=120) for racer in racers]

    assert [stderr for _, stderr in ended] == ["", ""]
    assert sum(int(stdout) for stdout, _ in ended) == 50
    assert balance(ledger) == (0, 50 * CENT, 50)
    assert check(ledger) == []


# A process that is killed while its write transaction is open.
VICTIM = """
import pathlib, sys
from ask_expert.ledger import reservations
from ask_expert.ledger.store import Ledger
from tests.ledger.support import CENT, cap, question, request, tokens
def killed(*_, **__):
    print("in the middle", flush=True)
    sys.stdin.read()
name = sys.argv[1]
ledger = Ledger.open(name if "://" in name else pathlib.Path(name))
ledger.reserve(question(), request(CENT, [cap(100 * CENT)]), ceiling=killed)
"""


def test_a_process_killed_in_mid_transaction_leaves_nothing_of_it_and_no_lock(
    ledger: Ledger, where: Path | str
) -> None:
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(where)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert victim.stdout is not None
    said = victim.stdout.readline()
    os.kill(victim.pid, signal.SIGKILL)
    victim.communicate()

    held = granted(ledger, [TOTAL])

    assert said == "in the middle\n"
    assert balance(ledger) == (0, held.nusd, 1)
    assert check(ledger) == []


def test_a_used_up_pool_is_a_busy_ledger_and_nothing_is_counted(
    ledger: Ledger,
) -> None:
    pool = ledger.engine.pool
    assert isinstance(pool, QueuePool)
    pool._timeout = 0.05  # pyright: ignore[reportPrivateUsage]
    with ExitStack() as stack:
        for _ in range(pool.size() + pool._max_overflow):  # pyright: ignore[reportPrivateUsage]
            stack.enter_context(reading(ledger.engine))

        with pytest.raises(LedgerBusyError, match="all its connections are in use"):
            reserve(ledger, [TOTAL])

    assert balance(ledger) == (0, 0, 0)
    assert isinstance(reserve(ledger, [TOTAL]), Granted)


def test_processes_that_migrate_one_old_ledger_at_once_all_end_well(
    blank: Path | str,
) -> None:
    engine = new_engine(blank)
    with writing(engine) as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(*migrations.__path__)))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table, row in ROWS.items():
            put(connection, table, row)
    engine.dispose()
    code = (
        "import sys, pathlib\n"
        "from ask_expert.ledger.engine import migrate, new_engine\n"
        "name = sys.argv[1]\n"
        "where = name if '://' in name else pathlib.Path(name)\n"
        "sys.stdin.read()\n"
        "print(migrate(new_engine(where), where))\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(blank)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]

    ended = [process.communicate(timeout=120) for process in started]

    assert [stderr for _, stderr in ended] == [""] * 4
    said = sorted(stdout.strip() for stdout, _ in ended)
    assert said == [f"('0001', '{HEAD}')"] + [f"('{HEAD}', '{HEAD}')"] * 3
    with closing(Ledger.open(blank)) as ledger:
        assert check(ledger) == []


def test_a_ledger_that_is_full_when_a_call_ends_books_it_once_there_is_room(
    tmp_path: Path,
) -> None:
    with closing(Ledger.open(tmp_path / "ledger.db")) as ledger:
        held = granted(ledger, [TOTAL])
        with ledger.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        end = End(now_us=NOW, stored_answer="x" * 100_000)

        with pytest.raises(LedgerBusyError, match="full"):
            ledger.settle(held.try_id, ANSWER, charge(7), end=end)
        counted = balance(ledger)
        with ledger.engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1000}")
        ledger.settle(held.try_id, ANSWER, charge(7), end=end)

        assert counted == (0, CENT, 1)
        assert balance(ledger) == (7, 0, 1)
        assert check(ledger) == []


@pytest.fixture(scope="module")
def mortal() -> Generator[PostgreSQL]:
    """A server that these tests may stop and damage."""
    with running() as server:
        yield server


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Generator[Path]:
    """Mount a disk of its own for a block."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(ledger: Ledger) -> None:
    """Reserve a nano-dollar at a time, until the disk is full."""
    for _ in range(2000):
        granted(ledger, [TOTAL], nusd=1)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
def test_a_server_whose_disk_is_full_counts_nothing_and_goes_on_when_there_is_room(
    mortal: PostgreSQL,
) -> None:
    name = mortal.new_database()
    with small_disk(mortal.folder / "small", megabytes=24) as disk:
        os.chown(disk, 65534, 65534)
        mortal.run(f"CREATE TABLESPACE small LOCATION '{disk}'")
        mortal.run(f"ALTER DATABASE {name} SET TABLESPACE small")
        with closing(Ledger.open(mortal.address(name))) as ledger:
            held = granted(ledger, [TOTAL])
            filler = disk / "filler"
            with pytest.raises(OSError, match="No space"):
                filler.write_bytes(bytes(32 * 2**20))

            with pytest.raises(LedgerBusyError, match="No space left on device"):
                fill(ledger)
            spent, reserved, calls = balance(ledger)
            wrong = check(ledger)
            filler.unlink()
            ledger.settle(held.try_id, ANSWER, charge(7), end=End(now_us=NOW))
            after = balance(ledger)
            sound = check(ledger)
        mortal.drop(name)
        mortal.run("DROP TABLESPACE small")

    assert (spent, reserved) == (0, CENT + calls - 1)
    assert after == (7, calls - 1, calls)
    assert (wrong, sound) == ([], [])


def damaged_file(path: Path, name: str, *, place: int = 0, length: int = 24) -> None:
    """Overwrite a part of the first page of a table or index, as a dying disk does."""
    connection = sqlite3.connect(path)
    (page,) = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = ?", [name]
    ).fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size + place % size)
        file.write(b"\x7f" * length)


@pytest.mark.parametrize("table", ["windows", "tries", "movements"])
def test_a_damaged_page_of_a_file_stops_the_reservation_and_is_told(
    tmp_path: Path, table: str
) -> None:
    path = tmp_path / "ledger.db"
    with closing(Ledger.open(path)) as ledger:
        for _ in range(10):
            granted(ledger, [TOTAL])
    damaged_file(path, table)

    with closing(Ledger.open(path)) as ledger:
        with pytest.raises(LedgerError, match="malformed") as caught:
            reserve(ledger, [TOTAL])
        with pytest.raises(LedgerError, match="malformed"):
            check(ledger)

    assert not isinstance(caught.value, LedgerBusyError)


def test_a_damaged_index_of_a_file_is_found_and_left_to_a_person(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    with closing(Ledger.open(path)) as ledger:
        for _ in range(10):
            granted(ledger, [TOTAL])
    damaged_file(path, "movements_by_try", place=-10, length=4)

    with closing(Ledger.open(path)) as ledger:
        found = check(ledger)

    assert found
    assert all(each.what.startswith("The file is damaged: ") for each in found)
    assert [each.repair for each in found] == [None] * len(found)


@pytest.mark.parametrize("table", ["windows", "tries", "movements"])
def test_a_damaged_page_of_a_server_stops_the_reservation_and_is_told(
    mortal: PostgreSQL, table: str
) -> None:
    name = mortal.new_database()
    with closing(Ledger.open(mortal.address(name))) as ledger:
        for _ in range(10):
            granted(ledger, [TOTAL])
    ((relation,),) = mortal.run(f"SELECT pg_relation_filepath('{table}')", name)
    mortal.run("CHECKPOINT")
    mortal.stop()
    with (mortal.folder / "data" / relation).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 512)
    mortal.start()

    with closing(Ledger.open(mortal.address(name))) as ledger:
        with pytest.raises(LedgerError, match="invalid page in block 0") as caught:
            reserve(ledger, [TOTAL])
        with pytest.raises(LedgerError, match="invalid page in block 0"):
            check(ledger)

    assert not isinstance(caught.value, LedgerBusyError)
