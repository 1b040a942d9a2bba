import hashlib
import hmac
import json
import struct
import sys
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from anthropic.lib.bedrock import AnthropicBedrock

from ask_expert.errors import (
    ConfigError,
    ExpertError,
    ExpertRejectedError,
    ExpertReplyError,
    UnknownPriceError,
)
from ask_expert.experts import bedrock, http, prices
from ask_expert.experts.keys import key_for
from ask_expert.experts.registry import wire_for
from ask_expert.experts.transport import send
from ask_expert.reply import ExpertAnswer
from ask_expert.settings import ExpertSettings
from tests.experts.loopback import Answer, Loopback, Received
from tests.experts.support import KEY, NOW, PROMPT, an_expert

MODEL = "us.anthropic.claude-opus-5-5"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-5-5-20261001",
    "content": [{"type": "text", "text": "Use a lock."}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 120, "output_tokens": 30},
}
WHOLE = json.dumps(MESSAGE).encode()
ROLE = "session-token-of-a-role"
STREAM = "application/vnd.amazon.eventstream"


@pytest.fixture(autouse=True)
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file of credentials of our own, and no way to any machine's role."""
    file = tmp_path / "credentials"
    credentials(file, "AKIDEXAMPLE")
    for name in (
        "AWS_PROFILE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bedrock.session.cache_clear()
    yield file
    bedrock.session.cache_clear()


def credentials(file: Path, key_id: str, token: str = ROLE) -> None:
    file.write_text(
        f"[default]\naws_access_key_id = {key_id}\naws_secret_access_key = {SECRET}\n"
        f"aws_session_token = {token}\n"
    )


def expert_at(url: str | None, **facts: Any) -> ExpertSettings:
    given = {"api": "bedrock", "model": MODEL, "region": "eu-west-1", "base_url": url}
    return an_expert(**{**given, "stream": False, **facts})


async def ask(expert: ExpertSettings, key: str | None = None) -> ExpertAnswer:
    wire = wire_for("bedrock")
    request = wire.encode(expert, PROMPT, max_output_tokens=900)
    async with http.new_client() as client:
        return await send(client, expert, wire, request, key=key, deadline_s=30)


def whole(received: Received) -> Answer:
    return Answer(body=WHOLE, headers={"x-amzn-RequestId": "req-1"})


def signature(request: Received, region: str, secret: str) -> str:
    """Sign a request as AWS documents it: "Create a signed AWS API request"."""
    given = request.headers["authorization"]
    signed = given.split("SignedHeaders=")[1].split(",")[0].split(";")
    path, _, query = request.path.partition("?")
    canonical = "\n".join(
        (
            "POST",
            quote(path, safe="/-_.~"),
            query,
            *(f"{name}:{request.headers[name].strip()}" for name in signed),
            "",
            ";".join(signed),
            hashlib.sha256(request.body).hexdigest(),
        )
    )
    stamp = request.headers["x-amz-date"]
    scope = f"{stamp[:8]}/{region}/bedrock/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}"
    key = f"AWS4{secret}".encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    key_id = given.split("Credential=")[1].split("/")[0]
    return (
        f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, "
        f"SignedHeaders={';'.join(signed)}, Signature={key.hex()}"
    )


def frame(headers: Mapping[str, str], payload: object) -> bytes:
    """Pack one message as AWS documents `vnd.amazon.eventstream`."""
    packed = b"".join(
        struct.pack("!B", len(name))
        + name.encode()
        + struct.pack("!BH", 7, len(value))
        + value.encode()
        for name, value in headers.items()
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack("!II", 16 + len(packed) + len(body), len(packed))
    prelude += struct.pack("!I", zlib.crc32(prelude))
    message = prelude + packed + body
    return message + struct.pack("!I", zlib.crc32(message))


def chunk(event: Mapping[str, Any]) -> bytes:
    kind = {":message-type": "event", ":event-type": "chunk"}
    packed = b64encode(json.dumps(event).encode()).decode()
    return frame(kind, {"bytes": packed, "p": "abcdefgh"})


def pieces(*texts: str, ends: bool = True) -> bytes:
    started = {**MESSAGE, "content": [], "stop_reason": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": started},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        },
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": text},
            }
            for text in texts
        ),
    ]
    if ends:
        told = {"stop_reason": "end_turn"}
        used = {"output_tokens": 30}
        events.append({"type": "message_delta", "delta": told, "usage": used})
        events.append({"type": "message_stop"})
    return b"".join(chunk(event) for event in events)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "model",
    [
        MODEL,
        "global.anthropic.claude-opus-5-5-v1:0",
        "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude",
    ],
)
async def test_a_request_is_signed_as_aws_documents_it(model: str) -> None:
    with Loopback(whole) as server:
        answer = await ask(expert_at(server.url, model=model))

    (request,) = server.requests
    assert request.headers["authorization"] == signature(request, "eu-west-1", SECRET)
    assert "x-amz-security-token" in request.headers["authorization"]
    assert request.headers["x-amz-security-token"] == "session-token-of-a-role"
    assert "host" in request.headers["authorization"]
    assert answer.text == "Use a lock."


