"""What reviewers broke once: each stays mended."""

import base64
import json
import signal
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.end_to_end.support import (
    ask,
    cli,
    connected,
    expert,
    rows,
    write_settings,
)
from tests.end_to_end.test_caps import call, greet, say, start
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour

pytestmark = pytest.mark.anyio

KEY = "sk-loopback-0123456789abcdefghijklmnop"


async def test_half_a_character_in_an_answer_costs_neither_answer_nor_booking(
    home: Path, tmp_path: Path
) -> None:
    text = "Hold \ud83d the lock."
    with Provider(Behaviour(text=text, model="m\udc00")) as provider:
        write_settings(home, expert(provider.url))

        async with connected(home, tmp_path) as client:
            reply = await ask(client, "Why?")
            again = await ask(client, "Why?")

    assert reply["status"] == "answered", reply["reason"]
    assert "the lock." in reply["answer"]
    assert rows(home, "SELECT state FROM tries") == [("settled",)]
    assert again["cached"]


async def test_a_key_that_the_provider_quotes_back_goes_nowhere(
    home: Path, tmp_path: Path
) -> None:
    encoded = base64.b64encode(f"user:{KEY}".encode()).decode()
    escaped = KEY.replace("-", "\\u002d")
    raw = f'{{"error": {{"message": "Bad key {escaped} {encoded}", "type": "x"}}}}'
    with Provider(Behaviour(text=f"Your key is {KEY}", model=f"m {KEY}")) as provider:
        provider.script(Behaviour(status=401, raw_error=raw))
        write_settings(home, expert(provider.url, key_env="LOOPBACK_API_KEY"))

        async with connected(home, tmp_path, LOOPBACK_API_KEY=KEY) as client:
            refused = await ask(client, "One?")
            answered = await ask(client, "Two?")
        exported = cli(home, "ledger", "export", "--format", "jsonl")

    assert provider.requests[0].headers["authorization"] == f"Bearer {KEY}"
    stored = ledger_bytes(home)
    for shown in (
        json.dumps(refused),
        json.dumps(answered),
        exported.stdout,
        stored,
    ):
        assert KEY not in shown
        assert encoded not in shown
    assert answered["status"] == "answered"


def ledger_bytes(home: Path) -> str:
    found = b"".join(path.read_bytes() for path in home.glob("ledger.db*"))
    return found.decode("latin-1")


@pytest.mark.parametrize("storage", ["hash", "none"])
async def test_a_slow_answer_that_is_not_stored_can_be_fetched_and_is_paid_once(
    home: Path, tmp_path: Path, storage: str
) -> None:
    with Provider(Behaviour(text="Hold the lock.")) as provider:
        provider.hold()
        write_settings(home, expert(provider.url), storage=storage, answer_within_s=0.3)

        async with connected(home, tmp_path) as client:
            first = await ask(client, "Why?")
            second = await ask(client, "Why?")
            provider.release()
            fetched: dict[str, Any] = {"status": "pending"}
            with anyio.fail_after(20):
                while fetched["status"] == "pending":
                    result = await client.call_tool(
                        "expert_status", {"question_id": first["question_id"]}
                    )
                    fetched = dict(result.structured_content or {})

    assert (first["status"], second["status"]) == ("pending", "pending")
    assert fetched["status"] == "answered"
    assert "Hold the lock." in fetched["answer"]
    assert len(provider.requests) == 1


async def test_a_refusal_stays_a_refusal_when_it_is_asked_again(
    home: Path, tmp_path: Path
) -> None:
    refusal = Behaviour(text="I cannot help with that.", finish="refusal")
    with Provider(refusal) as provider:
        write_settings(home, expert(provider.url))

        async with connected(home, tmp_path) as client:
            first = await ask(client, "Why?")
            second = await ask(client, "Why?")

    assert {first["status"], second["status"]} == {"unavailable"}
    found = rows(home, "SELECT DISTINCT status FROM questions")
    assert found == [("refused_by_expert",)]


async def test_after_a_sigterm_paid_calls_are_finished_and_no_new_one_is_begun(
    home: Path, tmp_path: Path
) -> None:
    with Provider() as provider:
        provider.hold()
        write_settings(home, expert(provider.url))
        server = start(home, tmp_path)
        greet(server)
        call(server, "Why does it hang?")
        await anyio.to_thread.run_sync(provider.wait_for_requests, 1)
        server.send_signal(signal.SIGTERM)
        say(
            server,
            {
                "id": 3,
                "method": "tools/call",
                "params": {"name": "ask_expert", "arguments": {"question": "New?"}},
            },
        )
        await anyio.to_thread.run_sync(_answer_to, server, 3)
        provider.release()
        first = await anyio.to_thread.run_sync(_answer_to, server, 2)
        assert server.stdin is not None
        server.stdin.close()
        await anyio.to_thread.run_sync(server.wait)
        assert server.stdout is not None
        server.stdout.close()

    assert first["structuredContent"]["status"] == "answered"
    assert len(provider.requests) == 1
    assert rows(home, "SELECT state FROM tries") == [("settled",)]


def _answer_to(server: Any, identifier: int) -> dict[str, Any]:
    while line := server.stdout.readline():
        message = json.loads(line)
        if message.get("id") == identifier:
            return message["result"]
    raise EOFError(identifier)


async def test_a_joiner_asks_for_itself_when_the_first_asker_left_in_time(
    home: Path, tmp_path: Path
) -> None:
    limited = Behaviour(status=429, retry_after="1")
    with Provider() as provider:
        provider.script(limited)
        write_settings(home, expert(provider.url))
        reply: dict[str, Any] = {}

        async with (
            connected(home, tmp_path) as client,
            anyio.create_task_group() as tasks,
        ):

            async def joiner() -> None:
                reply.update(await ask(client, "Why?"))

            with anyio.CancelScope() as first:
                async with anyio.create_task_group() as asker:
                    asker.start_soon(ask, client, "Why?")
                    await anyio.to_thread.run_sync(provider.wait_for_requests, 1)
                    tasks.start_soon(joiner)
                    first.cancel()

    assert reply["status"] == "answered"
