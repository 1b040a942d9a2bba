import gzip
import json
import socket
import zlib
from collections.abc import AsyncIterator, Mapping

import anyio
import anyio.to_thread
import httpx2
import pytest

from ask_expert.errors import (
    ConfigError,
    ExpertError,
    ExpertRejectedError,
    ExpertReplyError,
    ExpertUnavailableError,
)
from ask_expert.experts.http import MOST_BYTES, new_client, send
from ask_expert.experts.registry import wire_for
from ask_expert.reply import ExpertAnswer, Usage
from ask_expert.settings import ExpertSettings
from tests.experts.support import KEY, PROMPT, an_expert
from tests.fakes.provider import Behaviour, Provider
from tests.fakes.shapes import Fault, Wire

pytestmark = pytest.mark.anyio
WIRES: list[Wire] = [
    "openai_chat",
    "openai_responses",
    "anthropic",
    "gemini",
    "openrouter",
]


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with new_client() as running:
        yield running


async def ask(
    client: httpx2.AsyncClient,
    expert: ExpertSettings,
    *,
    key: str | None = KEY,
    deadline_s: float = 30,
) -> ExpertAnswer:
    wire = wire_for(expert.api)
    request = wire.encode(expert, PROMPT, max_output_tokens=500)
    return await send(client, expert, wire, request, key=key, deadline_s=deadline_s)


async def test_the_ids_that_a_provider_gives_a_request_are_heard_as_they_come(
    client: httpx2.AsyncClient,
) -> None:
    heard: list[str] = []
    with Provider() as provider:
        provider.script(Behaviour(fault="stream_cut_first"))
        expert = at(provider)
        wire = wire_for(expert.api)
        request = wire.encode(expert, PROMPT, max_output_tokens=500)
        with pytest.raises(ExpertError):
            await send(
                client,
                expert,
                wire,
                request,
                key=KEY,
                deadline_s=30,
                heard=heard.append,
            )

    assert [name.partition("_")[0] for name in heard[:1]] == ["req"]
    assert [name.partition("-")[0] for name in heard[1:]] == ["chatcmpl"]


async def failure(
    client: httpx2.AsyncClient, expert: ExpertSettings, *, deadline_s: float = 30
) -> ExpertError:
    with pytest.raises(ExpertError) as caught:
        await ask(client, expert, deadline_s=deadline_s)
    return caught.value


def at(provider: Provider, wire: Wire = "openai_chat") -> ExpertSettings:
    return an_expert(api=wire, base_url=provider.base(wire), model="m-1")


@pytest.mark.parametrize("wire", WIRES)
async def test_what_is_encoded_is_what_is_sent_and_the_bill_is_what_is_read(
    client: httpx2.AsyncClient, wire: Wire
) -> None:
    written = 0 if wire == "gemini" else 9  # Gemini writes its cache unasked, for free
    with Provider(key=KEY) as provider:
        provider.answer(
            "Use a lock.", cache_read_tokens=40, cache_write_tokens=written, model="m-2"
        )
        expert = at(provider, wire)

        answer = await ask(client, expert)

    sent, bill = provider.requests[0], provider.bill[0]
    assert (
        sent.body == wire_for(wire).encode(expert, PROMPT, max_output_tokens=500).body
    )
    assert answer.text == "Use a lock."
    assert answer.provenance.served_model == "m-2"
    assert answer.provenance.request_id
    told = wire not in {"gemini", "openrouter"}
    assert bool(answer.provenance.rate_limits) == told
    assert answer.usage == Usage(
        input_tokens=bill.input_tokens,
        cache_read_tokens=bill.cache_read_tokens,
        cache_write_tokens=bill.cache_write_tokens,
        output_tokens=bill.output_tokens,
    )


@pytest.mark.parametrize("wire", WIRES)
async def test_gemini_s_and_advisors_extra_tokens_are_read_as_billed(
    client: httpx2.AsyncClient, wire: Wire
) -> None:
    extra = (
        Behaviour(advisor_tokens=(300, 20))
        if wire == "anthropic"
        else Behaviour(
            output_tokens=700,
            reasoning_tokens=500,
            usage="gemini" if wire == "openai_chat" else "normal",
        )
    )
    with Provider(extra) as provider:
        answer = await ask(client, at(provider, wire))

    assert answer.usage.all_input_tokens == provider.bill[0].input_tokens
    assert answer.usage.output_tokens == provider.bill[0].output_tokens


