"""
Answers in pieces, over every wire: the same as in one piece, and what breaks them.

A stream that breaks leaves what has come, and never costs less than it may have.
"""

from dataclasses import replace

import anyio
import httpx2
import pytest

from ask_expert.errors import (
    ExpertError,
    ExpertRejectedError,
    ExpertReplyError,
    ExpertUnavailableError,
)
from ask_expert.experts import http
from ask_expert.experts.prices import charge, quote
from ask_expert.experts.registry import wire_for
from ask_expert.reply import Charge, ExpertAnswer
from ask_expert.settings import ExpertSettings
from tests.contract.support import CEILING, MODELS, ask, at
from tests.experts.support import KEY, NOW, PROMPT
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour, Fault, Wire

pytestmark = pytest.mark.anyio
WIRES = list(MODELS)
TEXT = "Use a lock around the counter, then run the test again – 🧠."
PRICE = {"input_per_mtok": 1, "output_per_mtok": 10}
INPUT_TOLD = frozenset({"anthropic", "gemini"})
"""The wires that tell the input before the answer ends."""


def priced(expert: ExpertSettings, answer: ExpertAnswer) -> tuple[Charge, int]:
    """Return what an answer is charged, and the worst case that was reserved."""
    request = wire_for(expert.api).encode(expert, PROMPT, max_output_tokens=CEILING)
    bound = quote(expert, request.body, NOW)
    cost = charge(
        expert,
        answer,
        NOW,
        assumed_input_tokens=bound.input_tokens,
        assumed_output_tokens=CEILING,
    )
    return cost, bound.worst_case_nusd(CEILING)


def billed_nusd(provider: Provider) -> int:
    (bill,) = provider.bill
    return bill.input_tokens * 1_000 + bill.output_tokens * 10_000


async def failure(
    client: httpx2.AsyncClient, expert: ExpertSettings, *, deadline_s: float = 30
) -> ExpertError:
    with pytest.raises(ExpertError) as caught:
        await ask(client, expert, deadline_s=deadline_s)
    return caught.value


SAME = {
    "an answer": Behaviour(text=TEXT),
    "a thoughtful one": Behaviour(
        text=TEXT, cache_read_tokens=40, output_tokens=90, reasoning_tokens=60
    ),
    "another model": Behaviour(text=TEXT, model="served-2", service_tier="flex"),
    "lines and spaces": Behaviour(text="  def f():\n\n\treturn 1\n"),
    "length": Behaviour(text=TEXT, finish="length"),
    "refusal": Behaviour(text="I will not.", finish="refusal"),
    "content filter": Behaviour(text=TEXT, finish="content_filter"),
    "no usage": Behaviour(text=TEXT, usage="none"),
    "absurd usage": Behaviour(text=TEXT, usage="absurd"),
    "compressed": Behaviour(text=TEXT, fault="stream_gzip"),
    "stream ignored": Behaviour(text=TEXT, fault="ignores_stream"),
}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("name", SAME)
async def test_a_stream_says_what_a_reply_in_one_piece_says(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire, name: str
) -> None:
    provider.default = SAME[name]

    pieces = await ask(client, at(provider, wire))
    whole = await ask(client, at(provider, wire, stream=False))

    told = replace(pieces.provenance, request_id=whole.provenance.request_id)
    assert replace(pieces, provenance=told, first_token_us=None) == whole
    assert pieces.provenance.request_id
    # what is written off, and what comes in one piece, has no first token
    spoken = whole.finish in {"stop", "length"} and name != "stream ignored"
    assert pieces.first_token_us is not None or not spoken
    assert whole.first_token_us is None


@pytest.mark.parametrize("wire", ["anthropic", "openrouter"])
async def test_extra_facts_of_a_stream_are_read(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire
) -> None:
    extra = (
        Behaviour(advisor_tokens=(300, 20), speed="fast")
        if wire == "anthropic"
        else Behaviour(cost_usd="0.000123456789", upstream_usd="0.01")
    )
    provider.default = extra

    pieces = await ask(client, at(provider, wire))
    whole = await ask(client, at(provider, wire, stream=False))

    assert (pieces.usage, pieces.speed) == (whole.usage, whole.speed)
    assert pieces.reported_cost_usd == whole.reported_cost_usd
    assert pieces.provenance.provider == whole.provenance.provider


BREAKS: dict[Fault, str] = {
    "stream_cut": "stream broke: RemoteProtocolError",
    "stream_reset": "stream broke: ReadError",
    "stream_ends_early": "stream ended early",
    "stream_garbage": "stream broke: it holds an event that makes no sense",
    "stream_error_after": "stream broke: The provider says 502.",
    "stream_stall": "deadline of 1 s",
}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", BREAKS)
async def test_a_stream_that_breaks_leaves_a_part_and_costs_the_worst(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire, fault: Fault
) -> None:
    provider.script(Behaviour(text=TEXT, fault=fault, output_tokens=CEILING))
    expert = at(provider, wire, price=PRICE)
    deadline_s = 1 if fault == "stream_stall" else 30

    answer = await ask(client, expert, deadline_s=deadline_s)
    cost, reserved = priced(expert, answer)

    assert (answer.finish, answer.provenance.finish_reason) == (
        "partial",
        BREAKS[fault],
    )
    assert answer.text
    assert answer.text != TEXT
    assert TEXT.startswith(answer.text)
    assert answer.first_token_us is not None
    assert answer.provenance.served_model == MODELS[wire]
    source = "partial" if wire in INPUT_TOLD else "estimated"
    assert answer.usage.source == source
    assert billed_nusd(provider) <= cost.nusd <= reserved
    assert cost.detail["usage"] == source
    assert len(provider.requests) == 1


