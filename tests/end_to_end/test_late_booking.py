"""An answer that the ledger cannot take yet is booked before the server ends."""

import json
import signal
import sqlite3
import subprocess
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import anyio
import anyio.to_thread
import pytest

from tests.end_to_end.support import (
    SERVE,
    always,
    ask,
    environment,
    expert,
    rows,
    write_settings,
)
from tests.end_to_end.team_support import PATIENCE_S, Replica, calling, new_token
from tests.fakes.provider import Provider

SETTLED = [("settled", "answered")]
STATES = (
    "SELECT tries.state, questions.status FROM tries "
    "JOIN escalations ON escalations.id = tries.escalation_id "
    "JOIN questions ON questions.id = escalations.question_id"
)


@contextmanager
def locked(home: Path) -> Generator[None]:
    """Hold the ledger's write lock, as another process may for a while."""
    path = home / "ledger.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


@pytest.mark.anyio
async def test_a_team_s_server_that_drains_books_what_it_answered(home: Path) -> None:
    replies: list[dict[str, Any]] = []
    answered = anyio.Event()
    with Provider() as provider:
        provider.hold()
        write_settings(
            home,
            expert(provider.url),
            policy=always({"scope": "day", "usd": 1}),
            answer_within_s=30,
        )
        secret = new_token(home, "ada")
        with Replica(home) as server:

            async def asking() -> None:
                async with calling(server.url, secret) as client:
                    replies.append(await ask(client, "Why does it hang?"))
                    answered.set()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(asking)
                await anyio.to_thread.run_sync(provider.wait_for_requests, 1)
                with locked(home):
                    provider.release()
                    with anyio.fail_after(PATIENCE_S):
                        await answered.wait()
                    server.process.send_signal(signal.SIGTERM)
                    await anyio.to_thread.run_sync(server.heard, "draining")
            status = await anyio.to_thread.run_sync(server.process.wait, PATIENCE_S)

    assert replies[0]["status"] == "answered"
    assert json.loads(server.heard("draining"))["calls"] == 1
    assert status == 0
    assert rows(home, STATES) == SETTLED


def say(pipe: IO[str], method: str, number: int | None = None, **params: Any) -> None:
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
    if number is not None:
        message["id"] = number
    pipe.write(json.dumps(message) + "\n")
    pipe.flush()


def test_a_server_of_one_client_that_is_told_to_end_books_what_it_answered(
    home: Path,
) -> None:
    heard: list[str] = []
    with Provider() as provider:
        provider.hold()
        write_settings(home, expert(provider.url), answer_within_s=30)
        with subprocess.Popen(
            SERVE,
            env=environment(home),
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            assert server.stderr is not None
            say(
                server.stdin,
                "initialize",
                1,
                protocolVersion="2025-11-25",
                capabilities={},
                clientInfo={"name": "test", "version": "1"},
            )
            server.stdout.readline()
            say(server.stdin, "notifications/initialized")
            asked = {"question": "Why does it hang?"}
            say(server.stdin, "tools/call", 2, name="ask_expert", arguments=asked)
            provider.wait_for_requests(1, PATIENCE_S)
            with locked(home):
                provider.release()
                heard.append(next(each for each in server.stdout if '"id":2' in each))
                server.send_signal(signal.SIGTERM)
                heard.append(
                    next(each for each in server.stderr if "signal again" in each)
                )
            status = server.wait(PATIENCE_S)

    reply, said = heard
    assert '"status":"answered"' in reply
    assert json.loads(said)["calls"] == 1
    assert status == 0
    assert rows(home, STATES) == SETTLED
