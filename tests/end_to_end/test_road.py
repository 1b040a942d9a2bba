"""The whole road: a real client, a real server process, real HTTP, a real ledger."""

from pathlib import Path
from typing import Literal

import pytest
from mcp import Client

from tests.end_to_end.support import (
    always,
    ask,
    cli,
    connected,
    expert,
    rows,
    write_settings,
)
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour, Wire

pytestmark = pytest.mark.anyio

WIRES: list[Wire] = [
    "openai_chat",
    "openai_responses",
    "anthropic",
    "gemini",
    "openrouter",
]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("api", WIRES)
async def test_a_stuck_agent_is_answered_over_every_wire_in_both_protocol_eras(
    home: Path, tmp_path: Path, api: Wire, mode: Literal["auto", "legacy"]
) -> None:
    with Provider(Behaviour(text="Hold the lock.", input_tokens=200)) as provider:
        write_settings(home, expert(provider.url, api=api, base_url=provider.base(api)))

        async with connected(home, tmp_path, mode=mode) as client:
            reply = await ask(client, "Why does it hang?", tried=["await it"])

    assert reply["status"] == "answered"
    assert "Hold the lock." in reply["answer"]
    assert reply["answer"].startswith("<<<ADVICE ")
    assert reply["expert"] == {"asked": "flagship", "served": "some-model"}
    # 200 input tokens at $1 and 30 output tokens at $10 per million
    assert reply["cost_usd"] == 0.0005
    assert "report_outcome" in reply["next_step"]
    assert rows(home, "SELECT state, cost_nusd FROM tries") == [("settled", 500_000)]


async def test_the_same_question_again_is_answered_from_the_ledger_at_no_cost(
    home: Path, tmp_path: Path
) -> None:
    with Provider() as provider:
        write_settings(home, expert(provider.url))

        async with connected(home, tmp_path) as client:
            first = await ask(client, "Why does it hang?")
        async with connected(home, tmp_path) as client:
            again = await ask(client, "Why  does it hang? ")

    assert len(provider.requests) == 1
    assert (again["status"], again["cached"], again["cost_usd"]) == (
        "answered",
        True,
        0,
    )
    assert "already have this advice" in again["next_step"]
    assert again["thread"] == first["thread"]


async def test_new_evidence_makes_it_a_new_question(home: Path, tmp_path: Path) -> None:
    with Provider() as provider:
        write_settings(home, expert(provider.url))

        async with connected(home, tmp_path) as client:
            await ask(client, "Why does it hang?")
            reply = await ask(client, "Why does it hang?", error="TimeoutError")

    assert len(provider.requests) == 2
    assert "cached" not in reply


async def test_a_follow_up_continues_the_conversation_after_a_restart(
    home: Path, tmp_path: Path
) -> None:
    with Provider() as provider:
        provider.answer("First answer.")
        write_settings(home, expert(provider.url))

        async with connected(home, tmp_path) as client:
            first = await ask(client, "Why does it hang?")
        async with connected(home, tmp_path) as client:
            await ask(client, "And with two tasks?", thread=first["thread"])

    messages = provider.requests[1].json["messages"]
    assert [message["role"] for message in messages] == [
        "system",
        "user",
        "assistant",
        "user",
    ]
    assert "Why does it hang?" in messages[1]["content"]
    assert messages[2]["content"] == "First answer."


async def test_a_no_is_a_normal_result_that_says_what_would_change_it(
    home: Path, tmp_path: Path
) -> None:
    with Provider() as provider:
        write_settings(home, expert(provider.url), policy="balanced")

        async with connected(home, tmp_path) as client:
            reply = await ask(client, "Why does it hang?")

    assert provider.requests == []
    assert reply["status"] == "stay_local"
    assert "`tried`" in reply["next_step"]
    assert reply["cost_usd"] == 0