@pytest.mark.anyio
async def test_who_answered_and_where_is_on_record() -> None:
    with Loopback(whole) as server:
        answer = await ask(expert_at(server.url))

    told = answer.provenance
    assert (told.asked_model, told.served_model) == (MODEL, "claude-opus-5-5-20261001")
    assert (told.region, told.request_id) == ("eu-west-1", "req-1")


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_the_request_is_the_one_that_anthropic_s_own_library_sends(
    stream: bool,
) -> None:
    with Loopback(lambda _: Answer(body=WHOLE)) as server:
        theirs = AnthropicBedrock(
            api_key=KEY, aws_region="eu-west-1", base_url=server.url, max_retries=0
        )
        turns: Any = [
            {"role": turn.role, "content": turn.text} for turn in PROMPT.turns
        ]
        theirs.messages.create(
            model=f"{MODEL}-v1:0",
            max_tokens=900,
            system="Help.",
            messages=turns,
            stream=stream,
            extra_headers={"anthropic-beta": "one,two"},
        )
        theirs.close()
        expert = expert_at(
            server.url,
            model=f"{MODEL}-v1:0",
            stream=stream,
            extra_headers={"anthropic-beta": "one, two"},
        )
        await ask(expert, KEY)

    wanted, ours = server.requests
    assert ours.path == wanted.path
    assert ours.headers["authorization"] == wanted.headers["authorization"]
    # The older version is the one that AWS documents.
    assert json.loads(ours.body) == {
        **json.loads(wanted.body),
        "anthropic_version": "bedrock-2023-05-31",
    }


@pytest.mark.anyio
async def test_a_bedrock_key_is_sent_in_place_of_a_signature() -> None:
    with Loopback(whole) as server:
        expert = expert_at(server.url, key_env="MY_BEDROCK_KEY")
        await ask(expert, key_for(expert, {"MY_BEDROCK_KEY": KEY}))

    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert "x-amz-date" not in server.requests[0].headers


def test_the_key_that_aws_s_libraries_read_is_read_for_aws_only() -> None:
    environ = {"AWS_BEARER_TOKEN_BEDROCK": KEY}

    assert key_for(expert_at(None), environ) == KEY
    assert key_for(expert_at("https://gateway.example"), environ) is None
    assert key_for(expert_at(None), {}) is None


@pytest.mark.anyio
async def test_a_stream_of_aws_s_frames_is_put_together() -> None:
    body = pieces("Use ", "a lock", " – «here».")
    with Loopback(
        lambda _: Answer(body=body, headers={"content-type": STREAM})
    ) as server:
        answer = await ask(expert_at(server.url, stream=True))

    assert server.requests[0].path.endswith("/invoke-with-response-stream")
    assert answer.text == "Use a lock – «here»."
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (120, 30)
    assert answer.finish == "stop"
    assert answer.provenance.region == "eu-west-1"


@pytest.mark.anyio
async def test_an_exception_in_the_stream_leaves_the_text_that_came() -> None:
    error = frame(
        {":message-type": "exception", ":exception-type": "throttlingException"},
        {"message": "Too many tokens."},
    )
    stopped = pieces("Use a lock.", ends=False)
    with Loopback(
        lambda _: Answer(body=stopped + error, headers={"content-type": STREAM})
    ) as server:
        answer = await ask(expert_at(server.url, stream=True))

    assert answer.text == "Use a lock."
    assert answer.finish == "partial"


@pytest.mark.anyio
async def test_an_exception_before_any_text_is_told_in_aws_s_words() -> None:
    error = frame(
        {":message-type": "exception", ":exception-type": "modelStreamErrorException"},
        {"message": "The model fell over."},
    )
    with (
        Loopback(
            lambda _: Answer(body=error, headers={"content-type": STREAM})
        ) as server,
        pytest.raises(ExpertError, match="The model fell over") as caught,
    ):
        await ask(expert_at(server.url, stream=True))

    assert caught.value.billed == "unknown"


