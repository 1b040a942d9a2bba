"""Two servers, one PostgreSQL, a balancer before them: one team, whichever is hit."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import anyio
import anyio.to_thread
import psycopg
import pytest
from mcp.types import ElicitResult

from tests.databases import PostgreSQL
from tests.end_to_end.support import always, ask, cli, expert, report, write_settings
from tests.end_to_end.team_support import Replica, call, calling, new_token
from tests.end_to_end.test_approval import Person
from tests.end_to_end.test_caps import CENT
from tests.fakes.balancer import Balancer
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour

pytestmark = pytest.mark.anyio

Mode = Literal["auto", "legacy"]
both_eras = pytest.mark.parametrize("mode", ["auto", "legacy"])


@dataclass(frozen=True, kw_only=True)
class Servers:
    """A team's servers with all around them."""

    home: Path
    database: str
    provider: Provider
    replicas: tuple[Replica, ...]
    balancer: Balancer

    @property
    def url(self) -> str:
        return self.balancer.url

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database) as connection:
            return connection.execute(cast("Any", query)).fetchall()

    def token(self, name: str, *flags: str, project: str = "shop") -> str:
        return new_token(self.home, name, *flags, project=project)


@contextmanager
def started(home: Path, database: str) -> Generator[Servers]:
    """Run two servers over one home and one database."""
    with Provider(Behaviour(output_tokens=10_000)) as provider:
        write_settings(
            home,
            expert(provider.url, **CENT),
            policy=always({"scope": "day", "usd": "5.00"}),
            ledger=database,
            answer_within_s=3,
        )
        (home / "ask_first.yaml").write_text(
            "name: ask_first\nrules: [{when: always, then: ask_human}]\n"
            "budgets: [{scope: day, usd: 5}]\n",
            encoding="utf-8",
        )
        # Whoever makes the home's key does it once, before the servers share it.
        new_token(home, "first", "--role", "owner")
        with (
            Replica(home) as one,
            Replica(home) as other,
            Balancer([one.url, other.url]) as balancer,
        ):
            yield Servers(
                home=home,
                database=database,
                provider=provider,
                replicas=(one, other),
                balancer=balancer,
            )


@pytest.fixture(scope="module")
def team(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgreSQL, template: str
) -> Generator[Servers]:
    """Servers that the tests of this file share, each with tokens of its own."""
    home = tmp_path_factory.mktemp("team")
    home.chmod(0o700)
    name = postgres.new_database(template)
    with started(home, postgres.address(name)) as servers:
        yield servers
    postgres.drop(name)


@both_eras
async def test_a_thread_goes_on_whichever_server_is_hit(
    team: Servers, mode: Mode
) -> None:
    secret = team.token(f"thread-{mode}")
    before = len(team.provider.requests)
    hit = len(team.balancer.served)

    async with calling(team.url, secret, mode=mode) as client:
        first = await ask(client, f"Why does it hang, {mode}?")
        second = await ask(client, f"And then, {mode}?", thread=first["thread"])

    assert (first["status"], second["status"]) == ("answered", "answered")
    assert first["thread"] == second["thread"]
    assert b"Why does it hang" in team.provider.requests[before + 1].body
    assert {*team.balancer.served[hit:]} == {each.url for each in team.replicas}


async def test_a_pending_answer_is_fetched_from_the_other_server(
    team: Servers,
) -> None:
    secret = team.token("pending")
    before = len(team.provider.requests)
    team.provider.hold()
    asked, other = team.replicas

    async with calling(asked.url, secret) as client:
        first = await ask(client, "Which lock is slow?")
    async with calling(other.url, secret) as client:
        joined = await ask(client, "Which lock is slow?")
        team.provider.release()
        answered = await ask(client, "Which lock is slow?")
        status = await client.call_tool(
            "expert_status", {"question_id": first["question_id"]}
        )

    assert (first["status"], joined["status"]) == ("pending", "pending")
    assert joined["question_id"] == first["question_id"]
    assert (answered["status"], answered["cached"]) == ("answered", True)
    assert status.structured_content is not None
    assert status.structured_content["status"] == "answered"
    assert len(team.provider.requests) == before + 1


async def test_a_token_s_own_budget_holds_over_both_servers(team: Servers) -> None:
    secret = team.token("frugal", "--budget", "0.03/day")
    replies: list[dict[str, Any]] = []

    async with calling(team.url, secret) as client:

        async def one(number: int) -> None:
            replies.append(await ask(client, f"Question {number}?"))

        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(one, number)
        status = await client.call_tool("expert_status", {})

    statuses = [reply["status"] for reply in replies]
    assert (statuses.count("answered"), statuses.count("refused")) == (3, 5)
    refused = next(reply for reply in replies if reply["status"] == "refused")
    assert "of session k_" in refused["reason"]
    assert status.structured_content is not None
    lefts = {
        each["budget"]: each["left_usd"]
        for each in status.structured_content["budgets"]
    }
    (own,) = (left for name, left in lefts.items() if "session" in name)
    (shared,) = (left for name, left in lefts.items() if "session" not in name)
    assert own == 0.0
    assert 0 < shared < 5


