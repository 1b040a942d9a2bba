"""An expert that is slower than its asker: nothing is lost, nothing is paid twice."""

import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.end_to_end.support import (
    ask,
    connected,
    environment,
    expert,
    rows,
    write_settings,
)
from tests.end_to_end.test_approval import Heard
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour

pytestmark = pytest.mark.anyio

DEFAULT_SERVE = [sys.executable, "-m", "ask_expert", "serve"]
QUESTION = "Why does it hang?"
SERVERS = 10


async def test_an_answer_that_outlasts_the_clients_patience_is_fetched_and_paid_once(
    home: Path, tmp_path: Path
) -> None:
    with Provider(Behaviour(text="Hold the lock.")) as provider:
        write_settings(home, expert(provider.url))

        async with (
            connected(home, tmp_path) as client,
            connected(home, tmp_path, ASK_EXPERT_ANSWER_WITHIN_S="0.3") as another,
        ):
            await ask(client, "Is anybody there?")
            provider.hold()
            with pytest.raises(MCPError, match="timed out"):
                await client.call_tool(
                    "ask_expert", {"question": QUESTION}, read_timeout_seconds=2
                )
            await anyio.to_thread.run_sync(provider.wait_for_requests, 2)
            asked = await ask(another, QUESTION)
            provider.release()
            fetched = await _fetched(another, asked["question_id"])
            again = await ask(client, QUESTION)

    assert asked["status"] == "pending"
    assert (fetched["status"], fetched["cost_usd"]) == ("answered", 0.00042)
    assert (again["status"], again["cached"]) == ("answered", True)
    assert "Hold the lock." in fetched["answer"]
    assert "Hold the lock." in again["answer"]
    assert len(provider.bill) == 2
    assert rows(home, "SELECT state FROM tries") == [("settled",), ("settled",)]


@pytest.mark.parametrize(
    "when", ["finishing paid calls", "signal again to end now", "killed"]
)
async def test_a_client_that_closes_while_the_expert_works_finds_the_answer_next_time(
    home: Path, tmp_path: Path, when: str
) -> None:
    log = tmp_path / "server.log"
    gone = anyio.Event()
    with Provider() as provider:
        provider.hold()
        write_settings(home, expert(provider.url))

        async def leave() -> None:
            async with (
                anyio.create_task_group() as tasks,
                _logged(home, tmp_path, log) as client,
            ):
                tasks.start_soon(_ask_in_vain, client)
                await anyio.to_thread.run_sync(provider.wait_for_requests, 1)
            gone.set()

        # A client closes its end of the pipe, sends SIGTERM 2 s later, and after 2 s
        # more kills what it started.
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(leave)
            if when == "killed":
                await gone.wait()
            else:
                await anyio.to_thread.run_sync(_wait_for, log, when)
            provider.release()
        async with connected(home, tmp_path) as client:
            again = await ask(client, QUESTION)

    assert rows(home, "SELECT state FROM tries") == [("settled",)]
    assert (again["status"], again["cached"]) == ("answered", True)
    assert len(provider.bill) == 1


async def test_ten_servers_with_the_same_question_at_once_pay_once(
    home: Path, tmp_path: Path
) -> None:
    replies: list[dict[str, Any]] = []
    heard = [Heard() for _ in range(SERVERS)]
    with Provider(Behaviour(text="Hold the lock.")) as provider:
        provider.hold()
        write_settings(home, expert(provider.url))

        async def one(mine: Heard) -> None:
            async with connected(home, tmp_path) as client:
                result = await client.call_tool(
                    "ask_expert",
                    {"question": QUESTION},
                    progress_callback=mine.progress,
                )
                replies.append(dict(result.structured_content or {}))

        async with anyio.create_task_group() as tasks:
            for mine in heard:
                tasks.start_soon(one, mine)
            for mine in heard:
                await mine.wait_for("asking the expert")
            await anyio.to_thread.run_sync(provider.wait_for_requests, 1)
            provider.release()

    assert [reply["status"] for reply in replies] == ["answered"] * SERVERS
    assert sorted(bool(reply.get("cached")) for reply in replies) == [
        False,
        *[True] * (SERVERS - 1),
    ]
    assert all("Hold the lock." in reply["answer"] for reply in replies)
    assert sorted(reply["cost_usd"] for reply in replies)[-2:] == [0, 0.00042]
    assert (len(provider.requests), len(provider.bill)) == (1, 1)
    assert rows(home, "SELECT state FROM tries") == [("settled",)]


async def test_the_signs_of_life_say_whom_is_asked_and_how_far_the_answer_has_come(
    home: Path, tmp_path: Path
) -> None:
    heard, joined = Heard(), Heard()
    text = "Hold the lock. " * 20
    with Provider(Behaviour(text=text, fault="stream_stall")) as provider:
        provider.hold()
        write_settings(home, expert(provider.url, timeout_s=4))

        async with connected(home, tmp_path) as client:

            async def call(mine: Heard) -> None:
                await client.call_tool(
                    "ask_expert",
                    {"question": QUESTION},
                    progress_callback=mine.progress,
                )

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call, heard)
                await heard.wait_for("flagship is thinking")
                tasks.start_soon(call, joined)
                await joined.wait_for("flagship is thinking")
                provider.release()

    assert heard.lines[0] == "asking the expert"
    for mine in (heard, joined):
        assert any(line.startswith("flagship has written ") for line in mine.lines)
        assert mine.steps == sorted(set(mine.steps))
    assert len(provider.bill) == 1


@asynccontextmanager
async def _logged(home: Path, project: Path, log: Path) -> AsyncGenerator[Client]:
    """Yield a client of the server that a user starts, whose log is in a file."""
    command, *arguments = DEFAULT_SERVE
    parameters = StdioServerParameters(
        command=command, args=arguments, env=environment(home), cwd=str(project)
    )
    with log.open("w", encoding="utf-8") as file:
        async with Client(stdio_client(parameters, errlog=file)) as client:
            yield client


async def _ask_in_vain(client: Client) -> None:
    """Ask, and be gone before the answer is."""
    with pytest.raises(MCPError):
        await client.call_tool("ask_expert", {"question": QUESTION})


def _wait_for(log: Path, words: str) -> None:
    until = time.monotonic() + 30
    while not log.exists() or words not in log.read_text(encoding="utf-8"):
        if time.monotonic() > until:
            raise TimeoutError(words)
        time.sleep(0.02)


async def _fetched(client: Client, question_id: str) -> dict[str, Any]:
    with anyio.fail_after(30):
        while True:
            result = await client.call_tool(
                "expert_status", {"question_id": question_id}
            )
            found = dict(result.structured_content or {})
            if found["status"] != "pending":
                return found