@pytest.mark.parametrize("wire", sorted(INPUT_TOLD))
async def test_the_input_that_was_told_before_the_break_is_the_input_charged(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire
) -> None:
    provider.script(Behaviour(text=TEXT, fault="stream_cut", input_tokens=77))
    expert = at(provider, wire, price=PRICE)

    cost, _ = priced(expert, await ask(client, expert))

    # 77 × $1/M + the whole ceiling of 500 × $10/M
    assert cost.nusd == 77_000 + 5_000_000


SILENT: dict[Fault, str] = {
    "stream_cut_first": "the connection broke (RemoteProtocolError)",
    "stream_garbage_first": "the reply holds an event that makes no sense",
    "stream_gzip_bomb": "larger than 8,000,000 bytes",
    "stream_comments": "no reply within 0.4 s",
}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", SILENT)
async def test_a_stream_that_breaks_before_any_text_may_be_billed(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire, fault: Fault
) -> None:
    provider.script(Behaviour(text=TEXT, fault=fault))
    deadline_s = 0.4 if fault == "stream_comments" else 30

    error = await failure(client, at(provider, wire), deadline_s=deadline_s)

    assert type(error) is ExpertReplyError
    assert (error.billed, error.retryable) == ("unknown", False)
    assert f"{SILENT[fault]}; it may have been billed." in str(error)
    assert len(provider.requests) == len(provider.bill) == 1


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("code", ["429", "502", "529"])
async def test_an_error_before_any_text_is_the_provider_s_own(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire, code: str
) -> None:
    provider.script(Behaviour(fault="stream_error_first", code=code))

    error = await failure(client, at(provider, wire))

    assert type(error) is ExpertUnavailableError
    assert f"The provider says {code}" in str(error)
    assert error.billed == "unknown"  # it may have thought before


async def test_a_refusal_within_a_stream_is_no_passing_failure(
    client: httpx2.AsyncClient, provider: Provider
) -> None:
    provider.script(Behaviour(fault="stream_error_first", code="400"))

    error = await failure(client, at(provider, "anthropic"))

    assert type(error) is ExpertRejectedError


@pytest.mark.parametrize("wire", WIRES)
async def test_a_text_that_is_whole_without_its_counts_is_an_answer(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire
) -> None:
    provider.script(
        Behaviour(text=TEXT, fault="stream_cut_before_counts", output_tokens=CEILING)
    )
    expert = at(provider, wire, price=PRICE)

    answer = await ask(client, expert)
    cost, reserved = priced(expert, answer)

    assert (answer.text, answer.finish) == (TEXT, "stop")
    late = wire in {"openai_chat", "openrouter"}
    assert answer.usage.source == ("estimated" if late else "provider")
    assert billed_nusd(provider) <= cost.nusd <= reserved


@pytest.mark.parametrize("wire", WIRES)
async def test_a_whole_answer_does_not_wait_for_a_connection_that_stays_open(
    client: httpx2.AsyncClient,
    provider: Provider,
    wire: Wire,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "_TAIL_S", 0.1)
    provider.script(Behaviour(text=TEXT, fault="stream_stays_open"))

    answer = await ask(client, at(provider, wire), deadline_s=600)

    assert (answer.text, answer.finish) == (TEXT, "stop")
    assert answer.usage.source == "provider"


@pytest.mark.parametrize("wire", WIRES)
async def test_whoever_watches_is_told_how_far_the_answer_is(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire
) -> None:
    provider.answer(TEXT)
    provider.script(Behaviour(text=TEXT, fault="stream_cut"))
    seen: list[int] = []

    await ask(client, at(provider, wire), watch=seen.append)
    whole = seen.copy()
    seen.clear()
    part = await ask(client, at(provider, wire), watch=seen.append)

    assert whole == sorted(set(whole))
    assert whole[-1] == len(TEXT)
    assert seen[-1] == len(part.text)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", [None, "stream_error_after"])
async def test_a_key_that_comes_back_in_two_pieces_is_taken_out(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire, fault: Fault | None
) -> None:
    provider.script(
        Behaviour(text=f"{KEY} is {KEY}", fault=fault, message=f"{KEY} is wrong")
    )

    answer = await ask(client, at(provider, wire))

    assert answer.text == "[key] is [key]" or fault
    assert answer.text.startswith("[key]")
    assert KEY not in repr(answer)


@pytest.mark.parametrize("wire", WIRES)
async def test_the_beginning_of_a_key_is_taken_out_where_the_stream_broke_in_it(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire
) -> None:
    provider.script(Behaviour(text=f"{KEY}", fault="stream_cut"))

    answer = await ask(client, at(provider, wire))

    assert (answer.text, answer.finish) == ("[key]", "partial")


async def test_a_caller_that_goes_away_in_the_middle_is_no_error_of_the_expert(
    client: httpx2.AsyncClient, provider: Provider
) -> None:
    provider.script(Behaviour(text=TEXT, fault="stream_stall"))
    began, gone = anyio.Event(), anyio.Event()

    async with anyio.create_task_group() as group:

        async def asking() -> None:
            try:
                await ask(
                    client, at(provider, "openai_chat"), watch=lambda _: began.set()
                )
            except anyio.get_cancelled_exc_class():
                gone.set()
                raise

        group.start_soon(asking)
        await began.wait()
        group.cancel_scope.cancel()

    assert gone.is_set()
