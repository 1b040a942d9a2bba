import json
import sys
import threading
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from anthropic.lib.vertex import AnthropicVertex
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials

from ask_expert.errors import ConfigError, ExpertRejectedError, UnknownPriceError
from ask_expert.experts import http, prices, vertex
from ask_expert.experts.keys import key_for
from ask_expert.experts.registry import wire_for
from ask_expert.experts.transport import send
from ask_expert.reply import ExpertAnswer
from ask_expert.settings import ExpertSettings
from tests.experts.loopback import Answer, Loopback, Received
from tests.experts.support import KEY, NOW, PROMPT, an_expert

MODELS = {
    "vertex_anthropic": "claude-opus-5-5@20261001",
    "vertex_gemini": "gemini-4-argon",
}
CLAUDE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-5-5-20261001",
    "content": [{"type": "text", "text": "Use a lock."}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 120, "output_tokens": 30},
}
GEMINI = {
    "candidates": [
        {
            "content": {"role": "model", "parts": [{"text": "Use a lock."}]},
            "finishReason": "STOP",
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 120,
        "candidatesTokenCount": 30,
        "totalTokenCount": 150,
    },
    "modelVersion": "gemini-4-argon-001",
    "responseId": "r-1",
}
SERVED = {
    "vertex_anthropic": "claude-opus-5-5-20261001",
    "vertex_gemini": "gemini-4-argon-001",
}
REPLIES = {"vertex_anthropic": CLAUDE, "vertex_gemini": GEMINI}


class Google(Loopback):
    """
    Token server and Vertex in one.

    Attributes:
        lives_s: How long a token is good.
        prefix: How a token begins.
    """

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.lives_s = 3600
        self.prefix = "token-"
        self.token_status = 200
        self.fetched = 0
        self.refused: set[str] = set()

    def _answer(self, received: Received) -> Answer:
        if received.path == "/token":
            self.fetched += 1
            if self.token_status != 200:
                told = {"error": "invalid_grant", "error_description": "Log in again."}
                return Answer(status=self.token_status, body=json.dumps(told).encode())
            token = {
                "access_token": f"{self.prefix}{self.fetched}",
                "expires_in": self.lives_s,
                "token_type": "Bearer",
            }
            return Answer(body=json.dumps(token).encode())
        if received.headers.get("authorization") in self.refused:
            said = {"message": f"Who are you, {received.headers['authorization']}?"}
            return Answer(status=401, body=json.dumps({"error": said}).encode())
        said = CLAUDE if "/anthropic/" in received.path else GEMINI
        return Answer(body=json.dumps(said).encode())

    @property
    def asked(self) -> list[Received]:
        """What came for Vertex."""
        return [each for each in self.requests if each.path != "/token"]


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    """A service account whose tokens come from loopback."""
    for name in ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    with Google() as server:
        file = tmp_path / "account.json"
        file.write_text(json.dumps(account(f"{server.url}/token")))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        vertex.default_credentials.forget()
        yield server
    vertex.default_credentials.forget()


def account(token_uri: str) -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        "type": "service_account",
        "project_id": "project-of-the-file",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "expert@project-of-the-file.iam.gserviceaccount.com",
        "token_uri": token_uri,
    }


def expert_at(url: str | None, api: str, **facts: Any) -> ExpertSettings:
    given = {
        "api": api,
        "model": MODELS[api],
        "region": "europe-west4",
        "project": "my-project",
        "base_url": url,
        "stream": False,
    }
    return an_expert(**{**given, **facts})


async def ask(expert: ExpertSettings, key: str | None = None) -> ExpertAnswer:
    wire = wire_for(expert.api)
    request = wire.encode(expert, PROMPT, max_output_tokens=900)
    async with http.new_client() as client:
        return await send(client, expert, wire, request, key=key, deadline_s=30)


@pytest.mark.anyio
@pytest.mark.parametrize("api", MODELS)
async def test_a_service_account_s_token_goes_along(google: Google, api: str) -> None:
    answer = await ask(expert_at(google.url, api))

    token, asked = google.requests
    assertion = parse_qs(token.body.decode())["assertion"][0].split(".")[1]
    claims = json.loads(urlsafe_b64decode(assertion + "=="))
    assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    assert asked.headers["authorization"] == "Bearer token-1"
    assert answer.text == "Use a lock."
    assert answer.provenance.region == "europe-west4"
    assert answer.provenance.served_model == SERVED[api]


@pytest.mark.anyio
async def test_a_token_is_kept_until_it_ends(google: Google) -> None:
    expert = expert_at(google.url, "vertex_gemini")

    await ask(expert)
    await ask(expert)
    assert google.fetched == 1

    vertex.default_credentials.forget()
    google.lives_s = 1
    await ask(expert)
    await ask(expert)
    assert google.fetched == 3


