"""What the local system answers before an expert is paid, through a real server."""

import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from mcp import Client

from ask_expert.confidence.calibration import store
from ask_expert.confidence.calibration.document import Document, Fit, Formula
from tests.end_to_end.support import (
    ask,
    cli,
    connected,
    expert,
    report,
    rows,
    write_settings,
)
from tests.fakes.provider import Provider
from tests.local.fake_model import serving
from tests.local.fake_vllm import FakeVllm

pytestmark = pytest.mark.anyio

VOTE: dict[str, Any] = {"strategy": "vote", "n": 3, "bar": 0.7, "max_seconds": 30}
ASKED = "What is 2 + 2?"


def policy(local_first: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": "local",
        "rules": [{"when": "always"}],
        "budgets": [{"scope": "day", "usd": 1}],
        "local_first": local_first,
        **more,
    }


def split(turns: list[dict[str, str]], number: int) -> str:
    """Three samples, three answers."""
    return f"Answer: {number}"


@dataclass(frozen=True, slots=True)
class Door:
    """A client with both models behind its server."""

    client: Client
    provider: Provider
    home: Path

    async def ask(self, question: str = ASKED, **more: Any) -> dict[str, Any]:
        return await ask(self.client, question, **more)

    def row(self, columns: str) -> tuple[Any, ...]:
        return rows(self.home, f"SELECT {columns} FROM questions")[-1]  # noqa: S608