async def test_the_budget_of_one_token_does_not_bind_another(team: Servers) -> None:
    spent = team.token("spent", "--budget", "0.01/day")
    fresh = team.token("fresh", "--budget", "0.01/day")

    async with calling(team.url, spent) as client:
        first = await ask(client, "Question of the first?")
        full = await ask(client, "Question of the first again?")
    async with calling(team.url, fresh) as client:
        other = await ask(client, "Question of the other?")

    assert [first["status"], full["status"], other["status"]] == [
        "answered",
        "refused",
        "answered",
    ]


async def test_a_call_under_one_token_s_budgets_is_joined_under_another_s(
    team: Servers,
) -> None:
    both = ("--user", "pat")
    one = team.token("desk", *both, "--budget", "1/day")
    other = team.token("laptop", *both, "--budget", "2/day")
    before = len(team.provider.requests)
    replies: list[dict[str, Any]] = []
    team.provider.hold()
    url = team.replicas[0].url

    async def asking(secret: str) -> None:
        async with calling(url, secret) as client:
            replies.append(await ask(client, "Whose is it?"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(asking, one)
        await anyio.to_thread.run_sync(team.provider.wait_for_requests, before + 1)
        tasks.start_soon(asking, other)
        await anyio.sleep(0.1)
        team.provider.release()

    assert [reply["status"] for reply in replies] == ["answered", "answered"]
    assert sorted(reply.get("cached", False) for reply in replies) == [False, True]
    assert len(team.provider.requests) == before + 1


async def test_a_form_that_one_server_showed_is_taken_by_the_other(
    team: Servers,
) -> None:
    policy = ("--policy", str(team.home / "ask_first.yaml"))
    secret = team.token("asked", "--role", "lead", *policy)
    person = Person(ElicitResult(action="accept", content={"decision": "approve_once"}))

    async with calling(team.url, secret, person=person) as client:
        await client.list_tools()
        reply = await ask(client, "May I?")

    shown, taken = team.balancer.served[-2:]
    assert reply["status"] == "answered"
    assert len(person.forms) == 1
    assert shown != taken
    assert ("elicitation: token asked",) in team.rows('SELECT "by" FROM approvals')


@both_eras
async def test_ids_that_no_database_takes_are_unknown_and_break_nothing(
    team: Servers, mode: Mode
) -> None:
    secret = team.token(f"odd-{mode}", "--role", "owner")
    odd = "q_\0"
    url = f"{team.url}/team"

    async with calling(team.url, secret, mode=mode) as client:
        results = [
            await client.call_tool("expert_status", {"question_id": odd}),
            await client.call_tool(
                "report_outcome", {"question_id": odd, "solved": True}
            ),
            await client.call_tool("ask_expert", {"question": "Why?", "thread": odd}),
        ]
        reply = await ask(client, f"A \0 in {mode}?", task="t\0", context="\0")
    word = call("POST", f"{url}/approve", secret=secret, body={"question_id": odd})
    ended = call("DELETE", f"{url}/tokens/%00", secret=secret)

    texts = [str(each.content) for each in results]
    assert [each.is_error for each in results] == [True, True, True]
    assert "There is no question" in texts[0]
    assert "There is no question" in texts[1]
    assert "There is no thread" in texts[2]
    assert reply["status"] == "answered"
    assert (word[0], ended[0]) == (400, 404)


async def ask_or_lose(team: Servers, secret: str, number: int) -> dict[str, Any] | None:
    """Ask; None when the server went away meanwhile, however the client words it."""
    try:
        async with calling(team.url, secret) as client:
            return await ask(client, f"Question {number}?")
    except Exception:  # noqa: BLE001  # a client may raise anything here
        return None


async def test_one_server_killed_under_load_loses_no_row_and_no_money(
    home: Path, database: str
) -> None:
    replies: dict[int, dict[str, Any] | None] = {}
    with started(home, database) as team:
        secret = team.token("busy")
        team.provider.hold()

        async def one(number: int) -> None:
            replies[number] = await ask_or_lose(team, secret, number)

        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(one, number)
            await anyio.to_thread.run_sync(team.provider.wait_for_requests, 6)
            team.replicas[0].process.kill()
            await anyio.to_thread.run_sync(team.replicas[0].process.wait)
            team.provider.release()
        lost = [number for number, reply in replies.items() if reply is None]
        counted = report(home)["unresolved"]
        states = team.rows("SELECT state, count(*) FROM tries GROUP BY state")
        again = [await ask_or_lose(team, secret, number) for number in lost]
        sums = team.rows("SELECT spent_nusd, reserved_nusd, calls FROM windows")
        checked = cli(home, "ledger", "check")

    killed = len(lost)
    assert 0 < killed < 6
    # Their calls are on record, of unknown fate, and counted at the worst case.
    assert (counted["tries"], float(counted["usd"])) == (killed, killed / 100)
    assert dict(states) == {"settled": 6 - killed, "unresolved": killed}
    # Asking again is another charge, and the reply says so.
    shown = [(reply["status"], reply["cost_usd"]) for reply in again if reply]
    assert shown == [("answered", 0.01)] * killed
    assert not any(reply.get("cached") for reply in again if reply)
    assert len(team.provider.requests) == 6 + killed
    assert sums == [(6 * 10**7, killed * 10**7, 6 + killed)]
    assert checked.returncode == 0, checked.stdout
