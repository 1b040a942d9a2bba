"""What a person decides: verdicts and approvals."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from ask_expert.ledger.store import Ledger
from tests.cli.running import KEY, ask_expert, settings_for
from tests.fakes.provider import Provider
from tests.report.ledgers import answered


def verdicts(home: Path) -> list[tuple[str, str, bool | None]]:
    shown = ask_expert("ledger", "show", "q_1", "--json")
    return [
        (each["verdict"], each["source"], each["solved"])
        for each in json.loads(shown.out)["outcomes"]
    ]


@pytest.mark.parametrize(
    ("word", "verdict", "solved"),
    [
        ("helped", "helped", True),
        ("no-difference", "no_difference", None),
        ("harmed", "harmed", False),
    ],
)
def test_a_verdict_is_on_record_as_a_persons(
    home: Path, word: str, verdict: str, solved: bool | None
) -> None:
    with closing(Ledger.open(home / "ledger.db")) as ledger:
        answered(ledger, "q_1")

    ended = ask_expert("outcome", "q_1", word)

    assert ended.out == f"q_1: {word} is on record.\n"
    assert verdicts(home) == [(verdict, "person", solved)]


def test_a_late_verdict_is_said_to_be_late(home: Path) -> None:
    with closing(Ledger.open(home / "ledger.db")) as ledger:
        answered(ledger, "q_1", at_us=1)

    ended = ask_expert("outcome", "q_1", "harmed")

    assert "more than 24 h later" in ended.out


def test_a_secret_in_a_note_is_masked(home: Path) -> None:
    with closing(Ledger.open(home / "ledger.db")) as ledger:
        answered(ledger, "q_1")

    ask_expert("outcome", "q_1", "helped", "--note", "key AKIAIOSFODNN7EXAMPLE works")
    shown = ask_expert("ledger", "show", "q_1")

    assert "evidence: key «SECRET:aws_access_key:1» works" in shown.out


def test_an_approved_question_is_asked_when_it_comes_again(home: Path) -> None:
    with Provider() as provider:
        text = settings_for(provider.url, policy="strict.yaml")
        (home / "settings.yaml").write_text(text)
        (home / "strict.yaml").write_text("name: strict\notherwise: ask_human\n")
        first = json.loads(ask_expert("ask", "--json", "Why?", environ=KEY).out)

        approved = ask_expert("approve", first["question_id"], environ=KEY)
        second = json.loads(ask_expert("ask", "--json", "Why?", environ=KEY).out)

    assert first["status"] == "needs_approval"
    assert "Tell the agent to ask the same question again" in approved.out
    assert second["status"] == "answered"
    assert len(provider.requests) == 1


def test_a_question_that_waits_for_nobody_cannot_be_approved(home: Path) -> None:
    with closing(Ledger.open(home / "ledger.db")) as ledger:
        answered(ledger, "q_1")

    ended = ask_expert("approve", "q_1")

    assert ended.status == 1
    assert "waits for nobody: its status is 'answered'" in ended.err
