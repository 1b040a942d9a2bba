import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Text, text
from sqlalchemy.types import TypeEngine

from ask_expert.budget import Cap
from ask_expert.errors import LedgerBusyError, LedgerError
from ask_expert.ledger.columns import Words
from ask_expert.ledger.engine import open_engine
from ask_expert.ledger.records import Granted
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import metadata
from tests.ledger.support import CENT, cap, question, request, tokens


def test_the_file_is_private_and_the_journal_durable(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ledger.db"
    umask = os.umask(0)

    engine = open_engine(path)
    with engine.connect() as connection:
        pragmas = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    engine.dispose()
    os.umask(umask)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert pragmas == ["wal", 2, 1]


def other_words(
    context: MigrationContext,
    inspected: object,
    column: object,
    found: TypeEngine[Any],
    wanted: TypeEngine[Any],
) -> bool | None:
    """Compare texts by their collation too; the other types as Alembic does."""
    if not isinstance(wanted, Words):
        return None
    collation = "C" if context.dialect.name == "postgresql" else None
    return not isinstance(found, Text) or found.collation != collation


def test_the_migrations_make_exactly_the_tables_of_the_code(blank: Path | str) -> None:
    engine = open_engine(blank)

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": other_words}
        )
        difference = compare_metadata(context, metadata)
    engine.dispose()

    assert difference == []


def test_a_ledger_of_a_newer_version_is_left_alone(where: Path | str) -> None:
    engine = open_engine(where)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()

    with pytest.raises(LedgerError, match="written by a newer ask-expert"):
        open_engine(where)


def test_what_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_text("dear diary " * 500)

    with pytest.raises(LedgerError, match="not a database"):
        open_engine(path)


def test_several_processes_may_create_one_ledger_at_once(blank: Path | str) -> None:
    code = (
        "import sys, pathlib\n"
        "from ask_expert.ledger.engine import open_engine\n"
        "name = sys.argv[1]\n"
        "sys.stdin.read()\n"
        "open_engine(name if '://' in name else pathlib.Path(name)).dispose()\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(blank)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]

    errors = [process.communicate(timeout=60)[1] for process in started]

    assert errors == [""] * 6


def test_a_full_disk_is_an_error_and_changes_nothing(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.db")
    total = cap(10**9 * CENT)
    with ledger.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
    written: list[Granted] = []

    with pytest.raises(LedgerBusyError, match="full"):
        fill(ledger, total, written)

    (room,) = ledger.rooms([total])
    assert 0 < len(written) < 100
    assert room.reserved_nusd == len(written) * CENT
    ledger.close()


def fill(ledger: Ledger, total: Cap, written: list[Granted]) -> None:
    for _ in range(100):
        granted = ledger.reserve(
            question(texts={"sent": "x" * 3000}), request(CENT, [total]), ceiling=tokens
        )
        assert isinstance(granted, Granted)
        written.append(granted)


# The interpreter's own files may be root's alone, so everything is loaded first.
READER = """
import os, sys, pathlib
from ask_expert.errors import LedgerError
from ask_expert.ledger.store import Ledger
path = pathlib.Path(sys.argv[1])
Ledger.open(path.parent.parent / "warm" / "ledger.db").close()
os.setuid(65534)
try:
    ledger = Ledger.open(path)
    ledger.approve("q", by="x", at_us=1)
except LedgerError as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_ledger_that_may_not_be_written_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    path = folder / "ledger.db"
    open_engine(path).dispose()
    folder.chmod(0o755)
    path.chmod(0o444)
    for parent in tmp_path.parents:
        if parent.stat().st_mode & 0o005 != 0o005 and parent.is_relative_to("/tmp"):  # noqa: S108
            parent.chmod(0o755)
    tmp_path.chmod(0o755)

    done = subprocess.run(
        [sys.executable, "-c", READER, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )

    assert done.stdout.strip() == "LedgerBusyError"
