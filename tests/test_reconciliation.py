"""Unresolved tries are settled by their provider's word, or when their time is up."""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml
from sqlalchemy import select, update

from ask_expert import house as houses
from ask_expert import reconciliation, upkeep
from ask_expert.budget import to_us
from ask_expert.escalation import Escalator
from ask_expert.house import House
from ask_expert.in_flight import Flights, Remembered
from ask_expert.ledger import leases
from ask_expert.ledger.check import check
from ask_expert.ledger.engine import writing
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import tries
from ask_expert.question import Caller, Question
from ask_expert.reconciliation import (
    FAILED_US,
    OLDER_THAN_US,
    UNREACHABLE_US,
    Failed,
)
from ask_expert.reply import Reply
from tests.end_to_end.support import always, expert, write_settings
from tests.fakes.ids import generation_id
from tests.fakes.provider import Provider
from tests.fakes.records import generation
from tests.fakes.shapes import Behaviour

pytestmark = pytest.mark.anyio

KEY = "sk-or-v1-0123456789abcdef"
GENERATION = generation_id(0)
CALLER = Caller(session="s_1", project="/work", user="ada", agent="test")
WITH_KEY = {"ROUTER_KEY": KEY}
PATIENCE_S = 20


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider(key=KEY) as running:
        yield running


@pytest.fixture
def settings(home: Path, provider: Provider, where: Path | str) -> Path:
    """A home with one expert behind OpenRouter's wire."""
    router = expert(
        provider.url,
        api="openrouter",
        base_url=provider.base("openrouter"),
        key_env="ROUTER_KEY",
    )
    write_settings(
        home, router, policy=always({"scope": "day", "usd": "1.00"}), ledger=str(where)
    )
    return home


@asynccontextmanager
async def opened(
    home: Path, environ: Mapping[str, str] = WITH_KEY
) -> AsyncGenerator[House]:
    house = houses.build(home, environ=environ)
    async with house.open():
        yield house


async def lose_a_call(home: Path, provider: Provider, text: str = "Why?") -> Reply:
    """Ask, and lose the connection before the first word of the answer."""
    provider.script(Behaviour(fault="stream_cut_first"))
    house = houses.build(home, environ={"ROUTER_KEY": KEY})
    async with Escalator(house).open() as escalator:
        return await escalator.ask(Question(text=text, caller=CALLER))


def make_older(house: House, age_us: int) -> None:
    """Let time pass for every try, by dating it back."""
    with writing(house.ledger.engine) as connection:
        connection.execute(
            update(tries).values(
                ended_us=tries.c.ended_us - age_us, lease_us=tries.c.lease_us - age_us
            )
        )


def row(ledger: Ledger) -> dict[str, Any]:
    with ledger.engine.connect() as connection:
        return dict(connection.execute(select(tries)).mappings().one())


def long_failed(house: House) -> Failed:
    """What a process remembers that has seen everything fail since yesterday."""
    long_ago_us = house.now_us() - UNREACHABLE_US
    return {row(house.ledger)["id"]: long_ago_us, "flagship": long_ago_us}


def amend(file: Path, **fields: str) -> None:
    """Change fields of the only expert in a settings file."""
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    document["experts"][0] |= fields
    file.write_text(yaml.safe_dump(document), encoding="utf-8")


async def eventually(happens: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE_S):
        while not happens():  # noqa: ASYNC110  # what is waited for is in another thread
            await anyio.sleep(0.01)


async def test_a_broken_call_is_settled_by_the_provider_s_record(
    settings: Path, provider: Provider
) -> None:
    reply = await lose_a_call(settings, provider)
    provider.records[GENERATION] = generation(GENERATION, cost_usd=0.0015)

    async with opened(settings) as house:
        before = row(house.ledger)
        (fate,) = await reconciliation.reconcile(house)
        again = await reconciliation.reconcile(house)
        kept, wrong = row(house.ledger), check(house.ledger)

    assert reply.status == "unavailable"
    assert (before["state"], before["request_id"]) == ("unresolved", GENERATION)
    assert (fate.by, fate.cost_nusd, fate.why) == ("provider", 1_500_000, "")
    assert again == []
    assert kept["state"] == "settled"
    assert kept["reconciled"] == kept["usage_source"] == "provider"
    assert kept["price_source"] == "provider"
    assert kept["cost_nusd"] == kept["reported_cost_nusd"] == 1_500_000
    assert (kept["input_tokens"], kept["output_tokens"]) == (100, 25)
    assert kept["served_model"] == "anthropic/some-model"
    assert wrong == []


