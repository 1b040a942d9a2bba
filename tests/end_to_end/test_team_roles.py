"""What an owner, a lead and a member may do with their tokens."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.end_to_end.support import ask, cli, expert, rows, write_settings
from tests.end_to_end.team_support import (
    PATIENCE_S,
    Replica,
    bearer,
    call,
    calling,
    new_token,
    wait_until,
)
from tests.end_to_end.test_approval import ASK_FIRST, Person, decides
from tests.fakes.provider import Provider


@dataclass(frozen=True, kw_only=True)
class Roles:
    """A server, and a token of every role."""

    home: Path
    url: str
    owner: str
    lead: str
    member: str
    stranger: str

    def do(
        self, secret: str, method: str, path: str, body: Any = None
    ) -> tuple[int, Any]:
        return call(method, f"{self.url}/team/{path}", secret=secret, body=body)

    async def asked(self, secret: str, question: str) -> dict[str, Any]:
        async with calling(self.url, secret) as client:
            return await ask(client, question)

    def changes(self, name: str) -> list[tuple[Any, ...]]:
        query = f"SELECT \"by\" FROM changes WHERE name = '{name}' ORDER BY id"  # noqa: S608
        return rows(self.home, query)


@pytest.fixture(scope="module")
def roles(tmp_path_factory: pytest.TempPathFactory) -> Generator[Roles]:
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    with Provider() as provider:
        write_settings(home, expert(provider.url), policy=ASK_FIRST)
        owner = new_token(home, "olga", "--role", "owner", project="office")
        lead = new_token(home, "lena", "--role", "lead", "--budget", "5/day")
        member = new_token(home, "mo", "--budget", "1/day")
        stranger = new_token(home, "sam", "--role", "lead", project="elsewhere")
        with Replica(home) as replica:
            yield Roles(
                home=home,
                url=replica.url,
                owner=owner,
                lead=lead,
                member=member,
                stranger=stranger,
            )


def waiting(roles: Roles, secret: str) -> set[str]:
    status, said = roles.do(secret, "GET", "questions?status=needs_approval")
    assert status == 200
    return {each["question_id"] for each in said["questions"]}


@pytest.mark.anyio
async def test_a_lead_approves_what_a_member_asks_and_then_it_is_answered(
    roles: Roles,
) -> None:
    first = await roles.asked(roles.member, "May I ask this?")
    shown = roles.do(roles.lead, "GET", "questions")[1]["questions"]

    word = roles.do(
        roles.lead, "POST", "approve", {"question_id": first["question_id"]}
    )
    second = await roles.asked(roles.member, "May I ask this?")

    assert first["status"] == "needs_approval"
    assert "a lead or an owner" in first["next_step"]
    (own,) = (each for each in shown if each["question_id"] == first["question_id"])
    assert (own["user"], own["question"]) == ("mo", "May I ask this?")
    assert float(own["worst_case_usd"]) > 0
    assert word == (
        200,
        {"question_id": first["question_id"], "scope": "question"},
    )
    assert second["status"] == "answered"
    assert ("token lena",) in rows(roles.home, 'SELECT "by" FROM approvals')
    assert first["question_id"] not in waiting(roles, roles.lead)


@pytest.mark.anyio
async def test_a_member_may_not_approve_not_even_the_own_question_by_a_form(
    roles: Roles,
) -> None:
    person = Person(decides("approve_once"))
    async with calling(roles.url, roles.member, person=person) as client:
        asked = await ask(client, "May I say yes myself?")

    status, said = roles.do(
        roles.member, "POST", "approve", {"question_id": asked["question_id"]}
    )

    assert asked["status"] == "needs_approval"
    assert person.forms == []
    assert (status, said["error"]) == (403, "forbidden")
    assert asked["question_id"] in waiting(roles, roles.member)


@pytest.mark.anyio
async def test_each_role_sees_as_far_as_it_reaches(roles: Roles) -> None:
    of_member = (await roles.asked(roles.member, "Whose is this?"))["question_id"]
    of_lead = (await roles.asked(roles.lead, "Whose is that?"))["question_id"]
    of_stranger = (await roles.asked(roles.stranger, "Whose?"))["question_id"]
    every = {of_member, of_lead, of_stranger}

    assert waiting(roles, roles.member) & every == {of_member}
    assert waiting(roles, roles.lead) & every == {of_member, of_lead}
    assert waiting(roles, roles.owner) & every == every
    body = {"question_id": of_member}
    assert roles.do(roles.stranger, "POST", "approve", body)[0] == 404
    assert roles.do(roles.owner, "POST", "approve", body)[0] == 200


@pytest.mark.anyio
async def test_usage_is_shown_as_far_as_a_role_reaches(roles: Roles) -> None:
    asked = await roles.asked(roles.stranger, "What does it cost?")
    body = {"question_id": asked["question_id"]}
    roles.do(roles.stranger, "POST", "approve", body)
    paid = await roles.asked(roles.stranger, "What does it cost?")

    def users(secret: str) -> set[str]:
        said = roles.do(secret, "GET", "usage")[1]
        assert [*said] == ["day", "week", "month"]
        return {each["user"] for each in said["month"]["spent"]}

    status, own = roles.do(roles.stranger, "GET", "usage")

    (line,) = own["day"]["spent"]
    assert status == 200
    assert (line["user"], line["project"]) == ("sam", "elsewhere")
    assert float(line["spent_usd"]) == paid["cost_usd"] > 0
    assert line["calls"] == 1
    assert "sam" in users(roles.owner)
    assert "sam" not in users(roles.lead) | users(roles.member)


def test_a_lead_s_new_token_has_the_lead_s_budgets_and_works(roles: Roles) -> None:
    status, made = roles.do(
        roles.lead, "POST", "tokens", {"name": "new", "user": "nia"}
    )

    asks, _ = roles.do(made["token"], "GET", "usage")
    assert (status, asks) == (201, 200)
    assert (made["role"], made["project"], made["by"]) == (
        "member",
        "shop",
        "token lena",
    )
    assert [each["usd"] for each in made["budgets"]] == ["5"]
    assert roles.changes("new") == [("token lena",)]


@pytest.mark.parametrize(
    "asked",
    [
        {"role": "lead"},
        {"role": "owner"},
        {"project": "elsewhere"},
        {"budgets": ["6/day"]},
        {"budgets": []},
        {"policy": "quality"},
    ],
    ids=str,
)
def test_a_lead_issues_nothing_above_itself(
    roles: Roles, asked: dict[str, object]
) -> None:
    status, said = roles.do(
        roles.lead, "POST", "tokens", {"name": "above", "user": "x", **asked}
    )

    assert (status, said["error"]) == (403, "forbidden")
    assert roles.changes("above") == []


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"name": "has blanks", "user": "x"},
        {"name": "x", "user": "\ud800"},
        {"name": "x", "user": "x\ny"},
        {"name": "x", "user": "x", "secret": "mine"},
        {"name": "x", "user": "x", "role": "king"},
        {"name": "x", "user": "x", "budgets": ["a lot"]},
        {"name": "x", "user": "x", "expires": "yesterday"},
        {"name": "x", "user": "x", "policy": "/etc/passwd"},
        {"name": "x", "user": "x", "policy": "no-such-policy"},
        {"name": "x", "user": "x", "policy": "a" * 5000},
        {"name": "x", "user": "x", "policy": "a\0b"},
        {"name": "x", "user": "x", "project": f"ghp_{'a1B2' * 9}"},
        {"name": "x", "user": f"ghp_{'a1B2' * 9}"},
        [1],
        None,
    ],
    ids=lambda asked: repr(asked)[:60],
)
def test_what_is_no_token_is_said_to_be_none(roles: Roles, asked: Any) -> None:
    status, said = roles.do(roles.owner, "POST", "tokens", asked)

    assert (status, said["error"]) == (400, "invalid_request")
    assert said["error_description"]


@pytest.mark.parametrize("path", ["approve", "tokens"])
@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"a":' * 100_000, b"\xff", b""])
def test_what_is_no_json_is_said_to_be_none(
    roles: Roles, path: str, body: bytes
) -> None:
    reply = httpx2.post(
        f"{roles.url}/team/{path}",
        content=body,
        headers={**bearer(roles.owner), "Content-Type": "application/json"},
        timeout=PATIENCE_S,
    )

    said = reply.json()
    assert (reply.status_code, said["error"]) == (400, "invalid_request")
    assert said["error_description"] == "The body is no JSON."


@pytest.mark.parametrize(
    ("budget", "why"),
    [
        ("a lot", "budgets.0: 'a lot' is no budget"),
        ({"scope": "fortnight", "usd": 1}, "budgets.0.scope: "),
        ({"scope": "day", "usd": -1}, "budgets.0.usd: "),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_budget_is_said(
    roles: Roles, budget: object, why: str
) -> None:
    body = {"name": "x", "user": "x", "budgets": [budget]}

    status, said = roles.do(roles.owner, "POST", "tokens", body)

    assert status == 400
    assert said["error_description"].startswith(why)


def test_of_many_who_issue_one_name_at_once_one_wins(roles: Roles) -> None:
    def issue(_: int) -> int:
        body = {"name": "race", "user": "x"}
        return roles.do(roles.owner, "POST", "tokens", body)[0]

    with ThreadPoolExecutor(8) as pool:
        ended = sorted(pool.map(issue, range(8)))

    assert ended == [201, *[409] * 7]


def test_with_a_lead_ends_what_it_issued(roles: Roles) -> None:
    lead = new_token(roles.home, "leaver", "--role", "lead")
    made = roles.do(lead, "POST", "tokens", {"name": "left", "user": "x"})[1]
    roles.do(made["token"], "GET", "usage")

    said = roles.do(roles.owner, "DELETE", "tokens/leaver")[1]["said"]

    wait_until(
        lambda: roles.do(made["token"], "GET", "usage")[0] == 401,
        "the token is refused",
    )
    assert "(left)" in said


def test_a_name_in_use_is_a_conflict(roles: Roles) -> None:
    status, said = roles.do(roles.owner, "POST", "tokens", {"name": "mo", "user": "x"})

    assert (status, said["error"]) == (409, "conflict")


def test_a_member_neither_sees_nor_makes_nor_ends_tokens(roles: Roles) -> None:
    made = roles.do(roles.member, "POST", "tokens", {"name": "mine", "user": "mo"})
    seen = roles.do(roles.member, "GET", "tokens")
    ended = roles.do(roles.member, "DELETE", "tokens/lena")

    assert [each[0] for each in (made, seen, ended)] == [403, 403, 403]


def test_tokens_are_listed_and_ended_as_far_as_a_role_reaches(roles: Roles) -> None:
    new_token(roles.home, "gone")
    of_lead = {
        each["name"] for each in roles.do(roles.lead, "GET", "tokens")[1]["tokens"]
    }
    of_owner = {
        each["name"] for each in roles.do(roles.owner, "GET", "tokens")[1]["tokens"]
    }

    strange = roles.do(roles.lead, "DELETE", "tokens/sam")
    above = roles.do(roles.lead, "DELETE", "tokens/lena")
    unknown = roles.do(roles.owner, "DELETE", "tokens/nobody")
    ended = roles.do(roles.lead, "DELETE", "tokens/gone")

    assert {"lena", "mo", "gone"} <= of_lead
    assert "sam" not in of_lead
    assert {"sam", "olga"} | of_lead <= of_owner
    assert [each[0] for each in (strange, above, unknown, ended)] == [
        404,
        403,
        404,
        200,
    ]
    assert roles.changes("gone")[-1] == ("token lena",)


def test_a_token_that_was_ended_over_http_is_refused(roles: Roles) -> None:
    secret = new_token(roles.home, "short")
    roles.do(secret, "GET", "usage")

    roles.do(roles.owner, "DELETE", "tokens/short")

    wait_until(
        lambda: roles.do(secret, "GET", "usage")[0] == 401, "the token is refused"
    )
    assert "revoked" in cli(roles.home, "token", "list").stdout


def round_of(
    roles: Roles, secret: str, arguments: dict[str, object], **more: object
) -> tuple[int, Any]:
    """Make one round of a call by hand, as a client of the newer era does."""
    version = "2026-07-28"
    about = "io.modelcontextprotocol"
    meta: dict[str, Any] = {
        f"{about}/protocolVersion": version,
        f"{about}/clientCapabilities": {"elicitation": {"form": {}}},
        f"{about}/clientInfo": {"name": "by-hand", "version": "1"},
    }
    params: dict[str, Any] = {"name": "ask_expert", "arguments": arguments, **more}
    return call(
        "POST",
        f"{roles.url}/mcp",
        secret=secret,
        body={
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {**params, "_meta": meta},
        },
        headers={
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": version,
            "Mcp-Method": "tools/call",
            "Mcp-Name": "ask_expert",
        },
    )


def test_what_was_sealed_for_one_token_is_not_opened_for_another(roles: Roles) -> None:
    other = new_token(roles.home, "lou", "--role", "lead")
    question: dict[str, object] = {"question": "Whose form is this?"}
    _, first = round_of(roles, roles.lead, question)
    state = first["result"]["requestState"]
    (name,) = first["result"]["inputRequests"]
    said = {
        "requestState": state,
        "inputResponses": {
            name: {"action": "accept", "content": {"decision": "approve_once"}}
        },
    }

    _, stolen = round_of(roles, other, question, **said)
    _, own = round_of(roles, roles.lead, question, **said)

    assert "error" in stolen
    assert own["result"]["structuredContent"]["status"] == "answered"
