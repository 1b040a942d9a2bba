"""Budgets of every kind, from a client's question to what a provider billed."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.support import (
    always,
    ask,
    cli,
    connected,
    expert,
    report,
    rows,
    write_settings,
)
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour
from tests.ledger.test_faults import damaged_file

pytestmark = pytest.mark.anyio

# Exactly one cent a call: 10,000 output tokens at $1 per million, and free input.
CENT: dict[str, Any] = {
    "price": {"input_per_mtok": "0", "output_per_mtok": "1.00"},
    "max_output_tokens": 10_000,
    "max_tries": 1,
}


async def test_one_project_s_month_is_full_and_another_s_is_not(
    home: Path, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    with Provider(Behaviour(output_tokens=10_000)) as provider:
        write_settings(
            home,
            expert(provider.url, **CENT),
            policy=always(
                {"scope": "month", "per": ["project", "expert"], "usd": "0.01"}
            ),
        )
        async with connected(home, here) as client:
            first = await ask(client, "Why does it hang?")
            second = await ask(client, "Is it really so?")
        async with connected(home, there) as client:
            third = await ask(client, "Is it really so?")

    assert [each["status"] for each in (first, second, third)] == [
        "answered",
        "refused",
        "answered",
    ]
    assert f"budget of project {here} and expert flagship, $0.01," in second["reason"]
    assert "; it renews at " in second["reason"]
    assert len(provider.bill) == 2
    shown = {each["per"]["project"]: each for each in report(home)["budgets"]}
    assert shown[str(there)]["left_usd"] == 0


async def test_a_budget_in_tokens_shrinks_the_ceiling_and_then_refuses(
    home: Path, tmp_path: Path
) -> None:
    with Provider(Behaviour(input_tokens=50, output_tokens=6000)) as provider:
        write_settings(
            home,
            expert(provider.url, **CENT),
            policy=always({"scope": "day", "tokens": 8000, "usd": 1}),
        )
        async with connected(home, tmp_path) as client:
            first = await ask(client, "Why does it hang?")
            second = await ask(client, "Is it really so?")

    ((bound, ceiling),) = rows(
        home, "SELECT input_bound_tokens, output_ceiling_tokens FROM tries"
    )
    assert bound + ceiling == 8000
    assert first["status"] == "answered"
    assert second["status"] == "refused"
    assert "budget, 8,000 tokens, has 1,950 left" in second["reason"]
    assert rows(home, "SELECT tokens, reserved_tokens FROM windows") == [(6050, 0)]


async def test_a_rolling_budget_does_not_say_when_there_will_be_room(
    home: Path, tmp_path: Path
) -> None:
    with Provider(Behaviour(output_tokens=10_000)) as provider:
        write_settings(
            home,
            expert(provider.url, **CENT),
            policy=always({"scope": "hour", "rolling": True, "usd": "0.015"}),
        )
        async with connected(home, tmp_path) as client:
            first = await ask(client, "Why does it hang?")
            second = await ask(client, "Is it really so?")
            third = await ask(client, "And this?")

    # What is left of the hour pays for 5,000 tokens of output; the reply has more.
    assert (first["status"], second["status"]) == ("answered", "answered")
    assert third["status"] == "refused"
    assert "The rolling hour budget of $0.015 has $0.00 left" in third["reason"]
    assert "when there will be enough is not known" in third["reason"]


async def test_a_soft_budget_asks_a_person_and_warns_once_across_restarts(
    home: Path, tmp_path: Path
) -> None:
    with Provider(Behaviour(output_tokens=10_000)) as provider:
        write_settings(
            home,
            expert(provider.url, **CENT),
            policy=always(
                {"scope": "day", "usd": "0.01", "mode": "soft"},
                {"scope": "day", "usd": "0.02"},
            ),
        )
        async with connected(home, tmp_path) as client:
            await ask(client, "Why does it hang?")
            warned = await ask(client, "Is it really so?")
        async with connected(home, tmp_path) as client:
            again = await ask(client, "What else?")
            approved = cli(home, "approve", warned["question_id"])
            answered = await ask(client, "Is it really so?")
            hard = cli(home, "approve", again["question_id"])
            refused = await ask(client, "What else?")

    assert (warned["status"], again["status"]) == ("needs_approval", "needs_approval")
    assert "you are warned once" in warned["reason"]
    assert "you are warned once" not in again["reason"]
    assert "has $0.00 left" in again["reason"]
    assert (approved.returncode, hard.returncode) == (0, 0)
    assert answered["status"] == "answered"
    assert refused["status"] == "refused"
    assert len(provider.bill) == 2


async def test_a_budget_that_degrades_asks_the_next_cheaper_expert(
    home: Path, tmp_path: Path
) -> None:
    with (
        Provider(Behaviour(output_tokens=10)) as small,
        Provider(Behaviour(output_tokens=100)) as middle,
        Provider(Behaviour(output_tokens=10_000)) as large,
    ):
        day = {"scope": "day", "per": ["expert"], "usd": "0.01", "mode": "degrade"}
        write_settings(
            home,
            expert(small.url, **{**CENT, "name": "small"}),
            expert(middle.url, **{**CENT, "name": "middle"}),
            expert(large.url, **{**CENT, "name": "large"}),
            policy={**always(day), "ladder": ["small", "middle", "large"]},
        )
        async with connected(home, tmp_path) as client:
            asked = await ask(client, "Why?")
            thread = asked["thread"]
            climb = [await ask(client, "Why?", error="E1", thread=thread)]
            climb += [await ask(client, "Why?", error="E2", thread=thread)]
            last = await ask(client, "Why?", error="E3", thread=thread)

    assert asked["expert"]["asked"] == "small"
    assert [each["expert"]["asked"] for each in climb] == ["middle", "large"]
    # The large one's cent is spent: the one below it is asked, not the smallest.
    assert last["expert"]["asked"] == "middle"
    assert "No room for large in the day" in last["reason"]
    assert [len(each.bill) for each in (small, middle, large)] == [1, 2, 1]


def dry(home: Path, question: str) -> dict[str, Any]:
    done = cli(home, "ask", "--dry-run", "--json", question)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_a_dry_run_foresees_a_soft_budget_and_warns_nobody(
    home: Path, tmp_path: Path
) -> None:
    with Provider(Behaviour(output_tokens=10_000)) as provider:
        write_settings(
            home,
            expert(provider.url, **CENT),
            policy=always(
                {"scope": "day", "usd": "0.01", "mode": "soft"},
                {"scope": "day", "usd": "0.02"},
            ),
        )
        async with connected(home, tmp_path) as client:
            await ask(client, "Why does it hang?")
            foreseen = dry(home, "Is it really so?")
            real = await ask(client, "Is it really so?")

    assert (foreseen["decision"], foreseen["rule"]) == ("ask_human", "soft_budget")
    assert "budget of $0.01 has $0.00 left" in foreseen["reason"]
    assert foreseen["reason"] in real["reason"]
    # The dry run did not use up the warning.
    assert (real["status"], len(provider.bill)) == ("needs_approval", 1)
    assert "you are warned once" in real["reason"]


async def test_a_dry_run_foresees_whom_a_budget_that_degrades_leaves(
    home: Path, tmp_path: Path
) -> None:
    with Provider(Behaviour(output_tokens=10_000)) as provider:
        degrades = {"scope": "day", "per": ["expert"], "usd": "0.01", "mode": "degrade"}
        policy = {**always(degrades), "ladder": ["small", "large"]}
        small = expert(provider.url, **{**CENT, "name": "small"})
        large = expert(provider.url, **{**CENT, "name": "large"})
        write_settings(home, small, large, policy=policy)
        async with connected(home, tmp_path) as client:
            first = await ask(client, "Why?")
            upper = dry(home, "Is it so?")
            second = await ask(client, "Is it so?")
            none = dry(home, "What else?")
            refused = await ask(client, "What else?")

    assert first["expert"]["asked"] == "small"
    assert (upper["decision"], upper["expert"]) == ("escalate", "large")
    assert (second["expert"]["asked"], second["budget_left_usd"]) == ("large", 0)
    assert (none["decision"], none["expert"]) == ("refuse", "small")
    assert none["why_not"] == none["reason"] + "."
    assert refused["status"] == "refused"
    assert refused["reason"] == none["why_not"]


async def test_a_dry_run_shows_the_very_bytes_that_a_tight_budget_lets_leave(
    home: Path, tmp_path: Path
) -> None:
    with Provider(Behaviour(output_tokens=3_000)) as provider:
        write_settings(
            home,
            expert(provider.url, **CENT),
            policy=always({"scope": "day", "usd": "0.005"}),
        )
        foreseen = dry(home, "Why does it hang?")
        async with connected(home, tmp_path) as client:
            await ask(client, "Why does it hang?")

    assert (foreseen["output_tokens"], foreseen["worst_case_usd"]) == (5_000, 0.005)
    assert json.loads(foreseen["body"]) == provider.requests[0].json


async def test_what_is_left_in_a_reply_is_that_of_the_expert_asked_or_refused(
    home: Path, tmp_path: Path
) -> None:
    month = {"scope": "month", "per": ["expert"], "usd": "0.03"}
    with Provider(Behaviour(output_tokens=10_000)) as provider:
        write_settings(
            home,
            expert(provider.url, **{**CENT, "name": "small"}),
            expert(provider.url, **{**CENT, "name": "large"}),
            policy={
                **always(month, {"scope": "day", "usd": "0.04"}),
                "ladder": ["small", "large"],
            },
        )
        async with connected(home, tmp_path) as client:
            asked = await ask(client, "Why?")
            thread = asked["thread"]
            climbed = await ask(client, "Why?", error="E1", thread=thread)
            again = await ask(client, "Why?", error="E2", thread=thread)
            last = await ask(client, "Why?", error="E3", thread=thread)
            refused = await ask(client, "Why?", error="E4", thread=thread)

    assert [each["expert"]["asked"] for each in (asked, climbed, again, last)] == [
        "small",
        "large",
        "large",
        "large",
    ]
    assert [each["budget_left_usd"] for each in (asked, climbed, again, last)] == [
        0.02,
        0.02,
        0.01,
        0,
    ]
    assert (refused["status"], refused["budget_left_usd"]) == ("refused", 0)


@pytest.mark.parametrize("database_of", ["sqlite", "postgresql"])
async def test_a_cap_lowered_below_what_is_spent_leaves_nothing_and_says_so(
    home: Path, tmp_path: Path, request: pytest.FixtureRequest, database_of: str
) -> None:
    more: dict[str, object] = {}
    if database_of == "postgresql":
        more["ledger"] = request.getfixturevalue("database")
    with Provider(Behaviour(output_tokens=10_000)) as provider:
        one = expert(provider.url, **CENT)
        write_settings(
            home, one, policy=always({"scope": "month", "usd": "0.05"}), **more
        )
        async with connected(home, tmp_path) as client:
            for text in ("One?", "Two?", "Three?"):
                await ask(client, text)
        write_settings(
            home, one, policy=always({"scope": "month", "usd": "0.02"}), **more
        )
        foreseen = dry(home, "Four?")
        async with connected(home, tmp_path) as client:
            refused = await ask(client, "Four?")
        (shown,) = report(home)["budgets"]
        told = cli(home, "report").stdout

    assert foreseen["decision"] == "refuse"
    assert (refused["status"], refused["budget_left_usd"]) == ("refused", 0)
    assert "budget of $0.02 has $0.00 left" in refused["reason"]
    assert len(provider.bill) == 3
    assert (shown["spent_usd"], shown["left_usd"]) == (0.03, 0)
    assert "$0.00 of $0.02 left" in told
    assert cli(home, "ledger", "check").returncode == 0


async def test_a_damaged_ledger_sends_nothing_and_its_check_says_so(
    home: Path, tmp_path: Path
) -> None:
    with Provider(Behaviour(output_tokens=10)) as provider:
        write_settings(
            home,
            expert(provider.url, **CENT),
            policy=always({"scope": "day", "usd": 1}),
        )
        async with connected(home, tmp_path) as client:
            await ask(client, "Why does it hang?")
        damaged_file(home / "ledger.db", "windows")
        async with connected(home, tmp_path) as client:
            reply = await ask(client, "Is it really so?")
        checked = cli(home, "ledger", "check")

    assert reply["status"] == "unavailable"
    assert "malformed" in reply["reason"]
    assert len(provider.requests) == 1
    assert checked.returncode != 0
    assert "malformed" in checked.stdout + checked.stderr
    assert "Traceback" not in checked.stdout + checked.stderr
