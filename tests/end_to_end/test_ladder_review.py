"""What a review of the ladder found, each as a client sees it."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.end_to_end.support import always, ask, cli, connected, expert, rows
from tests.end_to_end.support import write_settings as written
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour

pytestmark = pytest.mark.anyio
DAY = {"scope": "day", "usd": "5.00"}
DEAR = {"input_per_mtok": "1.00", "output_per_mtok": "1000.00"}
PANEL = {"rules": [{"when": "always", "panel": 2}]}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def cheap() -> Iterator[Provider]:
    with Provider(Behaviour(text="Cheap advice.")) as provider:
        yield provider


@pytest.fixture
def dear() -> Iterator[Provider]:
    with Provider(Behaviour(text="Dear advice.")) as provider:
        yield provider


def two(home: Path, cheap: Provider, dear: Provider, **more: Any) -> None:
    policy = {**always(DAY), **more.pop("policy", {})}
    written(
        home,
        expert(cheap.url, name="cheap", max_tries=1, **more.pop("first", {})),
        expert(dear.url, name="dear", max_tries=1, **more.pop("second", {})),
        policy=policy,
        **more,
    )


async def test_a_question_that_one_expert_refused_is_still_on_its_way(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear, answer_within_s=0.5)
    cheap.answer("No.", finish="refusal")
    dear.hold()

    async with connected(home, tmp_path) as first, connected(home, tmp_path) as second:
        begun = await ask(first, "Why?")
        again = await ask(second, "Why?")
        dear.release()
        with anyio.fail_after(20):
            reply = await ask(second, "Why?")  # each asking waits half a second
            while reply["status"] == "pending":
                reply = await ask(second, "Why?")

    assert (begun["status"], again["status"]) == ("pending", "pending")
    assert "Dear advice." in reply["answer"]
    assert (len(cheap.bill), len(dear.bill)) == (1, 1)


async def test_a_refusal_does_not_hide_that_another_expert_may_have_billed(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear)
    cheap.answer("No.", finish="refusal")
    dear.script(Behaviour(fault="cut"), Behaviour(fault="stream_cut_first"))

    async with connected(home, tmp_path) as client:
        reply = await ask(client, "Why?")

    assert reply["status"] == "unavailable"
    assert "dear" in reply["reason"]
    assert "may have been billed" in reply["reason"]
    assert rows(home, "SELECT status FROM questions") == [("unavailable",)]


async def test_a_yes_reaches_as_far_as_what_the_person_was_shown(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    policy = {"rules": [{"when": "always", "then": "ask_human"}]}
    two(home, cheap, dear, policy=policy, second={"price": DEAR})
    cheap.default = Behaviour(status=404, message="no such model")

    async with connected(home, tmp_path) as client:
        asked = await ask(client, "Why?")
        cli(home, "approve", asked["question_id"])
        stopped = await ask(client, "Why?")
        cli(home, "approve", stopped["question_id"])
        answered = await ask(client, "Why?")

    assert (asked["status"], stopped["status"]) == ("needs_approval", "needs_approval")
    assert "dear may cost $0.5" in stopped["reason"]
    assert answered["expert"]["asked"] == "dear"
    assert len(dear.bill) == 1


async def test_a_yes_is_used_up_by_the_call_that_it_let_go(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    policy = {"rules": [{"when": "always", "then": "ask_human"}]}
    two(home, cheap, dear, policy=policy, reuse_within_s=0)

    async with connected(home, tmp_path) as client:
        asked = await ask(client, "Why?")
        cli(home, "approve", asked["question_id"])
        answered = await ask(client, "Why?")
        again = await ask(client, "Why?")

    assert answered["status"] == "answered"
    assert again["status"] == "needs_approval"
    assert len(cheap.bill) == 1


async def test_who_is_passed_over_does_not_hide_that_a_person_has_to_be_asked(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(
        home,
        cheap,
        dear,
        policy={"ask_human_above_usd": 0.01},
        first={"context_window": 3000},
        second={"price": DEAR},
    )

    async with connected(home, tmp_path) as client:
        long = await ask(client, "Why?", context="word and word, " * 2000)
        cheap.default = Behaviour(status=401, message="bad key")
        failed = await ask(client, "How?")

    assert (long["status"], failed["status"]) == ("needs_approval", "needs_approval")
    assert "dear may cost" in failed["reason"]
    assert dear.requests == []


async def test_an_approved_panel_stays_a_panel(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear, policy={**PANEL, "ask_human_above_usd": 0.001})

    async with connected(home, tmp_path) as client:
        asked = await ask(client, "Why?")
        cli(home, "approve", asked["question_id"])
        answered = await ask(client, "Why?")

    assert [voice["expert"] for voice in answered["panel"]] == ["cheap", "dear"]
    assert (len(cheap.bill), len(dear.bill)) == (1, 1)


async def test_what_one_of_a_panel_said_outlives_a_killed_server(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear, policy=PANEL, answer_within_s=0.5)
    dear.hold()

    async with connected(home, tmp_path) as client:
        begun = await ask(client, "Why?")
        with anyio.fail_after(20):
            while not rows(home, "SELECT 1 FROM tries WHERE state = 'settled'"):
                await ask(client, "Why?")
        ((owner,),) = rows(home, "SELECT DISTINCT owner FROM tries")
        os.kill(int(owner.split(":")[1]), signal.SIGKILL)
    async with connected(home, tmp_path) as client:
        fetched = await client.call_tool(
            "expert_status", {"question_id": begun["question_id"]}
        )
        again = await ask(client, "Why?")

    assert fetched.structured_content is not None
    assert "Cheap advice." in json.dumps(fetched.structured_content)
    assert again["cached"]
    assert len(cheap.bill) == 1


async def test_a_panels_answer_is_given_again_as_the_panels(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear, policy=PANEL)

    async with connected(home, tmp_path) as client:
        await ask(client, "Why?")
        again = await ask(client, "Why?")

    assert "the panel" in again["answer"]


async def test_a_voice_of_unknown_fate_costs_nobody_knows_what(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear, policy=PANEL)
    dear.default = Behaviour(fault="reset")

    async with connected(home, tmp_path) as client:
        reply = await ask(client, "Why?")

    assert reply["panel"][1]["cost"] == "unknown"
    assert "may have been billed" in reply["reason"]


async def test_a_broken_template_of_ones_own_does_not_hide_a_stored_answer(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear)

    async with connected(home, tmp_path) as client:
        await ask(client, "Why?")
        (home / "templates").mkdir()
        (home / "templates" / "answer.md").write_text("no name here")
        again = await ask(client, "Why?")

    assert again["cached"]
    assert "Cheap advice." in again["answer"]


async def test_what_is_missing_is_asked_for_again_with_a_stored_answer(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear)
    cheap.answer("NEEDS_CONTEXT\n- the config file")

    async with connected(home, tmp_path) as client:
        await ask(client, "Why?")
        again = await ask(client, "Why?")

    assert again["cached"]
    assert "missing" in again["next_step"]
