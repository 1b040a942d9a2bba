"""A team's server ends: gracefully at the first signal, at once at the second."""

import signal
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest

from tests.end_to_end.support import (
    always,
    ask,
    cli,
    expert,
    report,
    rows,
    write_settings,
)
from tests.end_to_end.team_support import (
    PATIENCE_S,
    Replica,
    call,
    calling,
    new_token,
    wait_until,
)
from tests.end_to_end.test_caps import CENT
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour

PATIENT = {"answer_within_s": 30}


def settle(home: Path, provider: Provider, **more: object) -> str:
    write_settings(
        home,
        expert(provider.url, **CENT),
        policy=always({"scope": "day", "usd": 1}),
        **more,
    )
    return new_token(home, "ada")


@pytest.mark.anyio
async def test_a_draining_server_finishes_what_it_took_and_takes_nothing_more(
    home: Path,
) -> None:
    replies: list[dict[str, Any]] = []
    seen: dict[str, httpx2.Response] = {}
    with Provider(Behaviour(output_tokens=10_000)) as provider:
        provider.hold()
        secret = settle(home, provider, **PATIENT)
        with Replica(home) as server:

            async def asking() -> None:
                async with calling(server.url, secret) as client:
                    replies.append(await ask(client, "Why does it hang?"))

            def look(name: str, path: str) -> None:
                url = f"{server.url}/health/{path}"
                seen[name] = httpx2.get(url, timeout=PATIENCE_S)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(asking)
                await anyio.to_thread.run_sync(provider.wait_for_requests, 1)
                look("before", "ready")
                server.process.send_signal(signal.SIGTERM)
                await anyio.to_thread.run_sync(server.heard, "draining")
                look("draining", "ready")
                look("alive", "live")
                async with calling(server.url, secret) as late:
                    replies.append(await ask(late, "Is it too late?"))
                provider.release()
            status = await anyio.to_thread.run_sync(server.process.wait, PATIENCE_S)

    turned_down, finished = replies
    assert {name: each.status_code for name, each in seen.items()} == {
        "before": 200,
        "draining": 503,
        "alive": 200,
    }
    assert seen["draining"].json() == {"status": "draining"}
    assert seen["draining"].headers["Connection"] == "close"
    assert turned_down["status"] == "unavailable"
    assert "another server of the team" in turned_down["next_step"]
    assert finished["status"] == "answered"
    assert status == 0
    assert rows(home, "SELECT state FROM tries") == [("settled",)]


@pytest.mark.anyio
async def test_a_client_that_does_not_wait_so_long_gets_pending_and_its_answer_later(
    home: Path,
) -> None:
    with Provider(Behaviour(output_tokens=10_000)) as provider:
        provider.hold()
        secret = settle(home, provider, answer_within_s=1)
        with Replica(home) as server:
            async with calling(server.url, secret) as client:
                reply = await ask(client, "Why does it hang?")
            server.process.send_signal(signal.SIGTERM)
            await anyio.to_thread.run_sync(server.heard, "draining")
            provider.release()
            status = await anyio.to_thread.run_sync(server.process.wait, PATIENCE_S)
        with Replica(home) as next_one:
            async with calling(next_one.url, secret) as client:
                later = await ask(client, "Why does it hang?")

    assert reply["status"] == "pending"
    assert status == 0
    assert (later["status"], later["cached"]) == ("answered", True)
    assert len(provider.requests) == 1


@pytest.mark.anyio
async def test_the_second_signal_ends_it_at_once_and_the_call_stays_counted(
    home: Path,
) -> None:
    with Provider(Behaviour(output_tokens=10_000)) as provider:
        provider.hold()
        secret = settle(home, provider, answer_within_s=1)
        with Replica(home) as server:
            async with calling(server.url, secret) as client:
                await ask(client, "Why does it hang?")
            server.process.send_signal(signal.SIGTERM)
            await anyio.to_thread.run_sync(server.heard, "draining")
            server.process.send_signal(signal.SIGTERM)
            status = await anyio.to_thread.run_sync(server.process.wait, PATIENCE_S)
        counted = report(home)["unresolved"]

    assert status == 128 + signal.SIGTERM
    assert (counted["tries"], float(counted["usd"])) == (1, 0.01)
    assert cli(home, "ledger", "check").returncode == 0


def test_an_idle_server_ends_at_the_first_signal_whatever_connections_it_keeps(
    home: Path,
) -> None:
    with Provider() as provider:
        settle(home, provider)
        with Replica(home) as server, httpx2.Client() as kept:
            kept.get(f"{server.url}/health/live")
            server.process.send_signal(signal.SIGTERM)
            status = server.process.wait(PATIENCE_S)

    assert status == 0


def test_a_server_that_lost_its_ledger_is_alive_but_not_ready(
    home: Path,
) -> None:
    with Provider() as provider:
        secret = settle(home, provider)
        with Replica(home) as server:
            for file in home.glob("ledger.db*"):
                file.write_bytes(b"no database" * 1000)

            wait_until(
                lambda: call("GET", f"{server.url}/health/ready")[0] == 503,
                "it is not ready",
            )
            live, _ = call("GET", f"{server.url}/health/live")
            asked, said = call("GET", f"{server.url}/team/usage", secret=secret)

    assert live == 200
    assert (asked, said["error"]) == (503, "unavailable")