def test_many_threads_fetch_one_token(google: Google) -> None:
    expert = expert_at(google.url, "vertex_gemini")
    found: list[str] = []

    def work() -> None:
        found.append(vertex.default_credentials.headers(expert)["authorization"])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == ["Bearer token-1"] * 8
    assert google.fetched == 1


@pytest.mark.anyio
async def test_a_token_that_is_refused_is_fetched_anew(google: Google) -> None:
    expert = expert_at(google.url, "vertex_anthropic")
    google.refused = {"Bearer token-1"}

    with pytest.raises(ExpertRejectedError, match="Who are you"):
        await ask(expert)
    answer = await ask(expert)

    assert answer.text == "Use a lock."
    assert google.fetched == 2


@pytest.mark.anyio
async def test_a_login_that_ran_out_is_told_and_nothing_is_sent(google: Google) -> None:
    google.token_status = 400

    with pytest.raises(ExpertRejectedError, match="Log in again") as caught:
        await ask(expert_at(google.url, "vertex_gemini"))

    assert "gcloud auth application-default login" in str(caught.value)
    assert caught.value.billed == "no"
    assert google.asked == []


@pytest.mark.anyio
async def test_without_credentials_what_to_do_is_said(
    google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")

    with pytest.raises(ExpertRejectedError, match="gcloud auth") as caught:
        await ask(expert_at(google.url, "vertex_gemini"))

    assert isinstance(caught.value.__cause__, ConfigError)
    assert google.requests == []


@pytest.mark.parametrize("api", MODELS)
def test_without_the_extra_the_command_that_installs_it_is_named(
    google: Google, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "google.auth", None)

    with pytest.raises(ConfigError, match=r"pip install 'ask-expert\[vertex\]'"):
        wire_for(api).encode(
            expert_at(None, api, project=None), PROMPT, max_output_tokens=9
        )
    with pytest.raises(ConfigError, match=r"pip install 'ask-expert\[vertex\]'"):
        wire_for(api).auth(expert_at(google.url, api), "", url=google.url, body=b"")


@pytest.mark.anyio
@pytest.mark.parametrize("api", MODELS)
async def test_the_project_of_the_credentials_is_taken_where_none_is_named(
    google: Google, api: str
) -> None:
    await ask(expert_at(google.url, api, project=None))

    assert "/projects/project-of-the-file/" in google.asked[0].path


@pytest.mark.anyio
@pytest.mark.parametrize("api", MODELS)
async def test_a_token_of_one_s_own_needs_no_library(
    google: Google, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expert = expert_at(
        google.url, api, key_command=[sys.executable, "-c", "print('ya29.mine')"]
    )
    monkeypatch.setitem(sys.modules, "google.auth", None)

    await ask(expert, key_for(expert, {}))

    assert google.asked[0].headers["authorization"] == "Bearer ya29.mine"


@pytest.mark.parametrize("api", MODELS)
def test_google_s_token_goes_to_google_only(google: Google, api: str) -> None:
    expert = expert_at("https://gateway.example", api)

    with pytest.raises(ConfigError, match="go to Google only"):
        wire_for(api).auth(expert, "", url="https://gateway.example/v1/x", body=b"")
    assert google.requests == []


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_claude_s_request_is_the_one_that_anthropic_s_own_library_sends(
    google: Google, stream: bool
) -> None:
    theirs = AnthropicVertex(
        region="europe-west4",
        project_id="my-project",
        access_token="token-1",
        base_url=f"{google.url}/v1",
        max_retries=0,
    )
    turns: Any = [{"role": turn.role, "content": turn.text} for turn in PROMPT.turns]
    theirs.messages.create(
        model=MODELS["vertex_anthropic"],
        max_tokens=900,
        system="Help.",
        messages=turns,
        stream=stream,
        extra_headers={"anthropic-beta": "one"},
    )
    theirs.close()
    await ask(
        expert_at(
            google.url,
            "vertex_anthropic",
            stream=stream,
            extra_headers={"anthropic-beta": "one"},
        )
    )

    wanted, ours = google.asked
    assert ours.path == wanted.path
    for name in ("authorization", "anthropic-beta", "content-type"):
        assert ours.headers[name] == wanted.headers[name]
    # The older version is the one that Google documents; what is not streamed is
    # not said to be so.
    reference = json.loads(wanted.body)
    assert reference.pop("stream") is stream
    assert json.loads(ours.body) == {
        **reference,
        **({"stream": True} if stream else {}),
        "anthropic_version": "vertex-2023-10-16",
    }


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_gemini_s_request_is_the_one_that_google_s_own_library_sends(
    google: Google, stream: bool
) -> None:
    client = genai.Client(
        vertexai=True,
        project="my-project",
        location="europe-west4",
        credentials=Credentials("token-1"),
        http_options=types.HttpOptions(base_url=google.url, api_version="v1"),
    )
    contents: Any = [
        types.Content(
            role="user" if turn.role == "user" else "model",
            parts=[types.Part(text=turn.text)],
        )
        for turn in PROMPT.turns
    ]
    config = types.GenerateContentConfig(
        system_instruction="Help.", max_output_tokens=900
    )
    with client:
        model = MODELS["vertex_gemini"]
        if stream:
            list(
                client.models.generate_content_stream(  # pyright: ignore[reportUnknownMemberType]
                    model=model, contents=contents, config=config
                )
            )
        else:
            client.models.generate_content(  # pyright: ignore[reportUnknownMemberType]
                model=model, contents=contents, config=config
            )
    await ask(expert_at(google.url, "vertex_gemini", stream=stream))

    wanted, ours = google.asked
    assert ours.path == wanted.path
    assert ours.headers["authorization"] == wanted.headers["authorization"]
    # The library names a role for the instruction, which has none.
    reference = json.loads(wanted.body)
    reference["systemInstruction"].pop("role")
    assert json.loads(ours.body) == reference


@pytest.mark.anyio
async def test_a_stream_is_put_together() -> None:
    def events(received: Received) -> Answer:
        parts = [
            {**GEMINI, "candidates": [{"content": {"parts": [{"text": "Use "}]}}]},
            GEMINI,
        ]
        body = "".join(f"data: {json.dumps(part)}\n\n" for part in parts)
        kind = {"content-type": "text/event-stream"}
        return Answer(body=body.encode(), headers=kind)

    with Loopback(events) as server:
        answer = await ask(expert_at(server.url, "vertex_gemini", stream=True), KEY)

    assert server.requests[0].path.endswith(":streamGenerateContent?alt=sse")
    assert answer.text == "Use Use a lock."
    assert answer.provenance.region == "europe-west4"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("us-east5", "us-east5-aiplatform.googleapis.com"),
    ],
)
@pytest.mark.parametrize("api", MODELS)
def test_the_host_follows_the_region(api: str, region: str, host: str) -> None:
    expert = expert_at(None, api, region=region)

    request = wire_for(api).encode(expert, PROMPT, max_output_tokens=9)

    assert request.base_url == f"https://{host}"
    assert f"/locations/{region}/publishers/" in request.path


