import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.fakes import provider as module
from tests.fakes.provider import Provider

CHAT: dict[str, object] = {"model": "m", "messages": []}


def post(url: str, body: object) -> dict[str, object]:
    request = Request(url, data=json.dumps(body).encode(), method="POST")  # noqa: S310
    with urlopen(request) as response:  # noqa: S310  # loopback
        return json.load(response)


def test_a_provider_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, str(module.__file__), "--answer", "Hi."]
    process = subprocess.Popen(
        [*command, "--input-tokens", "7"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        post(f"{url}/_fake/script", [{"text": "First."}])

        first = post(f"{url}/v1/chat/completions", CHAT)
        second = post(f"{url}/v1/chat/completions", CHAT)
        with urlopen(f"{url}/_fake/state") as response:  # noqa: S310  # loopback
            state = json.load(response)
    finally:
        process.kill()
        process.communicate()

    assert "First." in str(first)
    assert "Hi." in str(second)
    assert len(state["requests"]) == 2
    assert [each["input_tokens"] for each in state["bill"]] == [120, 7]


def test_a_process_streams_and_breaks_as_its_command_line_says() -> None:
    command = [sys.executable, str(module.__file__), "--fault", "stream_ends_early"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        body = json.dumps({**CHAT, "stream": True}).encode()
        request = Request(f"{url}/v1/chat/completions", data=body)  # noqa: S310
        with urlopen(request) as response:  # noqa: S310  # loopback
            kind, stream = response.headers["content-type"], response.read()
        whole = post(f"{url}/v1/chat/completions", CHAT)
    finally:
        process.kill()
        process.communicate()

    assert kind == "text/event-stream; charset=utf-8"
    assert b'"content": "Use"' in stream
    assert b"again" not in stream
    assert b"[DONE]" not in stream
    assert "again" in str(whole)


def test_a_held_request_is_received_and_waits_until_it_is_released() -> None:
    with Provider() as provider, ThreadPoolExecutor(1) as client:
        provider.hold()

        reply = client.submit(post, f"{provider.v1}/chat/completions", CHAT)
        provider.wait_for_requests(1)
        billed_while_held = list(provider.bill)
        provider.release()

        assert "lock" in str(reply.result(timeout=10))
        assert billed_while_held == []
        assert len(provider.bill) == 1


def test_too_few_requests_are_a_timeout() -> None:
    with Provider() as provider, pytest.raises(TimeoutError, match="0 of 1"):
        provider.wait_for_requests(1, timeout_s=0.01)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/nowhere", CHAT, 404),
        ("/v1/responses", CHAT, 400),
        ("/v1/messages", CHAT, 400),
        ("/v1/chat/completions", {**CHAT, "temperature": 0}, 400),
    ],
)
def test_a_request_that_a_vendor_would_not_take_is_not_taken(
    path: str, body: object, status: int
) -> None:
    with Provider() as provider, pytest.raises(HTTPError) as caught:
        post(f"{provider.url}{path}", body)

    caught.value.close()
    assert caught.value.code == status
    assert provider.bill == []