@pytest.mark.anyio
async def test_a_frame_with_a_wrong_sum_is_no_answer() -> None:
    broken = bytearray(pieces("Use a lock."))
    broken[40] ^= 1
    with (
        Loopback(
            lambda _: Answer(body=bytes(broken), headers={"content-type": STREAM})
        ) as server,
        pytest.raises(ExpertReplyError, match="makes no sense"),
    ):
        await ask(expert_at(server.url, stream=True))


@pytest.mark.anyio
async def test_whole_frames_before_a_broken_one_are_kept() -> None:
    body = pieces("Use a lock.") + b"\0" * 64
    with Loopback(
        lambda _: Answer(body=body, headers={"content-type": STREAM})
    ) as server:
        answer = await ask(expert_at(server.url, stream=True))

    assert answer.text == "Use a lock."


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "billed"),
    [
        (400, "no"),
        (403, "no"),
        (404, "no"),
        (408, "unknown"),
        (424, "unknown"),
        (429, "no"),
        (500, "unknown"),
        (503, "no"),
    ],
)
async def test_what_may_be_billed_is_what_the_model_worked_on(
    status: int, billed: str
) -> None:
    body = b'{"message":"AWS says why."}'
    headers = {"x-amzn-RequestId": "req-9"}
    with (
        Loopback(lambda _: Answer(status=status, body=body, headers=headers)) as server,
        pytest.raises(ExpertError, match="AWS says why") as caught,
    ):
        await ask(expert_at(server.url))

    assert caught.value.billed == billed
    assert caught.value.http_status == status
    assert caught.value.request_id == "req-9"


@pytest.mark.anyio
async def test_credentials_that_ran_out_are_read_anew(aws: Path) -> None:
    def expired_once(received: Received) -> Answer:
        if "AKIDEXAMPLE" in received.headers["authorization"]:
            return Answer(status=403, body=b'{"message":"The token is expired."}')
        return Answer(body=WHOLE)

    with Loopback(expired_once) as server:
        with pytest.raises(ExpertRejectedError):
            await ask(expert_at(server.url))
        credentials(aws, "AKIDRENEWED")
        answer = await ask(expert_at(server.url))

    assert answer.text == "Use a lock."


@pytest.fixture
def no_credentials(aws: Path) -> None:
    aws.unlink()


@pytest.mark.anyio
@pytest.mark.usefixtures("no_credentials")
async def test_without_credentials_nothing_is_sent_and_what_to_set_is_said() -> None:
    with (
        Loopback(whole) as server,
        pytest.raises(ExpertRejectedError, match="AWS_PROFILE") as caught,
    ):
        await ask(expert_at(server.url))

    assert isinstance(caught.value.__cause__, ConfigError)
    assert caught.value.billed == "no"
    assert server.requests == []


@pytest.mark.anyio
async def test_a_profile_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nowhere")

    with (
        Loopback(whole) as server,
        pytest.raises(ExpertRejectedError, match="nowhere"),
    ):
        await ask(expert_at(server.url))

    assert server.requests == []


def test_without_the_extra_the_command_that_installs_it_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.setitem(sys.modules, "botocore.session", None)

    with pytest.raises(ConfigError, match=r"pip install 'ask-expert\[bedrock\]'"):
        wire_for("bedrock").encode(expert_at(None), PROMPT, max_output_tokens=9)


def encoded(**facts: Any) -> tuple[str | None, str]:
    request = wire_for("bedrock").encode(
        expert_at(None, **facts), PROMPT, max_output_tokens=9
    )
    return request.base_url, request.path


def test_the_address_follows_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    assert encoded() == (
        "https://bedrock-runtime.eu-west-1.amazonaws.com",
        "/model/us.anthropic.claude-opus-5-5/invoke",
    )
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")
    bedrock.session.cache_clear()
    assert encoded(region=None)[0] == "https://bedrock-runtime.ap-south-1.amazonaws.com"


def test_a_region_in_the_address_is_the_one_signed_for() -> None:
    url = "https://bedrock-runtime.us-gov-west-1.amazonaws.com"

    assert bedrock.region_of(expert_at(url, region=None)) == "us-gov-west-1"


