"""Servers that share a ledger in PostgreSQL share its budgets, and outlive its restart."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psycopg
import pytest

from tests.databases import PostgreSQL, running
from tests.end_to_end.support import (
    always,
    ask,
    cli,
    connected,
    expert,
    write_settings,
)
from tests.end_to_end.test_caps import CENT
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour

pytestmark = pytest.mark.anyio


def sums(address: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(address) as connection:
        return connection.execute(
            "SELECT spent_nusd, reserved_nusd, calls FROM windows WHERE scope = 'day'"
        ).fetchall()


async def test_two_servers_on_one_postgresql_never_pass_a_budget(
    home: Path, tmp_path: Path, database: str
) -> None:
    replies: list[dict[str, Any]] = []
    with Provider(Behaviour(output_tokens=10_000)) as provider:
        write_settings(
            home,
            expert(provider.url, **CENT),
            policy=always({"scope": "day", "usd": "0.20"}),
            ledger=database,
        )

        async def client(name: str) -> None:
            async with connected(home, tmp_path) as server:

                async def one(number: int) -> None:
                    replies.append(await ask(server, f"Question {number} of {name}?"))

                async with anyio.create_task_group() as tasks:
                    for number in range(20):
                        tasks.start_soon(one, number)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client, "the first")
            tasks.start_soon(client, "the second")

    statuses = [reply["status"] for reply in replies]
    assert (statuses.count("answered"), statuses.count("refused")) == (20, 20)
    assert sums(database) == [(2 * 10**8, 0, 20)]
    assert len(provider.bill) == 20
    assert not (home / "ledger.db").exists()
    assert cli(home, "ledger", "check").returncode == 0


@pytest.fixture
def mortal() -> Generator[PostgreSQL]:
    with running() as server:
        yield server


async def test_an_answer_that_comes_while_postgresql_restarts_is_given_and_booked(
    home: Path, tmp_path: Path, mortal: PostgreSQL
) -> None:
    address = mortal.address(mortal.new_database())
    replies: list[dict[str, Any]] = []
    with Provider(Behaviour(output_tokens=10_000)) as provider:
        provider.hold()
        write_settings(
            home,
            expert(provider.url, **CENT),
            policy=always({"scope": "day", "usd": "0.02"}),
            ledger=address,
        )

        async with connected(home, tmp_path) as server:

            async def asking() -> None:
                replies.append(await ask(server, "Why does it hang?"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(asking)
                await anyio.to_thread.run_sync(provider.wait_for_requests, 1)
                await anyio.to_thread.run_sync(mortal.stop)
                provider.release()
                await anyio.to_thread.run_sync(mortal.start)
            again = await ask(server, "Why does it hang?")

    assert [reply["status"] for reply in replies] == ["answered"]
    assert (again["status"], again["cached"]) == ("answered", True)
    assert len(provider.requests) == 1
    assert sums(address) == [(10**7, 0, 1)]
    assert cli(home, "ledger", "check").returncode == 0
