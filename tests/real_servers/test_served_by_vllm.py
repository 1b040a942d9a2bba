"""The whole road to a real vLLM: client, `ask-expert serve`, ledger, price."""

from pathlib import Path

import pytest

from tests.end_to_end.support import (
    ask,
    connected,
    expert,
    report,
    rows,
    write_settings,
)
from tests.real_servers.support import APIS, Server
from tests.real_servers.tiny_model import ANSWER, ENDLESS_WORD

pytestmark = [pytest.mark.anyio, pytest.mark.vllm]

PRICE = {"input_per_mtok": "0.50", "output_per_mtok": "2.00"}
_ROW = (
    "SELECT state, usage_source, input_tokens + cache_read_tokens, cache_write_tokens, "
    "output_tokens, "
    "cost_nusd, reserved_nusd, price_source, asked_model, served_model, finish_reason, "
    "first_token_us FROM tries ORDER BY sent_us"
)


def stand_in(server: Server, api: str, **facts: object) -> dict[str, object]:
    return expert(server.url, **{**_served(server, api), "price": PRICE, **facts})


def _served(server: Server, api: str) -> dict[str, object]:
    base = str(server.expert(api).base_url)
    return {"api": api, "base_url": base, "model": server.model}


@pytest.mark.parametrize("api", APIS)
async def test_an_agent_gets_vllms_answer_and_the_ledger_has_its_tokens_at_our_price(
    vllm: Server, home: Path, tmp_path: Path, api: str
) -> None:
    write_settings(home, stand_in(vllm, api))

    async with connected(home, tmp_path) as client:
        reply = await ask(client, "Why does the counter lose updates?")

    assert reply["status"] == "answered", reply["reason"]
    assert ANSWER in reply["answer"]
    (row,) = rows(home, _ROW)
    state, usage, read, cached, written, cost, reserved, source, *models = row[:10]
    assert (state, usage, source) == ("settled", "provider", "settings")
    assert models == [vllm.model, vllm.model]
    assert read + cached > len("Why does the counter lose updates?")
    assert written == 8
    # vLLM tells what it writes to its prefix cache, which costs 1.25 times the input.
    assert cost == read * 500 + cached * 625 + written * 2000
    assert cost <= reserved
    assert report(home)["cost_usd"] == reply["cost_usd"] == cost / 1e9


async def test_a_follow_up_is_answered_in_its_thread(
    vllm: Server, home: Path, tmp_path: Path
) -> None:
    write_settings(home, stand_in(vllm, "openai_responses"))

    async with connected(home, tmp_path) as client:
        first = await ask(client, "Why does the counter lose updates?")
        second = await ask(client, "And without a lock?", thread=first["thread"])

    assert second["status"] == "answered", second["reason"]
    assert second["thread"] == first["thread"]
    before, after = rows(home, _ROW)
    assert sum(after[2:4]) > sum(before[2:4]) + len(ANSWER)


async def test_an_answer_cut_at_the_ceiling_is_on_record_as_that(
    vllm: Server, home: Path, tmp_path: Path
) -> None:
    write_settings(home, stand_in(vllm, "openai_chat", max_output_tokens=40))

    async with connected(home, tmp_path) as client:
        reply = await ask(client, f"Count {ENDLESS_WORD}.")

    assert reply["status"] == "answered", reply["reason"]
    ((_, _, _, _, written, *_, finish, first_token_us),) = rows(home, _ROW)
    assert written == 40
    assert finish == "length"
    assert first_token_us > 0


async def test_a_model_that_vllm_does_not_serve_costs_nothing_and_says_what_to_do(
    vllm: Server, home: Path, tmp_path: Path
) -> None:
    write_settings(home, stand_in(vllm, "openai_chat", model="some-other"))

    async with connected(home, tmp_path) as client:
        reply = await ask(client, "Why does the counter lose updates?")

    assert reply["status"] == "unavailable"
    assert "some-other" in reply["reason"]
    assert [row[0] for row in rows(home, _ROW)] == ["released"]
    assert report(home)["cost_usd"] == 0
