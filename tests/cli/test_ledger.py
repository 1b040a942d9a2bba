import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from ask_expert.ledger.store import Ledger
from tests.cli.running import KEY, ask_expert, settings_for
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour
from tests.report.ledgers import NOON_US, Paid, answered, decided, repeated, told


@pytest.fixture
def filled(home: Path) -> Path:
    with closing(Ledger.open(home / "ledger.db")) as ledger:
        answered(
            ledger,
            "q_1",
            Paid(text="Use «SECRET:api_key:1».", served="model-1-turbo"),
            fields={"texts": {"question": "Why?", "sent": "## Question"}},
        )
        told(ledger, "q_1", "helped", solved=True)
        repeated(ledger, "q_2", of="q_1", at_us=NOON_US + 1)
        decided(ledger, "q_3", "stay_local", at_us=NOON_US + 2)
    return home


def test_questions_are_listed_newest_first_with_rule_tries_and_cost(
    filled: Path,
) -> None:
    ended = ask_expert("ledger", "list")

    lines = [line.split() for line in ended.out.splitlines()]
    assert [line[0] for line in lines] == ["question", "q_3", "q_2", "q_1"]
    assert lines[1][2:] == ["stay_local", "rule"]
    assert lines[2][2:] == ["answered", "(cached)", "cached"]
    assert lines[3][2:] == ["answered", "check_failed", "flagship", "settled", "$0.004"]


def test_the_list_is_as_long_as_asked_for(filled: Path) -> None:
    ended = ask_expert("ledger", "list", "--limit", "1", "--json")

    assert [each["question_id"] for each in json.loads(ended.out)] == ["q_3"]


def test_a_killed_process_leaves_its_try_unresolved_and_counted(home: Path) -> None:
    with Provider(Behaviour(delay_s=30)) as provider:
        (home / "settings.yaml").write_text(settings_for(provider.url))
        asking = subprocess.Popen(
            [sys.executable, "-m", "ask_expert", "ask", "Why?"],
            env={**os.environ, **KEY},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while not provider.requests and time.monotonic() < deadline:
            time.sleep(0.02)
        asking.send_signal(signal.SIGKILL)
        asking.wait()

        listed = ask_expert("ledger", "list", "--json")
        report = ask_expert("report", "--json")

    (line,) = json.loads(listed.out)
    assert (line["status"], line["tries"]) == ("unavailable", ["unresolved"])
    found = json.loads(report.out)
    assert found["unresolved"]["tries"] == 1
    assert found["unresolved"]["usd"] == pytest.approx(float(line["counted_usd"]))
    (day,) = [each for each in found["budgets"] if each["scope"] == "day"]
    assert day["reserved_usd"] == found["unresolved"]["usd"]
    assert day["spent_usd"] == 0


def test_one_question_is_shown_with_all_that_is_on_record(filled: Path) -> None:
    ended = ask_expert("ledger", "show", "q_1", "--json")

    found = json.loads(ended.out)
    (escalation,) = found["escalations"]
    (paid,) = escalation["tries"]
    assert (found["rule"], found["policy_hash"]) == ("check_failed", "0123456789abcdef")
    assert found["facts"] == {"check_failed": True}
    assert found["texts"]["question"] == "Why?"
    assert escalation["answer"] == "Use «SECRET:api_key:1»."
    assert (paid["asked_model"], paid["served_model"]) == ("model-1", "model-1-turbo")
    assert (paid["cost_usd"], paid["price_detail"]) == ("0.004", {"input": "1.25"})
    assert [each["verdict"] for each in found["outcomes"]] == ["helped"]


def test_a_question_is_shown_for_people_without_braces(filled: Path) -> None:
    ended = ask_expert("ledger", "show", "q_1")

    assert "rule: check_failed\n" in ended.out
    assert "    served_model: model-1-turbo\n" in ended.out
    assert "{" not in ended.out


def test_what_is_on_record_cannot_steer_the_terminal(home: Path) -> None:
    with closing(Ledger.open(home / "ledger.db")) as ledger:
        answered(ledger, "q_1", Paid(text="\x1b]0;owned\x07\x1b[2Jdone\x9b1m"))

    ended = ask_expert("ledger", "show", "q_1")

    assert "answer: \\x1b]0;owned\\x07\\x1b[2Jdone\\x9b1m\n" in ended.out


def test_past_questions_are_found_by_their_words(filled: Path) -> None:
    ended = ask_expert("ledger", "search", "why", "SECRET", "--json")

    assert json.loads(ended.out) == [
        {
            "question_id": "q_1",
            "asked_at": "2026-11-22T12:00:00.000000Z",
            "question": "Why?",
            "snippet": "Use «SECRET:api_key:1».",
        }
    ]


def test_a_search_for_people_has_a_line_a_question(filled: Path) -> None:
    found = ask_expert("ledger", "search", "api_key")
    nothing = ask_expert("ledger", "search", "no such word")

    assert [line.split()[0] for line in found.out.splitlines()] == ["question", "q_1"]
    assert "2026-11-22T12:00:00Z  Why?        Use «SECRET:api_key:1»." in found.out
    assert (nothing.status, nothing.out) == (
        0,
        "No question on record holds all of these words.\n",
    )


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_an_export_goes_to_standard_output_or_a_private_file(
    filled: Path, tmp_path: Path, form: str
) -> None:
    file = tmp_path / "export"

    printed = ask_expert("ledger", "export", "--format", form)
    written = ask_expert("ledger", "export", "--format", form, "--output", str(file))

    assert file.read_bytes().decode() == printed.out
    assert written.out == ""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "q_3" in printed.out


def test_an_argument_that_is_no_text_is_one_sentence(home: Path) -> None:
    ended = ask_expert("ledger", "show", "q_\udcff")

    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("ask-expert: There is no question 'q_?'")


@pytest.mark.parametrize(
    "arguments",
    [
        ("ledger", "show", "q_none"),
        ("outcome", "q_none", "helped"),
        ("approve", "q_none"),
    ],
    ids=" ".join,
)
def test_an_unknown_question_is_one_sentence(
    home: Path, arguments: tuple[str, ...]
) -> None:
    ended = ask_expert(*arguments)

    assert (ended.status, ended.out) == (1, "")
    assert ended.err == (
        "ask-expert: There is no question 'q_none'; `ask-expert ledger list` shows "
        "the latest.\n"
    )


def test_a_ledger_of_a_newer_version_is_left_alone(filled: Path) -> None:
    with closing(sqlite3.connect(filled / "ledger.db")) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")

    ended = ask_expert("ledger", "list")

    assert (ended.status, ended.out) == (1, "")
    assert "written by a newer ask-expert. Upgrade ask-expert." in ended.err
    assert "Traceback" not in ended.err


def test_a_file_that_is_no_ledger_is_one_sentence(home: Path) -> None:
    (home / "ledger.db").write_bytes(b"this is no database at all, not even a bit" * 99)

    ended = ask_expert("report")

    assert (ended.status, ended.out) == (1, "")
    assert "file is not a database" in ended.err
    assert ended.err.count("\n") == 1