async def test_a_server_on_this_machine_may_need_no_key(
    client: httpx2.AsyncClient, provider: Provider
) -> None:
    await ask(client, at(provider), key=None)

    assert "authorization" not in provider.requests[0].headers


@pytest.mark.parametrize("wire", WIRES)
async def test_a_wrong_key_is_named_by_its_variable_and_never_shown(
    client: httpx2.AsyncClient, wire: Wire
) -> None:
    with Provider(key="another") as provider:
        error = await failure(client, at(provider, wire))

    assert isinstance(error, ExpertRejectedError)
    assert "_API_KEY" in str(error)
    assert KEY not in str(error)


async def test_a_key_that_the_server_quotes_back_is_taken_out(
    client: httpx2.AsyncClient, provider: Provider
) -> None:
    provider.fail(401, message=f"Incorrect API key provided: {KEY}.")
    provider.answer(f"Your key is {KEY}.")

    error = await failure(client, at(provider))
    answer = await ask(client, at(provider))

    assert "provided: [key]" in str(error)
    assert answer.text == "Your key is [key]."


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "schlüssel"])
async def test_a_key_that_http_cannot_carry_is_refused_without_quoting_it(
    client: httpx2.AsyncClient, provider: Provider, key: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        await ask(client, at(provider), key=key)

    assert not key or key not in str(caught.value)
    assert provider.requests == []


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
async def test_a_rejection_is_not_billed(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire, status: int
) -> None:
    provider.fail(status)

    error = await failure(client, at(provider, wire))

    assert isinstance(error, ExpertRejectedError)
    assert (error.billed, provider.bill) == ("no", [])


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
async def test_a_passing_failure_is_not_billed_and_is_tried_once_only(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire, status: int
) -> None:
    provider.fail(status, retry_after="2")

    error = await failure(client, at(provider, wire))

    assert isinstance(error, ExpertUnavailableError)
    assert (error.billed, error.retry_after_s) == ("no", 2.0)
    assert (len(provider.requests), provider.bill) == (1, [])


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "fault",
    [
        "cut",
        "reset",
        "invalid_json",
        "html",
        "empty",
        "empty_choices",
        "gzip_bomb",
        "huge",
    ],
)
async def test_a_reply_that_breaks_may_be_billed_and_is_tried_once_only(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire, fault: Fault
) -> None:
    provider.script(Behaviour(fault=fault))

    error = await failure(client, at(provider, wire))

    assert isinstance(error, ExpertReplyError)
    assert (error.billed, error.retryable) == ("unknown", False)
    assert len(provider.requests) == len(provider.bill) == 1


async def test_a_page_of_a_proxy_with_a_server_s_error_may_hide_a_bill(
    client: httpx2.AsyncClient, provider: Provider
) -> None:
    provider.script(Behaviour(status=502, fault="html"))

    error = await failure(client, at(provider))

    assert isinstance(error, ExpertUnavailableError)
    assert error.billed == "unknown"


async def test_a_silent_server_meets_the_deadline(
    client: httpx2.AsyncClient, provider: Provider
) -> None:
    provider.hold()

    error = await failure(client, at(provider), deadline_s=0.3)

    assert isinstance(error, ExpertReplyError)
    assert error.billed == "unknown"


async def test_a_server_that_drips_for_ever_meets_the_same_deadline(
    client: httpx2.AsyncClient, provider: Provider
) -> None:
    provider.script(Behaviour(fault="slow_loris"))

    error = await failure(client, at(provider), deadline_s=0.5)

    assert isinstance(error, ExpertReplyError)
    assert "0.5 s" in str(error)


async def test_nobody_there_costs_nothing(client: httpx2.AsyncClient) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, never listening
        expert = an_expert(base_url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1")

        error = await failure(client, expert)

    assert isinstance(error, ExpertUnavailableError)
    assert error.billed == "no"


async def test_a_server_that_never_takes_the_connection_costs_nothing(
    client: httpx2.AsyncClient,
) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]  # fill its queue
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))

        error = await failure(
            client, an_expert(base_url=f"http://127.0.0.1:{port}/v1"), deadline_s=0.5
        )
        for each in waiting:
            each.close()

    assert isinstance(error, ExpertUnavailableError)
    assert error.billed == "no"


@pytest.mark.parametrize("wire", WIRES)
async def test_a_redirect_is_not_followed_and_the_key_stays(
    client: httpx2.AsyncClient, provider: Provider, wire: Wire
) -> None:
    provider.script(Behaviour(fault="redirect"))

    error = await failure(client, at(provider, wire))

    assert isinstance(error, ExpertRejectedError)
    assert "base_url" in str(error)
    assert len(provider.requests) == 1