def test_without_a_region_what_to_set_is_said() -> None:
    with pytest.raises(ConfigError, match="give `region:`"):
        encoded(region=None)


@pytest.mark.parametrize("model", ["..", "../x", "", "a b", "x?y", "a#b", "%2e"])
def test_a_model_that_could_lead_elsewhere_is_refused(model: str) -> None:
    with pytest.raises(ConfigError, match="is no model of Bedrock"):
        encoded(model=model or " ")


def test_a_header_that_makes_calls_dearer_needs_a_price() -> None:
    headers = {"X-Amzn-Bedrock-Service-Tier": "priority"}

    with pytest.raises(ConfigError, match="give `price:`"):
        encoded(extra_headers=headers)
    price = {"input_per_mtok": 9, "output_per_mtok": 40}
    assert encoded(extra_headers=headers, price=price)[1].endswith("/invoke")


def input_price(model: str) -> str:
    return prices.quote(expert_at(None, model=model), b"{}", NOW).detail["input"]


@pytest.mark.parametrize(
    ("model", "usd"),
    [
        ("us.anthropic.claude-opus-5-5", "4.4"),
        ("anthropic.claude-opus-5-5-v1:0", "4.4"),
        ("global.anthropic.claude-opus-5-5-v1:0", "4"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "3.3"),
    ],
)
def test_the_price_is_that_of_the_profile(model: str, usd: str) -> None:
    assert input_price(model) == usd


@pytest.mark.parametrize(
    "model",
    [
        "us.anthropic.claude-nobody-9",
        "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc",
        "claude-opus-5-5-20261001",
    ],
)
def test_a_model_that_aws_s_list_does_not_know_has_no_price(model: str) -> None:
    with pytest.raises(UnknownPriceError):
        input_price(model)


@pytest.mark.parametrize(
    ("asked", "served", "output_usd"),
    [
        (MODEL, "claude-opus-5-5-20261001", "22"),
        ("global.anthropic.claude-opus-5-5", "claude-opus-5-5-20261001", "20"),
        (MODEL, "claude-sonnet-5-5", "11"),
        (MODEL, "claude-under-another-name", "22"),
    ],
)
def test_the_served_model_is_priced_in_the_profile_that_was_asked(
    asked: str, served: str, output_usd: str
) -> None:
    expert = expert_at(None, model=asked)
    body = json.dumps({**MESSAGE, "model": served}).encode()
    answer = wire_for("bedrock").decode(expert, body, {})

    assert prices.charge(expert, answer, NOW).detail["output"] == output_usd


SESSION_TOKEN = "FwoGZXIvYXdzEBYaDsecretsessiontoken0123"


def quoting(received: Received) -> Answer:
    """Quote the credentials back, the token with its letters escaped."""
    token = received.headers["x-amz-security-token"]
    escaped = "".join(f"\\u{ord(each):04x}" for each in token)
    said = f"{received.headers['authorization']} {token} {escaped}"
    if b"fail" in received.path.encode():
        return Answer(status=403, body=f'{{"message": "bad {said}"}}'.encode())
    body = json.dumps({**MESSAGE, "content": [{"type": "text", "text": "@"}]})
    return Answer(body=body.replace("@", said).encode())


@pytest.mark.anyio
async def test_the_session_token_and_the_signature_never_come_back(aws: Path) -> None:
    credentials(aws, "AKIDEXAMPLE", SESSION_TOKEN)
    with Loopback(quoting) as server:
        answer = await ask(expert_at(server.url))
        with pytest.raises(ExpertRejectedError) as caught:
            await ask(expert_at(server.url, model="fail"))

    sent = [each.headers["authorization"] for each in server.requests]
    secrets = [SESSION_TOKEN, *(each.split("Signature=")[1] for each in sent)]
    for said in (answer.text, str(caught.value)):
        assert "[key] [key]" in said
        assert [each for each in secrets if each in said] == []


@pytest.mark.anyio
async def test_a_refusal_names_the_credentials_that_were_used() -> None:
    def refuse(received: Received) -> Answer:
        return Answer(status=403, body=b'{"message": "no"}')

    with Loopback(refuse) as server:
        with pytest.raises(ExpertRejectedError) as signed:
            await ask(expert_at(server.url))
        with pytest.raises(ExpertRejectedError) as keyed:
            await ask(expert_at(server.url, key_env="MY_KEY"), key=KEY)

    assert "The AWS credentials" in str(signed.value)
    assert "The key in MY_KEY may not use model" in str(keyed.value)