async def test_what_the_provider_bills_nothing_for_is_settled_at_nothing(
    settings: Path, provider: Provider
) -> None:
    await lose_a_call(settings, provider)
    provider.records[GENERATION] = generation(GENERATION, cost_usd=0, cancelled=True)

    async with opened(settings) as house:
        (fate,) = await reconciliation.reconcile(house)
        kept = row(house.ledger)

    assert (fate.by, kept["cost_nusd"], kept["state"]) == ("provider", 0, "settled")


async def test_a_try_without_a_record_stays_until_it_is_old_and_is_worst_case_then(
    settings: Path, provider: Provider
) -> None:
    await lose_a_call(settings, provider)

    async with opened(settings) as house:
        (young,) = await reconciliation.reconcile(house)
        state = row(house.ledger)["state"]
        make_older(house, OLDER_THAN_US)
        (old,) = await reconciliation.reconcile(house)
        kept, wrong = row(house.ledger), check(house.ledger)

    assert (young.result, state) == ("unresolved", "unresolved")
    assert "knows no such request (yet)" in young.why
    assert old.result == "worst_case"
    assert kept["cost_nusd"] == kept["reserved_nusd"] == old.cost_nusd > 0
    assert (kept["reconciled"], kept["price_source"]) == ("worst_case", "worst case")
    assert kept["usage_source"] is None
    assert wrong == []


async def test_a_provider_that_cannot_be_asked_just_now_has_a_day(
    settings: Path, provider: Provider
) -> None:
    await lose_a_call(settings, provider)
    provider.records[GENERATION] = 500

    async with opened(settings) as house:
        make_older(house, OLDER_THAN_US)
        (kept,) = await reconciliation.reconcile(house)
        make_older(house, UNREACHABLE_US)
        (ended,) = await reconciliation.reconcile(house)

    assert (kept.result, ended.result) == ("unresolved", "worst_case")
    assert "HTTP 500" in ended.why


@pytest.mark.parametrize(
    "record", [500, b"<html>Bad gateway</html>", generation("gen-another", cost_usd=1)]
)
async def test_one_record_that_cannot_be_read_keeps_nobody_from_asking_for_the_next(
    settings: Path, provider: Provider, record: Any
) -> None:
    for number in range(3):
        await lose_a_call(settings, provider, f"Why {number}?")
    first, *others = (generation_id(number) for number in range(3))
    provider.records[first] = record
    provider.records |= {each: generation(each, cost_usd=0.0001) for each in others}

    async with opened(settings) as house:
        make_older(house, UNREACHABLE_US)
        fates = await reconciliation.reconcile(house)

    assert [fate.result for fate in fates] == ["worst_case", "provider", "provider"]
    assert provider.looked_up == [first, *others]


@pytest.mark.parametrize("record", [401, 403, 429])
async def test_a_provider_that_answers_nothing_is_asked_once_and_the_rest_stays(
    settings: Path, provider: Provider, record: int
) -> None:
    for number in range(2):
        await lose_a_call(settings, provider, f"Why {number}?")
    provider.records |= {generation_id(number): record for number in range(2)}

    async with opened(settings) as house:
        make_older(house, UNREACHABLE_US)
        fates = await reconciliation.reconcile(house)

    assert [fate.result for fate in fates] == ["worst_case", "unresolved"]
    assert {fate.why for fate in fates} == {f"the provider answered HTTP {record}"}
    assert provider.looked_up == [generation_id(0)]


async def test_what_is_never_asked_for_is_worst_case_though_the_provider_is_silent(
    settings: Path, provider: Provider
) -> None:
    for number in range(2):
        await lose_a_call(settings, provider, f"Why {number}?")
    provider.records[generation_id(0)] = 429

    async with opened(settings) as house:
        make_older(house, OLDER_THAN_US)
        with writing(house.ledger.engine) as connection:
            nameless = update(tries).where(tries.c.request_id == generation_id(1))
            connection.execute(nameless.values(request_id=None))
        fates = await reconciliation.reconcile(house)

    assert [fate.result for fate in fates] == ["unresolved", "worst_case"]


