"""The ladder, from a client's question to what two providers billed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.support import (
    always,
    ask,
    connected,
    expert,
    rows,
    write_settings,
)
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour

pytestmark = pytest.mark.anyio
DAY = {"scope": "day", "usd": "5.00"}
CHECK = {"tests": {"command": ["false"]}}


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
    first = {"name": "cheap", "max_tries": 1, **more.pop("first", {})}
    write_settings(
        home,
        expert(cheap.url, **first),
        expert(dear.url, name="dear", **more.pop("second", {})),
        policy=policy,
        **more,
    )


def escalations(home: Path) -> list[tuple[Any, ...]]:
    return rows(
        home,
        "SELECT e.expert, e.finish, t.state FROM escalations e JOIN tries t ON "
        "t.escalation_id = e.id ORDER BY e.position, t.number",
    )


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, None), (429, "insufficient_quota"), (404, "model_not_found")],
)
async def test_outage_and_quota_fall_to_the_next_expert_at_no_cost(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider, status: int, code: str
) -> None:
    two(home, cheap, dear)
    cheap.default = Behaviour(status=status, code=code, message="not now")

    async with connected(home, tmp_path) as client:
        reply = await ask(client, "Why?")

    assert reply["status"] == "answered"
    assert reply["expert"]["asked"] == "dear"
    assert "not now" in reply["reason"]
    assert escalations(home) == [
        ("cheap", None, "released"),
        ("dear", "stop", "settled"),
    ]


async def test_a_refusal_is_an_outcome_and_the_next_expert_is_asked(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear)
    cheap.answer("I cannot help with that.", finish="refusal")

    async with connected(home, tmp_path) as client:
        reply = await ask(client, "Why?")

    assert reply["status"] == "answered"
    assert reply["expert"]["asked"] == "dear"
    assert "cheap: refused_by_expert" in reply["reason"]
    paid = rows(home, "SELECT SUM(cost_nusd) FROM tries")[0][0]
    assert round(reply["cost_usd"] * 10**9) == paid
    assert len(cheap.bill) == len(dear.bill) == 1


async def test_a_refusal_of_all_is_told_as_such_and_not_as_a_fault(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear)
    cheap.answer("No.", finish="refusal")
    dear.answer("No.", finish="refusal")

    async with connected(home, tmp_path) as client:
        reply = await ask(client, "Why?")

    assert reply["status"] == "unavailable"
    assert reply["reason"].startswith("refused_by_expert")
    assert rows(home, "SELECT status FROM questions") == [("refused_by_expert",)]


async def test_an_answer_that_may_be_billed_ends_it_unless_the_policy_says_go_on(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear)
    cheap.default = Behaviour(fault="cut")
    async with connected(home, tmp_path) as client:
        stopped = await ask(client, "Why?")
    two(home, cheap, dear, policy={"after_unknown": "next_expert"})
    async with connected(home, tmp_path) as client:
        went_on = await ask(client, "How?")

    assert stopped["status"] == "unavailable"
    assert went_on["expert"]["asked"] == "dear"
    assert len(dear.bill) == 1


async def test_new_evidence_after_an_answer_climbs(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear)

    async with connected(home, tmp_path) as client:
        first = await ask(client, "Why does it hang?", task="t", tried=["a"])
        again = await ask(client, "Why does it hang?", task="t", tried=["a"])
        more = await ask(client, "Why does it hang?", task="t", tried=["a", "b"])
        other = await ask(client, "Where is it?", task="t")

    assert first["expert"]["asked"] == "cheap"
    assert again["cached"]
    assert more["expert"]["asked"] == "dear"
    assert other["expert"]["asked"] == "cheap"


async def test_a_check_that_still_fails_in_a_thread_climbs_and_can_be_forbidden(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear, checks=CHECK, policy={"climb": ["check_failed"]})
    async with connected(home, tmp_path) as client:
        first = await ask(client, "Why?")
        same = await ask(client, "And then?", thread=first["thread"])
        failed = await ask(client, "Still red?", thread=first["thread"], check="tests")
    two(home, cheap, dear, checks=CHECK, policy={"climb": []})
    async with connected(home, tmp_path) as client:
        begun = await ask(client, "What now?")
        stays = await ask(client, "Red again?", thread=begun["thread"], check="tests")

    assert same["expert"]["asked"] == "cheap"
    assert failed["expert"]["asked"] == "dear"
    assert stays["expert"]["asked"] == "cheap"
    assert len(dear.requests[0].json["messages"]) == 6


async def test_a_long_question_goes_to_the_expert_whose_window_fits(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear, first={"context_window": 4096})

    async with connected(home, tmp_path) as client:
        long = await ask(client, "Why?", context="word and word, " * 2000)
        short = await ask(client, "How?")

    assert long["expert"]["asked"] == "dear"
    assert "at most 4,096 tokens" in long["reason"]
    assert short["expert"]["asked"] == "cheap"
    assert len(cheap.requests) == 1


async def test_older_turns_are_left_out_where_the_window_is_short(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear, first={"context_window": 6000})
    cheap.default = Behaviour(text="word and word " * 700)

    async with connected(home, tmp_path) as client:
        thread = (await ask(client, "Question 0?"))["thread"]
        replies = [
            await ask(client, f"Question {n}?", thread=thread) for n in range(1, 5)
        ]

    assert {reply["expert"]["asked"] for reply in replies} == {"cheap"}
    assert any("thread" in each for each in replies[-1]["left_out"])
    assert len(cheap.requests[-1].json["messages"]) < 8


async def test_an_expert_that_is_down_is_left_alone_by_the_next_server_too(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear, first={"break_after": 2})
    cheap.default = Behaviour(status=500, message="broken")

    replies: list[dict[str, Any]] = []
    for number in range(4):
        async with connected(home, tmp_path) as client:
            replies.append(await ask(client, f"Question {number}?"))

    assert {reply["expert"]["asked"] for reply in replies} == {"dear"}
    assert len(cheap.requests) == 2
    assert "cheap rests until" in replies[-1]["reason"]


async def test_a_panel_that_agrees_gives_one_answer_and_the_cost_of_each(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear, policy={"rules": [{"when": "always", "panel": 2}]})
    cheap.answer("ANSWER: the lock is not re-entrant\n\nUse RLock.")
    dear.answer("ANSWER: lock is not re-entrant\n\nCall it outside.")

    async with connected(home, tmp_path) as client:
        reply = await ask(client, "Why?")
        again = await ask(client, "Why?")

    assert "2 of 2 experts agree: cheap, dear." in reply["answer"]
    assert "Use RLock." in reply["answer"]
    assert "Call it outside." not in reply["answer"]
    assert [(each["expert"], each["agrees"]) for each in reply["panel"]] == [
        ("cheap", True),
        ("dear", True),
    ]
    each = sum(voice["cost_usd"] for voice in reply["panel"])
    assert each == pytest.approx(reply["cost_usd"])
    assert "Use RLock." in again["answer"]
    assert again["cached"]
    assert len(cheap.bill) == len(dear.bill) == 1


async def test_a_panel_that_disagrees_shows_what_each_says(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear, policy={"rules": [{"when": "always", "panel": 2}]})
    cheap.answer("ANSWER: 41")
    dear.answer("ANSWER: 42")

    async with connected(home, tmp_path) as client:
        reply = await ask(client, "How many?")

    assert "The experts disagree" in reply["answer"]
    assert "ANSWER: 41" in reply["answer"]
    assert "ANSWER: 42" in reply["answer"]
    assert rows(home, "SELECT status FROM questions") == [("answered",)]


async def test_one_voice_of_a_panel_is_enough(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear, policy={"rules": [{"when": "always", "panel": 2}]})
    cheap.default = Behaviour(status=401, message="bad key")
    dear.answer("ANSWER: 42")

    async with connected(home, tmp_path) as client:
        reply = await ask(client, "How many?")

    assert reply["status"] == "answered"
    assert "bad key" in reply["reason"]


async def test_a_panel_never_passes_a_cap(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    limit = {"scope": "day", "usd": "0.01", "calls": 1}
    policy = {"rules": [{"when": "always", "panel": 2}], "budgets": [limit]}
    two(home, cheap, dear, policy=policy)

    async with connected(home, tmp_path) as client:
        reply = await ask(client, "How many?")

    assert reply["status"] == "answered"
    assert len(cheap.bill) + len(dear.bill) == 1
    assert "all 1 calls of the day" in reply["reason"].lower()


async def test_what_the_expert_lacks_is_asked_of_the_agent(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear)
    cheap.answer("NEEDS_CONTEXT\n- the config file")

    async with connected(home, tmp_path) as client:
        reply = await ask(client, "Why?")

    assert reply["status"] == "answered"
    assert reply["thread"] in reply["next_step"]
    assert "missing" in reply["next_step"]
    assert rows(home, "SELECT finish FROM escalations") == [("needs_context",)]


async def test_a_broken_stream_keeps_its_text_and_is_charged_in_full(
    home: Path, tmp_path: Path, cheap: Provider, dear: Provider
) -> None:
    two(home, cheap, dear)
    cheap.script(Behaviour(text="Half of it. " * 20, fault="stream_cut"))

    async with connected(home, tmp_path) as client:
        reply = await ask(client, "Why?")
        again = await ask(client, "Why?")

    assert reply["partial"] is True
    assert "Half of it." in reply["answer"]
    assert again["partial"] is True
    assert len(cheap.bill) == 1
    ((state, cost, reserved, first),) = rows(
        home, "SELECT state, cost_nusd, reserved_nusd, first_token_us FROM tries"
    )
    whole_ceiling = 500 * 10_000
    assert state == "settled"
    assert whole_ceiling < cost <= reserved
    assert first > 0