async def test_a_bomb_is_given_up_before_it_is_inflated(
    client: httpx2.AsyncClient, provider: Provider
) -> None:
    provider.script(Behaviour(fault="gzip_bomb"))

    error = await failure(client, at(provider))

    assert f"larger than {MOST_BYTES:,} bytes" in str(error)


async def test_an_address_that_is_none_is_a_fault_of_the_settings(
    client: httpx2.AsyncClient,
) -> None:
    expert = an_expert().model_copy(update={"base_url": "http://localhost:eighty/v1"})

    with pytest.raises(ConfigError, match="base_url of expert 'flagship'"):
        await ask(client, expert)


async def test_a_caller_that_goes_away_is_no_error_of_the_expert(
    client: httpx2.AsyncClient, provider: Provider
) -> None:
    provider.hold()
    seen = anyio.Event()

    async with anyio.create_task_group() as group:

        async def asking() -> None:
            try:
                await ask(client, at(provider))
            except anyio.get_cancelled_exc_class():
                seen.set()
                raise

        group.start_soon(asking)
        await anyio.to_thread.run_sync(provider.wait_for_requests, 1)
        group.cancel_scope.cancel()

    assert seen.is_set()


async def test_no_error_s_text_or_cause_holds_the_key(
    client: httpx2.AsyncClient, provider: Provider
) -> None:
    faults: list[Fault] = ["cut", "reset", "invalid_json", "redirect", "huge"]
    provider.script(*[Behaviour(fault=fault) for fault in faults])

    errors: list[BaseException | None] = [
        await failure(client, at(provider)) for _ in faults
    ]
    errors += [error.__cause__ for error in errors if error]

    assert len(provider.requests) == len(faults)
    assert [error for error in errors if KEY in repr(error)] == []


PACKED = gzip.compress(
    b'{"choices":[{"message":{"content":"Hi."},"finish_reason":"stop"}]}',
    mtime=0,  # without it no two processes collect the same tests
)


def served(body: bytes, encoding: str, status: int = 200) -> httpx2.AsyncClient:
    def reply(request: httpx2.Request) -> httpx2.Response:
        headers = {"content-encoding": encoding}
        stream = httpx2.ByteStream(body)
        return httpx2.Response(status, headers=headers, stream=stream)

    return httpx2.AsyncClient(transport=httpx2.MockTransport(reply))


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (PACKED, "gzip"),
        (zlib.compress(gzip.decompress(PACKED)), "deflate"),
        (gzip.decompress(PACKED), "identity"),
    ],
)
async def test_a_compressed_answer_is_read(body: bytes, encoding: str) -> None:
    async with served(body, encoding) as client:
        answer = await ask(client, an_expert())

    assert answer.text == "Hi."


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(PACKED, "br"), (PACKED[:-12], "gzip"), (b"no gzip", "gzip"), (PACKED, "x, gzip")],
)
async def test_broken_or_unasked_compression_may_hide_a_billed_answer(
    body: bytes, encoding: str
) -> None:
    async with served(body, encoding) as client:
        error = await failure(client, an_expert())

    assert isinstance(error, ExpertReplyError)
    assert error.billed == "unknown"


