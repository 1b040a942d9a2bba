"""After a crash the money stays counted; then one command settles it."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from tests.end_to_end.support import (
    always,
    cli,
    connected,
    expert,
    report,
    rows,
    write_settings,
)
from tests.fakes.ids import generation_id
from tests.fakes.provider import Provider
from tests.fakes.records import generation
from tests.fakes.shapes import Behaviour

pytestmark = pytest.mark.anyio

GENERATION = generation_id(0)
DAY = {"scope": "day", "usd": "1.00"}
COUNTED = "SELECT spent_nusd, reserved_nusd, calls FROM windows"


def reconciled(home: Path, *options: str) -> list[dict[str, Any]]:
    done = cli(home, "ledger", "reconcile", "--json", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["tries"]


async def test_a_killed_server_s_call_ends_at_worst_case_once(
    home: Path, tmp_path: Path
) -> None:
    with Provider() as provider:
        provider.hold()
        write_settings(home, expert(provider.url), policy=always(DAY))
        async with (
            connected(home, tmp_path) as client,
            anyio.create_task_group() as tasks,
        ):
            question = {"question": "Why does it hang?"}
            tasks.start_soon(client.call_tool, "ask_expert", question)
            await anyio.to_thread.run_sync(provider.wait_for_requests, 1)
            ((owner,),) = rows(home, "SELECT owner FROM tries")
            os.kill(int(owner.split(":")[1]), signal.SIGKILL)
            tasks.cancel_scope.cancel()
        ((held,),) = rows(home, "SELECT reserved_nusd FROM tries")

        (young,) = reconciled(home)
        (trial,) = reconciled(home, "--older-than", "0m", "--dry-run")
        before = rows(home, COUNTED)
        (ended,) = reconciled(home, "--older-than", "0m")
        again = reconciled(home, "--older-than", "0m")

    assert (young["result"], young["cost_usd"]) == ("unresolved", None)
    assert young["why"] == "its provider keeps no record that can be asked for"
    assert before == [(0, held, 1)]
    assert trial == ended
    assert (ended["result"], ended["cost_usd"]) == ("worst_case", ended["reserved_usd"])
    assert again == []
    assert rows(home, COUNTED) == [(held, 0, 1)]
    assert "settled (reconciled: worst_case)" in cli(home, "ledger", "list").stdout
    told = report(home)
    assert (told["unresolved"]["tries"], told["reconciled"]["worst_case_tries"]) == (
        0,
        1,
    )
    assert "1 of them at worst case" in cli(home, "report").stdout
    assert cli(home, "ledger", "check").returncode == 0


def test_a_call_that_broke_is_settled_by_what_the_provider_says_it_cost(
    home: Path,
) -> None:
    with Provider(Behaviour(fault="stream_cut_first")) as provider:
        url = provider.base("openrouter")
        router = expert(provider.url, api="openrouter", base_url=url)
        write_settings(home, router, policy=always(DAY))
        asked = cli(home, "ask", "Why does it hang?")
        provider.records[GENERATION] = generation(GENERATION, cost_usd=0.0015)

        done = cli(home, "ledger", "reconcile")
        again = cli(home, "ledger", "reconcile")

    assert "may have been billed" in asked.stdout + asked.stderr
    assert "1 settled by the provider's record" in done.stdout
    assert again.stdout == "No try is unresolved.\n"
    assert rows(home, COUNTED) == [(1_500_000, 0, 1)]


@pytest.mark.parametrize("given", ["soon", "", "1", "-1h", "9998-01-01"])
def test_an_age_that_is_none_is_refused(home: Path, given: str) -> None:
    done = cli(home, "ledger", "reconcile", f"--older-than={given}")

    assert done.returncode == 2
    assert "--older-than" in done.stderr
