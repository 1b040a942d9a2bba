"""What a policy measures before it decides, through a real server and client."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.support import ask, connected, expert, rows, write_settings
from tests.fakes.provider import Provider
from tests.local.fake_model import serving
from tests.local.fake_vllm import FakeVllm

pytestmark = pytest.mark.anyio

POLICY: dict[str, Any] = {
    "name": "doubtful",
    "rules": [
        {"when": "check_failed"},
        {"when": {"failed_attempts": {"at_least": 3}}},
        {"when": {"vote_share": {"below": 0.7}}},
    ],
    "assess": {"signals": ["vote_share"], "max_seconds": 30},
    "budgets": [{"scope": "day", "usd": 1}],
}


def facts(home: Path) -> dict[str, Any]:
    ((text,),) = rows(home, "SELECT facts FROM questions")
    return json.loads(text)


async def asked(
    home: Path, project: Path, fake: FakeVllm, policy: dict[str, Any], **more: Any
) -> dict[str, Any]:
    with Provider() as provider, serving(fake.model()) as server:
        local = {"base_url": server.url, "model": "tiny"}
        write_settings(home, expert(provider.url), policy=policy, local=local)
        async with connected(home, project) as client:
            return await ask(client, "What is 2 + 2?", **more)


async def test_an_agreed_answer_stays_local_and_the_share_is_on_record(
    home: Path, tmp_path: Path
) -> None:
    reply = await asked(home, tmp_path, FakeVllm(), POLICY)

    assert reply["status"] == "stay_local"
    assert facts(home)["vote_share"] == 1.0


async def test_a_contested_answer_goes_to_the_expert(
    home: Path, tmp_path: Path
) -> None:
    fake = FakeVllm(reply=lambda turns, number: f"Answer: {number}")

    reply = await asked(home, tmp_path, fake, POLICY)

    assert reply["status"] == "answered"
    assert "vote_share is 0.2, below 0.7" in reply["reason"]


async def test_a_question_that_is_decided_anyway_does_not_reach_the_local_model(
    home: Path, tmp_path: Path
) -> None:
    fake = FakeVllm()

    reply = await asked(home, tmp_path, fake, POLICY, tried=["a", "b", "c"])

    assert reply["status"] == "answered"
    assert fake.asked == []
    assert "vote_share" not in facts(home)


async def test_what_is_to_go_on_record_is_measured_all_the_same(
    home: Path, tmp_path: Path
) -> None:
    assess = {"signals": ["vote_share", "p_true"], "stop_when_decided": False}

    await asked(
        home, tmp_path, FakeVllm(), {**POLICY, "assess": assess}, tried=["a", "b", "c"]
    )

    assert facts(home)["vote_share"] == 1.0
    assert "p_true" not in facts(home)


async def test_a_busy_local_server_leaves_the_decision_to_the_other_rules(
    home: Path, tmp_path: Path
) -> None:
    reply = await asked(home, tmp_path, FakeVllm(status=503), POLICY)

    assert reply["status"] == "stay_local"
    assert "vote_share" not in facts(home)