def event_stream(*parts: bytes, status: int = 200) -> httpx2.AsyncClient:
    class Parts(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for part in parts:
                yield part

    def reply(request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(status, headers=headers, stream=Parts())

    return httpx2.AsyncClient(transport=httpx2.MockTransport(reply))


def delta(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return f"data: {json.dumps({'choices': [choice]})}\n\n".encode()


async def test_a_stream_cut_up_in_any_way_is_read() -> None:
    stream = b"\xef\xbb\xbf" + delta("Grüße ") + delta("🧠", "stop")
    one_by_one = [bytes([each]) for each in stream]

    async with event_stream(*one_by_one) as client:
        answer = await ask(client, an_expert())

    assert (answer.text, answer.finish) == ("Grüße 🧠", "stop")
    assert answer.first_token_us is not None


async def test_a_stream_is_read_although_none_was_asked_for() -> None:
    async with event_stream(delta("Hi.", "stop")) as client:
        answer = await ask(client, an_expert(stream=False))

    assert answer.text == "Hi."


async def test_an_error_status_is_one_whatever_the_content_type() -> None:
    async with event_stream(b'{"error":{"message":"No."}}', status=429) as client:
        error = await failure(client, an_expert())

    assert isinstance(error, ExpertUnavailableError)
    assert (error.billed, error.http_status) == ("no", 429)


async def test_blank_text_is_no_answer_to_keep() -> None:
    async with event_stream(delta(" \n"), delta("\t")) as client:
        error = await failure(client, an_expert())

    assert isinstance(error, ExpertReplyError)
    assert "the reply ended early; it may have been billed" in str(error)


@pytest.mark.parametrize(
    ("last", "text", "what"),
    [
        (delta("x", "stop").rstrip(), "Hi.x", "stop"),
        (delta("x", "stop")[:-9], "Hi.", "stream ended early"),
        (b'data: {"error":{"message":"Full."}}', "Hi.", "stream broke: Full."),
    ],
)
async def test_a_last_event_without_its_blank_line_counts_if_it_is_whole(
    last: bytes, text: str, what: str
) -> None:
    async with event_stream(delta("Hi."), last) as client:
        answer = await ask(client, an_expert())

    assert (answer.text, answer.provenance.finish_reason) == (text, what)


async def test_a_stream_without_an_event_is_an_early_end() -> None:
    async with event_stream(b": hello\n\n") as client:
        error = await failure(client, an_expert())

    assert isinstance(error, ExpertReplyError)
    assert error.billed == "unknown"


@pytest.mark.parametrize(
    ("parts", "most"),
    [
        ([b"data: " + b"x" * 5000] * 1700, "8,000,000"),
        ([b": " + b"x" * 5000 + b"\n\n"] * 1700, "8,000,000"),
        ([delta("x" * 100_000)] * 100, "8,000,000"),
        ([delta("") + b": " + b"x" * 900_000 + b"\n\n"] * 120, "100,000,000"),
    ],
)
async def test_a_stream_without_measure_is_broken_off_with_what_it_said(
    parts: list[bytes], most: str
) -> None:
    async with event_stream(delta("Hi."), *parts) as client:
        answer = await ask(client, an_expert())

    assert answer.finish == "partial"
    assert answer.text.startswith("Hi.")
    what = f"stream broke: it is larger than {most} bytes"
    assert answer.provenance.finish_reason == what


async def test_a_status_counts_even_when_its_body_cannot_be_read() -> None:
    async with served(b"no gzip", "gzip", status=429) as client:
        error = await failure(client, an_expert())

    assert isinstance(error, ExpertUnavailableError)
    assert (error.billed, error.http_status) == ("no", 429)


def quoted(
    said: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> httpx2.AsyncClient:
    """Answer with this as the text, or the error's message, JSON as it stands."""
    text = f'"finish_reason":"stop","message":{{"content":"{said}"}}'
    body = f'{{"choices":[{{{text}}}],"error":null}}'
    if status != 200:
        body = f'{{"error":{{"message":"{said}"}}}}'

    def reply(request: httpx2.Request) -> httpx2.Response:
        stream = httpx2.ByteStream(body.encode())
        return httpx2.Response(status, headers=headers, stream=stream)

    return httpx2.AsyncClient(transport=httpx2.MockTransport(reply))


ESCAPED = "".join(f"\\u{ord(each):04x}" for each in KEY)


@pytest.mark.parametrize("said", [ESCAPED, f"{KEY[:9]}\\u200b{KEY[9:]}"])
async def test_a_key_in_disguise_is_taken_out_before_an_error_is_cut(said: str) -> None:
    async with quoted(f"{'x' * 280} {said}", 400) as client:
        error = await failure(client, an_expert())
    async with quoted(f"Yours is {said}.") as client:
        answer = await ask(client, an_expert())

    assert "x [key]." in str(error)
    assert answer.text == "Yours is [key]."


async def test_a_key_in_a_header_s_name_or_value_is_taken_out() -> None:
    headers = {f"x-ratelimit-{KEY}": "1", "x-ratelimit-left": KEY, "x-request-id": KEY}

    async with quoted("Hi.", headers=headers) as client:
        told = (await ask(client, an_expert())).provenance

    assert told.request_id == "[key]"
    assert told.rate_limits == {"x-ratelimit-[key]": "1", "x-ratelimit-left": "[key]"}


@pytest.mark.parametrize("target", [f"https://{KEY}.example/x", "http://[nowhere"])
async def test_a_redirect_to_a_key_or_to_nowhere_is_told_without_it(
    target: str,
) -> None:
    async with quoted("", 307, {"location": target}) as client:
        error = await failure(client, an_expert())

    assert isinstance(error, ExpertRejectedError)
    assert "HTTP 307: redirected, which is not followed" in str(error)
    assert KEY.lower() not in str(error).lower()