async def test_without_its_key_a_try_stays_unresolved_however_old(
    settings: Path, provider: Provider
) -> None:
    await lose_a_call(settings, provider)
    provider.records[GENERATION] = generation(GENERATION, cost_usd=0.0001)

    async with opened(settings, {}) as house:
        make_older(house, 2 * UNREACHABLE_US)
        swept = await reconciliation.look_after(house, long_failed(house))
        by_hand = await reconciliation.reconcile(house, older_than_us=0)
        state = row(house.ledger)["state"]

    assert [fate.result for fate in (*swept, *by_hand)] == ["unresolved"] * 2
    assert "ROUTER_KEY" in by_hand[0].why
    assert (state, provider.looked_up) == ("unresolved", [])


@pytest.mark.parametrize("record", [500, 401])
async def test_the_background_has_to_fail_for_an_hour_before_a_day_is_enough(
    settings: Path, provider: Provider, record: int
) -> None:
    """A machine that was off for a day has asked nobody."""
    await lose_a_call(settings, provider)
    provider.records[GENERATION] = record
    failed: Failed = {}

    async with opened(settings) as house:
        make_older(house, UNREACHABLE_US)
        (first,) = await reconciliation.look_after(house, failed)
        make_older(house, UNREACHABLE_US)
        (soon,) = await reconciliation.look_after(house, failed)
        for name in failed:
            failed[name] -= FAILED_US
        make_older(house, UNREACHABLE_US)
        (late,) = await reconciliation.look_after(house, failed)
        await reconciliation.look_after(house, failed)

    results = [fate.result for fate in (first, soon, late)]
    assert results == ["unresolved", "unresolved", "worst_case"]
    assert failed == {}


async def test_a_provider_that_answered_since_has_to_fail_for_an_hour_anew(
    settings: Path, provider: Provider
) -> None:
    await lose_a_call(settings, provider)
    failed: Failed = {}

    async with opened(settings) as house:
        for record in (500, generation(GENERATION, cost_usd=None), 500):
            failed |= {name: first - FAILED_US for name, first in failed.items()}
            provider.records[GENERATION] = record
            make_older(house, leases.LEASE_US * 20)
            (fate,) = await reconciliation.look_after(house, failed)
        first_us = failed[fate.of.try_id]

    assert fate.result == "unresolved"
    assert first_us > to_us(house.now()) - FAILED_US


@pytest.mark.parametrize("fields", [{"name": "another"}, {"api": "openai_chat"}])
async def test_the_background_passes_over_a_try_of_an_expert_it_does_not_know(
    settings: Path, provider: Provider, tmp_path: Path, fields: dict[str, str]
) -> None:
    await lose_a_call(settings, provider)
    other_home = tmp_path / "other"
    other_home.mkdir()
    for name in ("settings.yaml", "policy.yaml"):
        text = (settings / name).read_text(encoding="utf-8")
        (other_home / name).write_text(text, encoding="utf-8")
    amend(other_home / "settings.yaml", **fields)

    async with opened(other_home) as house:
        make_older(house, 2 * UNREACHABLE_US)
        swept = await reconciliation.look_after(house, {})
        before = row(house.ledger)["state"]
        (by_hand,) = await reconciliation.reconcile(house)

    assert (swept, before, provider.looked_up) == ([], "unresolved", [])
    assert by_hand.result == "worst_case"


async def test_a_dry_run_asks_and_writes_nothing(
    settings: Path, provider: Provider
) -> None:
    await lose_a_call(settings, provider)
    provider.records[GENERATION] = generation(GENERATION, cost_usd=0.0015)

    async with opened(settings) as house:
        before = row(house.ledger)
        (fate,) = await reconciliation.reconcile(house, dry_run=True)
        after = row(house.ledger)

    assert fate.by == "provider"
    assert after == before


