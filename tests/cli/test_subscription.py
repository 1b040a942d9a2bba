"""A vendor's own program from the command line: asked, bounded in calls, never $0."""

import json
import sys
from pathlib import Path

import pytest

from tests.cli.running import ask_expert

KEY = "sk-ant-planted-0123456789"


@pytest.fixture
def plan(home: Path) -> Path:
    """A home whose one expert is a program, under a budget of two calls."""
    program = home / "vendor-cli"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, sys\n"
        "asked = sys.stdin.read()\n"
        "print('Use a lock.', os.environ.get('ANTHROPIC_API_KEY'), 'Why' in asked)\n"
    )
    program.chmod(0o755)
    (home / "settings.yaml").write_text(
        "policy: mine.yaml\n"
        "experts:\n"
        f"  - {{name: plan, api: command, model: opus, command: [{program}]}}\n"
    )
    (home / "mine.yaml").write_text(
        "name: mine\notherwise: escalate\nbudgets: [{scope: day, calls: 2}]\n"
    )
    return home


@pytest.mark.usefixtures("plan")
def test_it_answers_without_a_key_in_sight() -> None:
    ended = ask_expert("ask", "Why?", "--json", environ={"ANTHROPIC_API_KEY": KEY})

    told = json.loads(ended.out)
    assert "Use a lock. None True" in told["answer"]
    assert (told["status"], told["cost_usd"]) == ("answered", None)
    assert told["subscription"] is True


@pytest.mark.usefixtures("plan")
def test_its_budget_is_in_calls() -> None:
    asked = [ask_expert("ask", f"Why {n}?", "--json") for n in range(3)]

    told = [json.loads(each.out)["status"] for each in asked]
    assert told == ["answered", "answered", "refused"]


def test_without_a_budget_in_calls_it_is_not_asked(plan: Path) -> None:
    (plan / "mine.yaml").write_text(
        "name: mine\notherwise: escalate\nbudgets: [{scope: day, usd: 1}]\n"
    )

    ended = ask_expert("ask", "Why?", "--json")

    told = json.loads(ended.out)
    assert told["status"] == "unavailable"
    assert "no budget of the policy counts calls" in told["reason"]


@pytest.mark.usefixtures("plan")
@pytest.mark.parametrize(
    "command",
    [
        ("ask", "Why again?"),
        ("ask", "--dry-run", "Why?"),
        ("report",),
        ("ledger", "list"),
        ("thread", "list"),
        ("experts", "list"),
        ("prices", "plan"),
    ],
    ids=" ".join,
)
def test_its_cost_is_a_subscription_wherever_it_is_shown(
    command: tuple[str, ...],
) -> None:
    ask_expert("ask", "Why?")

    ended = ask_expert(*command)

    assert "subscription" in ended.out
    assert "$" not in ended.out


@pytest.mark.usefixtures("plan")
def test_the_doctor_looks_whether_the_program_is_there(plan: Path) -> None:
    sound = ask_expert("doctor", "--json")
    (plan / "vendor-cli").unlink()
    broken = ask_expert("doctor", "--json")

    found = [
        next(
            each
            for each in json.loads(ended.out)["items"]
            if each["name"] == "expert plan"
        )
        for ended in (sound, broken)
    ]
    assert [each["state"] for each in found] == ["ok", "wrong"]
    assert "a subscription pays; a question counts as one call" in found[0]["message"]
