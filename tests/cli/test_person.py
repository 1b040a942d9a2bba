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


def asked_first(home: Path, url: str, *, storage: str = "redacted") -> str:
    """Set up a policy that asks a person; return the question that waits."""
    text = settings_for(url, policy="strict.yaml")
    (home / "settings.yaml").write_text(f"{text}storage: {storage}\n")
    (home / "strict.yaml").write_text("name: strict\notherwise: ask_human\n")
    return asked("Why?")["question_id"]


def asked(question: str, *, task: str = "login") -> dict[str, str]:
    ended = ask_expert("ask", "--json", "--task", task, question, environ=KEY)
    return json.loads(ended.out)


def test_a_task_is_approved_with_all_that_it_asks_later(home: Path) -> None:
    with Provider() as provider:
        waits = asked_first(home, provider.url)

        approved = ask_expert("approve", waits, "--for-task")
        later = asked("Which lock?")
        elsewhere = asked("Which font?", task="logo")

    assert "all later questions of its task" in approved.out
    assert (later["status"], elsewhere["status"]) == ("answered", "needs_approval")


def test_a_denied_question_is_refused_until_it_is_approved_after_all(
    home: Path,
) -> None:
    with Provider() as provider:
        waits = asked_first(home, provider.url)

        denied = ask_expert("approve", waits, "--deny")
        again = asked("Why?")
        other = asked("Which lock?")
        sent = len(provider.requests)
        ask_expert("approve", waits)
        approved = asked("Why?")

    assert denied.out == (
        f"{waits} is denied: the same question is refused from now on.\n"
    )
    assert (again["status"], other["status"]) == ("refused", "needs_approval")
    assert sent == 0
    assert approved["status"] == "answered"


def test_a_person_says_yes_or_no_but_not_both(home: Path) -> None:
    ended = ask_expert("approve", "q_1", "--for-task", "--deny")

    assert ended.status == 2
    assert "cannot go with --for-task" in ended.err


def test_without_stored_hashes_only_a_task_can_be_approved(home: Path) -> None:
    with Provider() as provider:
        waits = asked_first(home, provider.url, storage="none")

        one = ask_expert("approve", waits)
        task = ask_expert("approve", waits, "--for-task")
        again = asked("Why?")

    assert one.status == 1
    assert "use --for-task" in one.err
    assert task.status == 0
    assert again["status"] == "answered"


def test_a_question_that_waits_for_nobody_cannot_be_approved(home: Path) -> None:
    with closing(Ledger.open(home / "ledger.db")) as ledger:
        answered(ledger, "q_1")

    ended = ask_expert("approve", "q_1")

    assert ended.status == 1
    assert "waits for nobody: its status is 'answered'" in ended.err