async def test_a_try_of_an_expert_that_was_taken_out_ends_at_worst_case(
    settings: Path, provider: Provider
) -> None:
    await lose_a_call(settings, provider)
    router = expert(provider.url, name="another")
    text = (settings / "settings.yaml").read_text(encoding="utf-8")
    ledger = next(line for line in text.splitlines() if line.startswith("ledger:"))
    write_settings(settings, router, ledger=ledger.removeprefix("ledger: "))

    async with opened(settings) as house:
        (fate,) = await reconciliation.reconcile(house, older_than_us=0)

    assert (fate.result, provider.looked_up) == ("worst_case", [])
    assert fate.why == "the expert is not in the settings any more"


async def test_two_reconciliations_at_once_settle_each_try_once(
    settings: Path, provider: Provider
) -> None:
    await lose_a_call(settings, provider)
    provider.records[GENERATION] = generation(GENERATION, cost_usd=0.0015)
    fates: list[reconciliation.Fate] = []

    async def run(house: House) -> None:
        fates.extend(await reconciliation.reconcile(house))

    async with opened(settings) as one, opened(settings) as two:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, one)
            tasks.start_soon(run, two)
        wrong = check(one.ledger)

    assert [fate.by for fate in fates] == ["provider"]
    assert wrong == []


async def test_of_many_servers_one_asks_and_not_again_before_its_claim_lapses(
    settings: Path, provider: Provider
) -> None:
    await lose_a_call(settings, provider)

    async with opened(settings) as one, opened(settings) as two:
        in_hand = await reconciliation.look_after(one, {})
        make_older(one, leases.LEASE_US)
        first = await reconciliation.look_after(one, {})
        second = await reconciliation.look_after(two, {})
        provider.records[GENERATION] = generation(GENERATION, cost_usd=0.0015)
        make_older(one, 2 * leases.LEASE_US)
        third = await reconciliation.look_after(two, {})

    assert (in_hand, second) == ([], [])
    assert [fate.result for fate in (*first, *third)] == ["unresolved", "provider"]
    assert provider.looked_up == [GENERATION] * 2


async def test_the_sweep_of_a_server_settles_what_a_dead_one_left(
    settings: Path, provider: Provider
) -> None:
    await lose_a_call(settings, provider)

    async with opened(settings) as house:
        with writing(house.ledger.engine) as connection:
            gone = {"state": "sent", "owner": "elsewhere:1:1", "ended_us": None}
            connection.execute(update(tries).values(**gone, lease_us=1))
        flights = Flights(house, Remembered())
        await upkeep.sweep(house, flights, {})
        swept = row(house.ledger)
        make_older(house, OLDER_THAN_US + leases.LEASE_US)
        await upkeep.sweep(house, flights, {})
        ended = row(house.ledger)

    assert (swept["state"], swept["reconciled"]) == ("unresolved", None)
    assert (ended["state"], ended["reconciled"]) == ("settled", "worst_case")


async def test_a_renewal_writes_what_a_crash_leaves_to_be_asked_by(
    settings: Path, provider: Provider
) -> None:
    """The stream has begun, its id is known; then everything but the ledger is lost."""
    provider.script(Behaviour(fault="stream_stall"))
    provider.records[GENERATION] = generation(GENERATION, cost_usd=0.0015)
    house = houses.build(settings, environ={"ROUTER_KEY": KEY})
    escalator = Escalator(house)
    flights = escalator._flights  # pyright: ignore[reportPrivateUsage]
    seen: list[object] = []
    with anyio.move_on_after(PATIENCE_S) as scope:
        async with escalator.open(), anyio.create_task_group() as tasks:
            tasks.start_soon(escalator.ask, Question(text="Why?", caller=CALLER))
            await eventually(
                lambda: (
                    [each.request_id for each in flights.under_way().values()]
                    == [GENERATION]
                )
            )
            renewed_us = house.now_us() + leases.RENEW_AFTER_US
            seen.append(
                leases.renew(house.ledger, flights.under_way(), now_us=renewed_us)
            )
            seen.append(house.ledger.sweep(now_us=renewed_us + leases.LEASE_US))
            kept = row(house.ledger)
            seen.append((kept["state"], kept["request_id"]))
            scope.cancel()

    assert seen == [True, [], ("sent", GENERATION)]
    async with opened(settings) as later:
        after_us = to_us(later.now()) + 3 * leases.LEASE_US
        swept = later.ledger.sweep(now_us=after_us)
        (fate,) = await reconciliation.reconcile(later)
    assert swept == [fate.of.try_id]
    assert fate.by == "provider"
