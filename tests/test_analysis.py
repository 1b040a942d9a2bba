"""DuckDB reads what is exported, with the right types, as the how-to page says."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import func, select

from ask_expert.ledger import export
from ask_expert.ledger.engine import reading
from ask_expert.ledger.export import Format, schema
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import movements, tries
from ask_expert.reply import Usage
from tests import documents
from tests.report.ledgers import NOON_US, Paid, answered, decided, sent, told

PAGE = "docs/how-to/analyse-the-ledger.md"
TEXTS = (
    'say "hi", twice',
    "two\nlines",
    "a\r\nb\rc",
    "ends \u2028 of \u2029 lines \x85 here",
    "emoji 😀 and é",
    "tab\tcomma, semi;colon",
    'back\\slash \\" \\n',
    "2026-11-22",
    "123",
    "null",
    "=1+1",
)
GUESSES = {"jsonl": "read_json_auto", "csv": "read_csv_auto"}
FORMS: list[Format] = ["jsonl", "csv"]


def fill(ledger: Ledger) -> None:
    """Put tries with troublesome texts and changing facts on record."""
    for number, text in enumerate(TEXTS):
        answered(
            ledger,
            f"q_{number:02}",
            Paid(text=text, cost_nusd=7 * 10**number),
            at_us=NOON_US + number,
            fields={
                "texts": {"question": text, "sent": text},
                "facts": {"check_failed": bool(number % 2), f"only_{number}": text},
            },
        )
    answered(ledger, "q_free", Paid(usage=Usage(), served=None), at_us=NOON_US + 50)
    decided(ledger, "q_local", "stay_local", at_us=NOON_US + 60)
    sent(ledger, "q_sent", at_us=NOON_US + 70)
    told(ledger, "q_01", "helped", solved=True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, for files that SQL names without one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(duckdb.connect()) as connection:
        yield connection


def write(ledger: Ledger, folder: Path, form: Format) -> Path:
    file = folder / f"tries.{form}"
    with file.open("w", encoding="utf-8", newline="") as target:
        export.write(ledger, form, target)
    return file


def rows(
    duck: duckdb.DuckDBPyConnection, what: str, table: str, *, order: str = "1"
) -> list[tuple[Any, ...]]:
    query = f"SELECT {what} FROM {table} ORDER BY {order}"  # noqa: S608  # our own words
    return duck.execute(query).fetchall()


def types(duck: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    found = duck.execute(f"DESCRIBE FROM {table}").fetchall()
    return {row[0]: row[1] for row in found}


def true_sums(ledger: Ledger) -> tuple[int, int]:
    """Return what was settled by its movements, and what tries set aside."""
    with reading(ledger.engine) as connection:
        settled = connection.execute(
            select(func.sum(movements.c.nusd)).where(movements.c.kind == "settle")
        ).scalar()
        reserved = connection.execute(select(func.sum(tries.c.reserved_nusd))).scalar()
    return int(settled or 0), int(reserved or 0)


@pytest.mark.parametrize("form", FORMS)
def test_duckdb_finds_the_same_sums_with_its_own_guesses_and_with_our_types(
    ledger: Ledger, folder: Path, duck: duckdb.DuckDBPyConnection, form: Format
) -> None:
    fill(ledger)
    file = write(ledger, folder, form)
    duck.execute(schema("duckdb"))
    sums = "count(*), sum(cost_nusd), sum(reserved_nusd)"

    guessed = rows(duck, sums, f"{GUESSES[form]}('{file}')")
    told_types = rows(duck, sums, f"tries_{form}('{file}')")

    assert guessed == told_types == [(len(TEXTS) + 3, *true_sums(ledger))]
    ((exact,),) = rows(duck, "sum(cost_usd) * 1000000000", f"tries_{form}('{file}')")
    assert int(exact) == true_sums(ledger)[0]


@pytest.mark.parametrize("form", FORMS)
def test_types_are_the_same_for_a_full_an_empty_and_a_poor_ledger(
    tmp_path: Path, duck: duckdb.DuckDBPyConnection, form: Format
) -> None:
    duck.execute(schema("duckdb"))
    found: list[dict[str, str]] = []
    for name in ("full", "empty", "poor"):
        (tmp_path / name).mkdir()
        with closing(Ledger.open(tmp_path / name / "ledger.db")) as ledger:
            if name == "full":
                fill(ledger)
            if name == "poor":
                decided(ledger, "q_1", "refused")
            file = write(ledger, tmp_path / name, form)
        found.append(types(duck, f"tries_{form}('{file}')"))
        assert rows(duck, "sum(cost_nusd)", f"tries_{form}('{file}')")

    assert found[0] == found[1] == found[2]
    assert {
        name: found[0][name]
        for name in ("asked_at", "cost_nusd", "cost_usd", "facts", "solved", "key")
    } == {
        "asked_at": "TIMESTAMP WITH TIME ZONE",
        "cost_nusd": "BIGINT",
        "cost_usd": "DECIMAL(38,9)",
        "facts": "VARCHAR",
        "solved": "BOOLEAN",
        "key": "VARCHAR",
    }


@pytest.mark.parametrize("form", FORMS)
def test_every_column_of_an_export_has_a_type(
    ledger: Ledger, folder: Path, duck: duckdb.DuckDBPyConnection, form: Format
) -> None:
    fill(ledger)
    file = write(ledger, folder, form)
    duck.execute(schema("duckdb"))

    written = types(duck, f"{GUESSES[form]}('{file}')")

    assert [*types(duck, f"tries_{form}('{file}')")] == [*written]
    spark = [line.split("`")[1] for line in schema("spark").splitlines()]
    assert spark == [*written]


def test_every_text_comes_back_as_it_was(
    ledger: Ledger, folder: Path, duck: duckdb.DuckDBPyConnection
) -> None:
    fill(ledger)
    duck.execute(schema("duckdb"))

    found: dict[str, list[tuple[Any, ...]]] = {}
    for form in FORMS:
        table = f"tries_{form}('{write(ledger, folder, form)}')"
        every = rows(duck, "question, answer, sent", table, order="asked_at")
        found[form] = every[: len(TEXTS)]

    assert found["jsonl"] == [(text, text, text) for text in TEXTS]
    # A text that a spreadsheet would run as a formula has an apostrophe before it.
    assert found["csv"] == [*found["jsonl"][:-1], ("'=1+1",) * 3]


@pytest.mark.parametrize("form", FORMS)
def test_facts_are_a_text_of_json_whatever_their_keys(
    ledger: Ledger, folder: Path, duck: duckdb.DuckDBPyConnection, form: Format
) -> None:
    fill(ledger)
    file = write(ledger, folder, form)
    duck.execute(schema("duckdb"))

    found = rows(duck, "facts", f"tries_{form}('{file}')", order="asked_at")

    assert json.loads(found[3][0]) == {"check_failed": True, "only_3": TEXTS[3]}
    assert types(duck, f"{GUESSES[form]}('{file}')")["facts"] == "VARCHAR"


def test_no_line_of_the_export_is_broken_by_a_text(
    ledger: Ledger, folder: Path
) -> None:
    fill(ledger)

    text = write(ledger, folder, "jsonl").read_bytes().decode()

    assert len(text.splitlines()) == len(TEXTS) + 3


def test_the_queries_of_the_how_to_page_run(
    ledger: Ledger, folder: Path, duck: duckdb.DuckDBPyConnection
) -> None:
    fill(ledger)
    for form in FORMS:
        write(ledger, folder, form)
    duck.execute(schema("duckdb"))
    page = documents.ROOT / PAGE
    queries = [each.text for each in documents.blocks("sql") if each.file == page]

    by_expert, by_rule, by_fact = (duck.execute(query).fetchall() for query in queries)

    settled, _ = true_sums(ledger)
    ((month, expert, count, paid, besides),) = by_expert
    assert (month, expert, count) == ("2026-11", "flagship", len(TEXTS) + 2)
    assert (int(paid * 10**9), int(besides * 10**9)) == (settled, 10_000_000)
    assert {row[0]: row[1] for row in by_rule} == {"check_failed": 1, "rule": 0}
    assert [row[0] for row in by_fact] == [False, True]
