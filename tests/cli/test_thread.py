import json
from contextlib import closing
from pathlib import Path

import pytest

from ask_expert.ledger.store import Ledger
from tests.cli.running import KEY, ask_expert, settings_for
from tests.fakes.provider import Provider
from tests.report.ledgers import Paid, answered


def test_a_closed_thread_is_shown_but_not_continued(home: Path) -> None:
    with Provider() as provider:
        provider.answer("First answer.")
        (home / "settings.yaml").write_text(settings_for(provider.url))
        first = json.loads(ask_expert("ask", "--json", "Why?", environ=KEY).out)
        thread = first["thread"]
        ask_expert("ask", "And then?", "--thread", thread, environ=KEY)

        closed = ask_expert("thread", "close", thread)
        refused = ask_expert("ask", "And now?", "--thread", thread, environ=KEY)
        afresh = ask_expert("ask", "And now?", environ=KEY)

    assert closed.out == f"{thread} is closed: a follow-up has to begin a new thread.\n"
    assert (refused.status, refused.out) == (1, "")
    assert refused.err == (
        f"ask-expert: The thread '{thread}' is closed. Leave `thread` out to begin a "
        "new one, and repeat the context.\n"
    )
    assert afresh.status == 0
    assert len(provider.requests) == 3
    shown = json.loads(ask_expert("thread", "show", thread, "--json").out)
    assert shown["turns"][0]["answer"] == "First answer."
    assert [turn["status"] for turn in shown["turns"]] == ["answered", "answered"]
    assert shown["closed_at"] is not None


def test_threads_are_listed_with_expert_turns_cost_and_state(home: Path) -> None:
    with closing(Ledger.open(home / "ledger.db")) as ledger:
        answered(ledger, "q_1")

    ended = ask_expert("thread", "list")

    head, line = ended.out.splitlines()
    assert head.split() == [
        "thread",
        "expert",
        "turns",
        "cost",
        "last",
        "used",
        "state",
    ]
    assert line.split() == [
        "c_q_1",
        "flagship",
        "1",
        "$0.004",
        "2026-11-22T12:00:00Z",
        "open",
    ]


def test_the_list_as_json_holds_dollars_as_text(home: Path) -> None:
    with closing(Ledger.open(home / "ledger.db")) as ledger:
        answered(ledger, "q_1")

    ended = ask_expert("thread", "list", "--json")

    assert json.loads(ended.out) == [
        {
            "thread": "c_q_1",
            "expert": "flagship",
            "turns": 1,
            "cost_usd": "0.004",
            "subscription": False,
            "counted_usd": "0",
            "last_used_at": "2026-11-22T12:00:00.000000Z",
            "closed_at": None,
        }
    ]


def test_a_conversation_cannot_steer_the_terminal(home: Path) -> None:
    with closing(Ledger.open(home / "ledger.db")) as ledger:
        texts = {"question": "Why?", "sent": "## Question\nWhy?\x1b]0;owned\x07"}
        answered(
            ledger, "q_1", Paid(text="Use \x1b[2J it.\x9b1m"), fields={"texts": texts}
        )

    ended = ask_expert("thread", "show", "c_q_1")

    assert ended.out == (
        "2026-11-22T12:00:00Z  q_1: answered, flagship for $0.004\n"
        "\n## Question\nWhy?\\x1b]0;owned\\x07\n\n"
        "Answer of flagship\n"
        "\nUse \\x1b[2J it.\\x9b1m\n\n"
        "c_q_1 is open.\n"
    )


@pytest.mark.parametrize("verb", ["show", "close"])
@pytest.mark.parametrize("thread", ["c_none", "c_\udcff"], ids=["none", "no text"])
def test_an_unknown_thread_is_one_sentence(home: Path, verb: str, thread: str) -> None:
    ended = ask_expert("thread", verb, thread)

    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("ask-expert: There is no thread 'c_")
    assert ended.err.endswith("`ask-expert thread list` shows the latest.\n")