async def test_the_same_text_again_without_new_evidence_fires_its_rule(
    home: Path, tmp_path: Path
) -> None:
    with Provider() as provider:
        write_settings(home, expert(provider.url), policy="balanced")

        async with connected(home, tmp_path) as client:
            await ask(client, "Why does it hang?")
            reply = await ask(client, "Why does it hang?")

    assert reply["status"] == "answered"
    assert "asked_before" in reply["reason"]


async def test_an_error_that_comes_back_fires_its_rule(
    home: Path, tmp_path: Path
) -> None:
    with Provider() as provider:
        write_settings(home, expert(provider.url), policy="balanced")
        error = 'File "/tmp/a.py", line {}\nKeyError: {}'

        async with connected(home, tmp_path) as client:
            first = await ask(client, "What now?", error=error.format(3, "0x7f01"))
            second = await ask(client, "And now?", error=error.format(9, "0x7fff"))

    assert first["status"] == "stay_local"
    assert (second["status"], "repeated_error" in second["reason"]) == (
        "answered",
        True,
    )


async def test_a_failing_check_of_the_settings_escalates_and_its_output_is_sent(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("assert 1 == 2, 'one is not two'\n")
    with Provider() as provider:
        write_settings(
            home,
            expert(provider.url),
            policy="balanced",
            checks={"tests": {"command": ["python3", "broken.py"], "timeout_s": 10}},
        )

        async with connected(home, tmp_path) as client:
            reply = await ask(client, "Why does it fail?", check="tests")

    assert reply["status"] == "answered"
    assert "check_failed" in reply["reason"]
    assert b"one is not two" in provider.requests[0].body


async def test_an_outcome_is_recorded_and_returned(home: Path, tmp_path: Path) -> None:
    with Provider() as provider:
        write_settings(home, expert(provider.url))

        async with connected(home, tmp_path) as client:
            reply = await ask(client, "Why does it hang?")
            result = await client.call_tool(
                "report_outcome",
                {
                    "question_id": reply["question_id"],
                    "solved": True,
                    "evidence": "3 tests pass; key AKIAIOSFODNN7EXAMPLE",
                },
            )

    assert result.structured_content == {
        "question_id": reply["question_id"],
        "verdict": "helped",
    }
    ((verdict, source, solved, evidence),) = rows(
        home, "SELECT verdict, source, solved, evidence FROM outcomes"
    )
    assert (verdict, source, solved) == ("helped", "agent", 1)
    assert evidence == "3 tests pass; key «SECRET:aws_access_key:1»"


async def test_status_shows_policy_and_budgets_left(home: Path, tmp_path: Path) -> None:
    with Provider() as provider:
        write_settings(
            home,
            expert(provider.url),
            policy=always({"scope": "day", "usd": 1}, {"scope": "task", "calls": 4}),
        )

        async with connected(home, tmp_path) as client:
            await ask(client, "Why does it hang?")
            result = await client.call_tool("expert_status", {})

    status = result.structured_content
    assert status is not None
    assert status["policy"] == "always"
    day, task = status["budgets"]
    assert day["budget"].startswith("day 20")
    assert day["left_usd"] == pytest.approx(1 - 0.00042)
    assert task["left_calls"] == 3


async def test_a_slow_answer_becomes_pending_and_is_fetched_later(
    home: Path, tmp_path: Path
) -> None:
    with Provider() as provider:
        provider.hold()
        write_settings(home, expert(provider.url), answer_within_s=0.3)

        async with connected(home, tmp_path) as client:
            first = await ask(client, "Why does it hang?")
            again = await ask(client, "Why does it hang?")
            provider.release()
            fetched = await _poll(client, first["question_id"])

    assert (first["status"], again["status"]) == ("pending", "pending")
    assert again["question_id"] == first["question_id"]
    assert "expert_status" in first["next_step"]
    assert (fetched["status"], fetched["cost_usd"]) == ("answered", 0.00042)
    assert len(provider.requests) == 1


async def _poll(client: Client, question_id: str) -> dict[str, object]:
    for _ in range(100):
        result = await client.call_tool("expert_status", {"question_id": question_id})
        assert result.structured_content is not None
        if result.structured_content["status"] != "pending":
            return dict(result.structured_content)
    raise TimeoutError(question_id)


async def test_a_person_approves_what_the_policy_will_not(
    home: Path, tmp_path: Path
) -> None:
    with Provider() as provider:
        write_settings(home, expert(provider.url), policy="human_in_the_loop")
        evidence = {"tried": ["a", "b"], "error": "TimeoutError", "context": "x = 1"}

        async with connected(home, tmp_path) as client:
            first = await ask(client, "Why does it hang?", **evidence)
            approved = cli(home, "approve", first["question_id"])
            second = await ask(client, "Why does it hang?", **evidence)

    assert first["status"] == "needs_approval"
    assert f"ask-expert approve {first['question_id']}" in first["next_step"]
    assert approved.returncode == 0, approved.stderr
    assert (second["status"], "approved" in second["reason"]) == ("answered", True)


@pytest.mark.parametrize("storage", ["hash", "none"])
async def test_texts_that_are_not_stored_are_nowhere_in_the_ledger(
    home: Path, tmp_path: Path, storage: str
) -> None:
    with Provider(Behaviour(text="Hold the lock.")) as provider:
        write_settings(home, expert(provider.url), storage=storage)

        async with connected(home, tmp_path) as client:
            first = await ask(client, "Why does it hang?", context="mutex here")
            again = await ask(client, "Why does it hang?", context="mutex here")
            await client.call_tool(
                "report_outcome",
                {
                    "question_id": first["question_id"],
                    "solved": True,
                    "evidence": "tests passed",
                },
            )

    everything = rows(home, "SELECT * FROM questions") + rows(
        home, "SELECT answer FROM escalations"
    )
    everything += rows(home, "SELECT evidence FROM outcomes")
    for text in ("Why does it hang", "mutex here", "Hold the lock", "tests passed"):
        assert text not in str(everything)
    # The process that asked knows its answer as long as it lives.
    assert again["cached"]
    assert len(provider.requests) == 1


async def test_an_unknown_price_may_be_asked_at_an_assumed_one(
    home: Path, tmp_path: Path
) -> None:
    policy = always({"scope": "day", "usd": 1})
    policy["unknown_price"] = "allow"
    policy["assumed_price"] = {"input_per_mtok": 10, "output_per_mtok": 100}
    with Provider(Behaviour(input_tokens=100, output_tokens=10)) as provider:
        write_settings(home, expert(provider.url, price=None), policy=policy)

        async with connected(home, tmp_path) as client:
            reply = await ask(client, "Why does it hang?")

    assert reply["cost_usd"] == 0.002
    assert rows(home, "SELECT price_source FROM tries") == [("assumed",)]


async def test_the_agent_names_itself_and_its_task(home: Path, tmp_path: Path) -> None:
    write_settings(home)

    async with connected(home, tmp_path, ASK_EXPERT_SESSION="s_mine") as client:
        await ask(client, "Why?", task="login page")

    assert rows(home, "SELECT agent, session, task, project FROM questions") == [
        ("mcp", "s_mine", "login page", str(tmp_path))
    ]


async def test_questions_on_record_are_replayed_under_other_policies(
    home: Path, tmp_path: Path
) -> None:
    with Provider() as provider:
        write_settings(home, expert(provider.url), policy="balanced")
        async with connected(home, tmp_path) as client:
            reply = await ask(client, "Why?", tried=["one way"])

    replayed = cli(home, "policy", "replay", "--ledger", "frugal", "balanced")

    assert replayed.returncode == 0, replayed.stderr
    assert (
        f"{reply['question_id']}: frugal stay_local (otherwise), "
        "balanced escalate (failed_attempts at_least 1)"
    ) in replayed.stdout