@pytest.mark.parametrize("model", ["../x", "a:b", "a/b", "a b", "a?b"])
@pytest.mark.parametrize("api", MODELS)
def test_a_model_that_could_lead_elsewhere_is_refused(api: str, model: str) -> None:
    with pytest.raises(ConfigError, match="is no"):
        wire_for(api).encode(
            expert_at(None, api, model=model), PROMPT, max_output_tokens=9
        )


def test_a_header_that_makes_calls_dearer_needs_a_price() -> None:
    headers = {"X-Vertex-AI-LLM-Shared-Request-Type": "priority"}
    expert = expert_at(None, "vertex_gemini", extra_headers=headers)

    with pytest.raises(ConfigError, match="give `price:`"):
        wire_for("vertex_gemini").encode(expert, PROMPT, max_output_tokens=9)


@pytest.mark.parametrize(
    ("api", "region", "usd"),
    [
        ("vertex_anthropic", "global", "4"),
        ("vertex_anthropic", "us-east5", "4.4"),
        ("vertex_anthropic", "eu", "4.4"),
        ("vertex_gemini", "global", "2"),
        ("vertex_gemini", "europe-west4", "2.2"),
    ],
)
def test_outside_of_the_global_endpoint_a_tenth_is_added(
    api: str, region: str, usd: str
) -> None:
    detail = prices.quote(expert_at(None, api, region=region), b"{}", NOW).detail

    assert float(detail["input"]) == float(usd)


def test_a_model_that_google_s_list_does_not_know_has_no_price() -> None:
    expert = expert_at(None, "vertex_anthropic", model="claude-nobody-9")

    with pytest.raises(UnknownPriceError):
        prices.quote(expert, b"{}", NOW)


@pytest.mark.parametrize("api", MODELS)
def test_the_served_model_is_priced(api: str) -> None:
    expert = expert_at(None, api, region="global")
    body = json.dumps(REPLIES[api]).encode()
    answer = wire_for(api).decode(expert, body, {})

    charge = prices.charge(expert, answer, NOW)

    assert charge.detail["model"].startswith("google:")
    assert charge.nusd == {"vertex_anthropic": 1_080_000, "vertex_gemini": 540_000}[api]


@pytest.mark.anyio
@pytest.mark.parametrize("api", list(REPLIES))
async def test_a_short_token_of_google_s_never_comes_back(
    google: Google, api: str
) -> None:
    google.prefix = "ya29.c."
    google.refused = {"Bearer ya29.c.1"}

    with pytest.raises(ExpertRejectedError) as caught:
        await ask(expert_at(google.url, api))

    assert "Who are you, Bearer [key]?" in str(caught.value)
    assert "ya29" not in str(caught.value)
    assert "Check the Google credentials" in str(caught.value)
