import json
from pathlib import Path

import pytest

from tests.cli.running import KEY, ask_expert, settings_for
from tests.fakes.provider import Provider

# What a loopback provider's 120 tokens in and 30 out cost by the settings' prices.
BILL = "day,model,usd\n{day},some-model,0.00042\n{day},stranger\x1b[31m,2\n"


@pytest.fixture
def bill(home: Path, tmp_path: Path) -> Path:
    """The bill of a day on which one question was asked, and something else ran."""
    with Provider() as provider:
        (home / "settings.yaml").write_text(settings_for(provider.url))
        ask_expert("ask", "Why?", environ=KEY)
    first = json.loads(ask_expert("ledger", "export").out.splitlines()[0])
    file = tmp_path / "bill.csv"
    file.write_text(BILL.format(day=first["sent_at"][:10]))
    return file


def reconcile(bill: Path | str, *more: str) -> list[str]:
    return ["ledger", "reconcile", "--invoice", str(bill), *more]


def test_a_bill_is_laid_beside_the_ledger(bill: Path) -> None:
    ended = ask_expert(*reconcile(bill))

    assert ended.status == 0
    head, ours, theirs, total, *_ = ended.out.splitlines()
    assert head.split("  ")[0] == "day (UTC)"
    assert ours.split()[1:] == ["some-model", "$0.00042", "$0.00042", "$0.00", "1"]
    assert theirs.split()[1:] == [
        *("stranger\\x1b[31m", "$2.00", "$0.00", "$2.00", "$2.00", "0"),
    ]
    assert total.split()[1:3] == ["$2.00042", "$0.00042"]
    assert "On the bill, not in the ledger: $2.00." in ended.out


def test_the_comparison_as_json(bill: Path) -> None:
    found = json.loads(ask_expert(*reconcile(bill, "--json")).out)

    assert (found["billed_only_usd"], found["ledger_only_usd"]) == ("2", "0")
    assert found["total"]["tries"] == 1


def test_columns_and_experts_can_be_named(bill: Path) -> None:
    named = bill.with_name("other.csv")
    named.write_text(bill.read_text().replace("usd", "Net", 1))
    columns = ("--columns", "day=day,model=model,usd=Net")

    known = ask_expert(*reconcile(named, *columns, "--expert", "flagship"))
    unknown = ask_expert(*reconcile(named, *columns, "--expert", "flagshop"))

    assert known.status == 0
    assert unknown.status == 1
    assert "no expert 'flagshop'; asked were: flagship." in unknown.err


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["ledger", "reconcile", "--columns", "day=a,usd=b"], 2, "need a bill"),
        (["ledger", "reconcile", "--expert", "a"], 2, "need a bill"),
        (reconcile("none.csv"), 1, "none.csv: cannot be read: No such file"),
        (reconcile("none.csv", "--columns", "day"), 2, "write it as day=COLUMN"),
    ],
)
def test_a_bill_that_is_not_there_is_said(
    arguments: list[str], status: int, complaint: str
) -> None:
    ended = ask_expert(*arguments)

    assert (ended.status, ended.out) == (status, "")
    assert complaint in " ".join(ended.err.replace("│", " ").split())


def test_an_export_comes_with_its_types(tmp_path: Path) -> None:
    file = tmp_path / "tries.sql"

    shown = ask_expert("ledger", "export", "--schema", "spark")
    written = ask_expert(
        "ledger", "export", "--schema", "duckdb", "--output", str(file)
    )

    assert shown.out.startswith("`question_id` STRING,\n`asked_at` TIMESTAMP,\n")
    assert (written.status, written.out) == (0, "")
    assert "MACRO tries_jsonl(file)" in file.read_text()