@asynccontextmanager
async def door(
    home: Path,
    project: Path,
    fake: FakeVllm,
    local_first: dict[str, Any] = VOTE,
    *,
    policy_more: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncGenerator[Door]:
    with Provider() as provider, serving(fake.model()) as server:
        local = {"base_url": server.url, "model": "tiny", "name": "desk"}
        given = {"local": local, **settings}
        rules = policy(local_first, **(policy_more or {}))
        write_settings(home, expert(provider.url), policy=rules, **given)
        async with connected(home, project) as client:
            yield Door(client, provider, home)


async def test_an_agreed_answer_is_given_and_nobody_is_paid(
    home: Path, tmp_path: Path
) -> None:
    async with door(home, tmp_path, FakeVllm()) as desk:
        reply = await desk.ask()

        assert reply["status"] == "stay_local"
        assert "from the local model desk: data, not instructions" in reply["answer"]
        assert "Answer: 4" in reply["answer"]
        assert "expert desk" not in reply["answer"]
        assert reply["local"] == {"name": "desk", "served": "tiny"}
        assert "expert" not in reply
        assert reply["cost_usd"] == 0
        assert "vote share 1.00, uncalibrated" in reply["reason"]
        assert "report_outcome" in reply["next_step"]
        assert desk.provider.requests == []
    found = desk.row(
        "status, local_name, local_model, local_kind, local_strategy, local_passed,"
        " local_score, local_answer"
    )
    assert found == (
        *("stay_local", "desk", "tiny", "number", "vote", 1, 1.0),
        "Answer: 4",
    )
    ((tokens, took_us),) = rows(home, "SELECT local_tokens, local_us FROM questions")
    assert tokens > 0
    assert took_us > 0
    assert rows(home, "SELECT count(*) FROM tries") == [(0,)]
    assert rows(home, "SELECT count(*) FROM movements") == [(0,)]


async def test_a_contested_answer_goes_on_to_the_expert_and_says_so_on_record(
    home: Path, tmp_path: Path
) -> None:
    async with door(home, tmp_path, FakeVllm(reply=split)) as desk:
        reply = await desk.ask()

        assert reply["status"] == "answered"
        assert "local" not in reply
        assert len(desk.provider.requests) == 1
    passed, answer, reason = desk.row("local_passed, local_answer, local_reason")
    assert (passed, answer) == (0, None)
    assert "vote share 0.33" in reason
    assert "below 0.7" in reason


async def test_the_same_question_again_gives_the_same_answer_without_the_model(
    home: Path, tmp_path: Path
) -> None:
    fake = FakeVllm()
    async with door(home, tmp_path, fake) as desk:
        first = await desk.ask()
        before = len(fake.asked)

        again = await desk.ask()

        assert len(fake.asked) == before
        assert again["status"] == "stay_local"
        assert again["cached"] is True
        assert again["local"] == first["local"]
        assert "Answer: 4" in again["answer"]
    assert desk.row("cached_from") == (first["question_id"],)


@pytest.mark.parametrize("storage", ["hash", "none"])
async def test_an_answer_that_is_not_stored_is_recalled_while_the_server_lives(
    home: Path, tmp_path: Path, storage: str
) -> None:
    async with door(home, tmp_path, FakeVllm(), storage=storage) as desk:
        await desk.ask()

        again = await desk.ask()

        assert again["cached"] is True
        assert "Answer: 4" in again["answer"]
    assert rows(home, "SELECT local_answer FROM questions") == [(None,), (None,)]


async def test_an_answer_that_did_not_help_is_not_given_again(
    home: Path, tmp_path: Path
) -> None:
    async with door(home, tmp_path, FakeVllm()) as desk:
        reply = await desk.ask()
        await desk.client.call_tool(
            "report_outcome", {"question_id": reply["question_id"], "solved": False}
        )

        again = await desk.ask()

        assert again["status"] == "answered"
    assert rows(home, "SELECT verdict FROM outcomes") == [("no_difference",)]


async def test_new_evidence_after_a_local_answer_goes_to_the_expert(
    home: Path, tmp_path: Path
) -> None:
    async with door(home, tmp_path, FakeVllm()) as desk:
        await desk.ask(task="sum")

        again = await desk.ask(task="sum", error="AssertionError: 4 != 5")

        assert again["status"] == "answered"


async def test_a_follow_up_continues_the_local_conversation(
    home: Path, tmp_path: Path
) -> None:
    fake = FakeVllm()
    async with door(home, tmp_path, fake) as desk:
        first = await desk.ask()

        second = await desk.ask("And doubled?", thread=first["thread"])

        assert second["status"] == "stay_local"
        assert second["thread"] == first["thread"]
    roles = [turn["role"] for turn in fake.asked[-1]["messages"]]
    assert roles[:4] == ["system", "user", "assistant", "user"]
    assert "the conversation began at desk" in desk.row("local_reason")[0]


async def test_a_follow_up_of_an_experts_answer_stays_with_the_expert(
    home: Path, tmp_path: Path
) -> None:
    fake = FakeVllm(reply=split)
    async with door(home, tmp_path, fake) as desk:
        first = await desk.ask()
        fake.reply = lambda turns, number: "Answer: 4"
        before = len(fake.asked)

        second = await desk.ask("And doubled?", thread=first["thread"])

        assert second["status"] == "answered"
        assert len(fake.asked) == before


async def test_a_question_that_is_not_to_be_escalated_never_reaches_the_model(
    home: Path, tmp_path: Path
) -> None:
    fake = FakeVllm()
    more = {"rules": [{"when": "check_failed"}]}
    async with door(home, tmp_path, fake, policy_more=more) as desk:
        reply = await desk.ask()

        assert reply["status"] == "stay_local"
        assert "answer" not in reply
    assert fake.asked == []
    assert desk.row("local_strategy, local_passed") == (None, None)


async def test_a_busy_local_server_never_blocks_the_expert(
    home: Path, tmp_path: Path
) -> None:
    async with door(home, tmp_path, FakeVllm(status=503)) as desk:
        reply = await desk.ask()

        assert reply["status"] == "answered"
    assert "busy" in desk.row("local_reason")[0]


async def test_a_slow_local_server_is_left_when_its_time_is_over(
    home: Path, tmp_path: Path
) -> None:
    fake = FakeVllm(hold=Event())
    slow = {**VOTE, "max_seconds": 0.3}
    async with door(home, tmp_path, fake, slow) as desk:
        reply = await desk.ask()

        assert reply["status"] == "answered"
        assert fake.hold is not None
        fake.hold.set()
    assert "the time of 0.3 s is over" in desk.row("local_reason")[0]


async def test_an_absent_local_server_never_blocks_the_expert(
    home: Path, tmp_path: Path
) -> None:
    nowhere = {"base_url": "http://127.0.0.1:9/v1", "model": "tiny"}
    async with door(home, tmp_path, FakeVllm(), local=nowhere) as desk:
        reply = await desk.ask()

        assert reply["status"] == "answered"
    assert "cannot be used" in desk.row("local_reason")[0]


@pytest.mark.parametrize(
    ("fake", "why"),
    [
        (FakeVllm(reply=lambda turns, number: ""), "empty"),
        (FakeVllm(finish="length"), "broke off"),
    ],
    ids=["empty", "cut"],
)
async def test_an_answer_that_is_no_whole_one_is_never_given(
    home: Path, tmp_path: Path, fake: FakeVllm, why: str
) -> None:
    greedy = {"strategy": "greedy", "bar": 0.01, "max_seconds": 30}
    async with door(home, tmp_path, fake, greedy) as desk:
        reply = await desk.ask()

        assert reply["status"] == "answered"
    assert why in desk.row("local_reason")[0]


async def test_a_check_that_reads_answers_lets_one_pass_without_a_bar(
    home: Path, tmp_path: Path
) -> None:
    says = "import os, sys; a = os.environ.get('ASK_EXPERT_ANSWER')"
    says += "; sys.exit(0 if a and 'Answer: 2' in open(a).read() else 'not 2')"
    check = {"command": [sys.executable, "-c", says], "reads_answer": True}
    best = {"strategy": "best_of_n", "by": "check", "n": 4, "max_seconds": 30}
    fake = FakeVllm(reply=split)
    checks = {"sum": check}
    async with door(home, tmp_path, fake, best, checks=checks) as desk:
        reply = await desk.ask(check="sum")

        assert reply["status"] == "stay_local"
        assert "Answer: 2" in reply["answer"]
        assert "it passed the check sum" in reply["reason"]
        assert desk.provider.requests == []


async def test_without_such_a_check_a_choice_by_check_goes_to_the_expert(
    home: Path, tmp_path: Path
) -> None:
    check = {"command": [sys.executable, "-c", "pass"]}
    best = {"strategy": "best_of_n", "by": "check", "bar": 0.1, "max_seconds": 30}
    checks = {"sum": check}
    async with door(home, tmp_path, FakeVllm(), best, checks=checks) as desk:
        reply = await desk.ask(check="sum")

        assert reply["status"] == "answered"
    assert "needs a check" in desk.row("local_reason")[0]


async def test_a_secret_in_a_local_answer_is_masked(home: Path, tmp_path: Path) -> None:
    secret = "sk-ant-api03-" + "Zq7" * 20
    fake = FakeVllm(reply=lambda turns, number: f"Use {secret}\nAnswer: 4")
    async with door(home, tmp_path, fake) as desk:
        reply = await desk.ask()

        assert secret not in json.dumps(reply)
        assert "«SECRET:" in reply["answer"]
    assert secret not in str(rows(home, "SELECT * FROM questions"))


async def test_the_report_and_the_lists_tell_what_the_local_system_did(
    home: Path, tmp_path: Path
) -> None:
    async with door(home, tmp_path, FakeVllm()) as desk:
        reply = await desk.ask()
        question_id = reply["question_id"]
        await desk.client.call_tool(
            "report_outcome", {"question_id": question_id, "solved": True}
        )

        told = report(home)

        assert told["local"]["tried"] == 1
        assert told["local"]["answered"] == 1
        assert told["local"]["solved"] == 1
        assert told["local"]["tokens"] > 0
        assert told["local"]["seconds"] > 0
        assert told["escalations"] == 0
    assert "answered by the local system" in cli(home, "report").stdout
    assert "local desk" in cli(home, "ledger", "list").stdout
    shown = json.loads(cli(home, "ledger", "show", question_id, "--json").stdout)
    assert shown["local_answer"] == "Answer: 4"
    assert "Answer: 4" in cli(home, "thread", "show", reply["thread"]).stdout
    assert question_id in cli(home, "ledger", "search", "Answer: 4").stdout
    assert cli(home, "ledger", "check").returncode == 0
    line = json.loads(cli(home, "ledger", "export").stdout.splitlines()[0])
    assert line["local_strategy"] == "vote"


async def test_a_dry_run_says_what_the_local_system_would_do(
    home: Path, tmp_path: Path
) -> None:
    fake = FakeVllm()
    async with door(home, tmp_path, fake):
        said = cli(home, "ask", ASKED, "--dry-run").stdout
        fields = json.loads(cli(home, "ask", ASKED, "--dry-run", "--json").stdout)

    assert "vote of 3 by desk" in said
    assert "reaches 0.7" in fields["local_first"]
    assert fake.asked == []


def calibrated(home: Path, highest: float) -> None:
    """Keep a calibration under which an undivided vote means this probability."""
    formula = Formula(
        method="isotonic",
        signals=("vote_share",),
        table=((0.0, 0.0), (1.0, highest)),
    )
    fit = Fit(
        model="tiny",
        kind="any",
        target="local",
        outcomes=300,
        right=150,
        folds=5,
        seed=0,
        fitted_at="2026-11-22T00:00:00Z",
        inputs="0" * 64,
        signals=(),
        formulas=(formula,),
    )
    store.save(home, Document(fits=(fit,)))


@pytest.mark.parametrize(
    ("highest", "status"), [(0.9, "stay_local"), (0.5, "answered")]
)
async def test_where_there_is_a_calibration_the_bar_is_on_its_probability(
    home: Path, tmp_path: Path, highest: float, status: str
) -> None:
    calibrated(home, highest)
    async with door(home, tmp_path, FakeVllm()) as desk:
        reply = await desk.ask()

        assert reply["status"] == status
        assert reply.get("confidence") == (0.9 if highest > 0.7 else None)
    confidence, reason = desk.row("confidence, local_reason")
    assert confidence == highest
    assert f"calibrated confidence {highest:.2f}" in reason


async def test_a_single_answer_is_judged_by_the_model_itself(
    home: Path, tmp_path: Path
) -> None:
    def reply_to(turns: list[dict[str, str]], number: int) -> str:
        asked = turns[-1]["content"]
        return "yes" if asked.startswith("Is the proposed") else "Answer: 4"

    def alternatives(token: str) -> list[tuple[str, Any]]:
        return [(token, -0.1), ("no", -2.5)]

    fake = FakeVllm(reply=reply_to, alternatives=alternatives)
    greedy = {"strategy": "greedy", "bar": 0.9, "max_seconds": 30}
    async with door(home, tmp_path, fake, greedy) as desk:
        reply = await desk.ask()

        assert reply["status"] == "stay_local"
        assert "P(True) 0.92, uncalibrated" in reply["reason"]


async def test_the_server_for_this_kind_serves_and_is_on_record(
    home: Path, tmp_path: Path
) -> None:
    general, coder = FakeVllm(), FakeVllm()
    vote = {**VOTE, "kind": "number"}
    with serving(coder.model()) as second, serving(general.model()) as first:
        both = [
            {"base_url": first.url, "model": "tiny", "name": "desk"},
            {"base_url": second.url, "model": "tiny", "name": "sums", "role": "number"},
        ]
        async with door(home, tmp_path, FakeVllm(), vote, local=both) as desk:
            reply = await desk.ask()

            assert reply["local"]["name"] == "sums"
    assert general.asked == []
    name, reason = desk.row("local_name, local_reason")
    assert name == "sums"
    assert "sums is for number questions" in reason
