"""A cap holds in every process that shares the ledger, and through a hard kill."""

import json
import os
import re
import signal
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.end_to_end.support import (
    SERVE,
    always,
    ask,
    cli,
    connected,
    environment,
    expert,
    report,
    rows,
    write_settings,
)
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour

pytestmark = pytest.mark.anyio

# Exactly one cent a call: 10,000 output tokens at $1 per million, and free input.
CENT = {
    "price": {"input_per_mtok": "0", "output_per_mtok": "1.00"},
    "max_output_tokens": 10_000,
    "max_tries": 1,
}


@pytest.mark.slow
async def test_two_servers_and_200_questions_never_pass_a_day_budget_of_one_dollar(
    home: Path, tmp_path: Path
) -> None:
    replies: list[dict[str, Any]] = []
    with Provider(Behaviour(output_tokens=10_000)) as provider:
        write_settings(
            home,
            expert(provider.url, **CENT),
            policy=always({"scope": "day", "usd": 1}),
        )

        async def client(name: str) -> None:
            async with connected(home, tmp_path) as server:
                limit = anyio.CapacityLimiter(8)

                async def one(number: int) -> None:
                    async with limit:
                        text = f"Question {number} of {name}?"
                        replies.append(await ask(server, text))

                async with anyio.create_task_group() as tasks:
                    for number in range(100):
                        tasks.start_soon(one, number)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client, "the first")
            tasks.start_soon(client, "the second")

    ((spent, reserved),) = rows(home, "SELECT spent_nusd, reserved_nusd FROM windows")
    refused = [reply for reply in replies if reply["status"] == "refused"]
    answered = [reply for reply in replies if reply["status"] == "answered"]
    assert (len(answered), len(refused)) == (100, 100)
    assert (spent, reserved) == (10**9, 0)
    assert len(provider.bill) == 100
    renewal = re.compile(r"day \d{4}-\d\d-\d\d budget of \$1\.00 .* renews at \d{4}-")
    assert all(renewal.search(reply["reason"]) for reply in refused)


def start(home: Path, project: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        SERVE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(home),
        cwd=project,
    )


def say(server: subprocess.Popen[bytes], message: dict[str, Any]) -> None:
    assert server.stdin is not None
    line = json.dumps({"jsonrpc": "2.0", **message}) + "\n"
    server.stdin.write(line.encode())
    server.stdin.flush()


def greet(server: subprocess.Popen[bytes]) -> None:
    say(
        server,
        {
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"},
            },
        },
    )
    assert server.stdout is not None
    assert json.loads(server.stdout.readline())["id"] == 1
    say(server, {"method": "notifications/initialized"})


def call(server: subprocess.Popen[bytes], question: str) -> None:
    say(
        server,
        {
            "id": 2,
            "method": "tools/call",
            "params": {"name": "ask_expert", "arguments": {"question": question}},
        },
    )


async def test_a_server_killed_between_send_and_settle_leaves_its_money_counted_once(
    home: Path, tmp_path: Path
) -> None:
    with Provider(Behaviour(output_tokens=10_000)) as provider:
        provider.hold()
        write_settings(
            home,
            expert(provider.url, **CENT),
            policy=always({"scope": "day", "usd": "0.02"}),
        )
        server = start(home, tmp_path)
        greet(server)
        call(server, "Why does it hang?")
        await anyio.to_thread.run_sync(provider.wait_for_requests, 1)
        os.kill(server.pid, signal.SIGKILL)
        server.communicate()
        provider.release()
        listed = cli(home, "ledger", "list")
        after_crash = report(home)

        async with connected(home, tmp_path) as client:
            second = await ask(client, "Why does it hang?")
            third = await ask(client, "Is it really so?")

    assert "unresolved" in listed.stdout
    (day,) = after_crash["budgets"]
    assert (day["spent_usd"], day["reserved_usd"]) == (0, 0.01)
    # Asking again is a new, visible charge; the lost one stays counted beside it.
    assert (second["status"], second["cost_usd"]) == ("answered", 0.01)
    assert third["status"] == "refused"
    assert rows(home, "SELECT spent_nusd, reserved_nusd, calls FROM windows") == [
        (10**7, 10**7, 2)
    ]
    assert rows(home, "SELECT state FROM tries ORDER BY sent_us") == [
        ("unresolved",),
        ("settled",),
    ]


async def test_a_cancelled_call_that_was_sent_is_finished_and_kept(
    home: Path, tmp_path: Path
) -> None:
    with Provider() as provider:
        provider.hold()
        write_settings(home, expert(provider.url))

        async with connected(home, tmp_path) as client:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(ask, client, "Why does it hang?")
                    await anyio.to_thread.run_sync(provider.wait_for_requests, 1)
                    scope.cancel()
            provider.release()
            again = await ask(client, "Why does it hang?")

    assert (again["status"], again["cached"]) == ("answered", True)
    assert len(provider.requests) == 1
    assert rows(home, "SELECT state FROM tries") == [("settled",)]


async def test_a_budget_added_later_knows_what_was_spent_before(
    home: Path, tmp_path: Path
) -> None:
    with Provider(Behaviour(output_tokens=10_000)) as provider:
        settings = expert(provider.url, **CENT)
        write_settings(home, settings, policy=always({"scope": "day", "usd": 5}))
        async with connected(home, tmp_path) as client:
            await ask(client, "One?")
        write_settings(
            home, settings, policy=always({"scope": "month", "usd": "0.015"})
        )

        async with connected(home, tmp_path) as client:
            reply = await ask(client, "Two?")

    assert reply["status"] == "answered"  # shrunk to the half cent that is left
    assert provider.requests[1].json["max_tokens"] == 5_000
    assert reply["budget_left_usd"] >= 0


async def test_a_ceiling_shrinks_to_the_room_left_and_not_below_its_floor(
    home: Path, tmp_path: Path
) -> None:
    with Provider(Behaviour(output_tokens=3_000)) as provider:
        write_settings(
            home,
            expert(provider.url, **CENT),
            policy=always({"scope": "day", "usd": "0.005"}),
        )

        async with connected(home, tmp_path) as client:
            shrunk = await ask(client, "One?")
            refused = await ask(client, "Two?")

    # 0.5 cent buys 5,000 tokens; the 0.2 cent left after it do not buy 2,048.
    assert provider.requests[0].json["max_tokens"] == 5_000
    assert shrunk["cost_usd"] == 0.003
    assert refused["status"] == "refused"
    assert "$0.002 left and this needs up to $0.002048" in refused["reason"]


async def test_a_locked_ledger_spends_nothing_and_says_so(
    home: Path, tmp_path: Path
) -> None:
    with Provider() as provider:
        write_settings(home, expert(provider.url))
        async with connected(home, tmp_path) as client:
            await ask(client, "One?")
            blocker = sqlite3.connect(home / "ledger.db", isolation_level=None)
            blocker.execute("BEGIN IMMEDIATE")

            reply = await ask(client, "Two?")
            blocker.execute("ROLLBACK")
            blocker.close()
            after = await ask(client, "Three?")

    assert reply["status"] == "unavailable"
    assert "locked" in reply["reason"]
    assert after["status"] == "answered"
    assert len(provider.requests) == 2
