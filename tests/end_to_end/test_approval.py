"""A person decides at the client: one form, one charge, or none."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from mcp.client.session import ClientRequestContext
from mcp.types import (
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitResult,
    ErrorData,
)

from tests.end_to_end.support import ask, cli, connected, expert, rows, write_settings
from tests.end_to_end.test_caps import say, start
from tests.fakes.provider import Provider

pytestmark = pytest.mark.anyio

Mode = Literal["auto", "legacy"]
Said = ElicitResult | ErrorData

ASK_FIRST: dict[str, Any] = {
    "name": "ask_first",
    "rules": [{"when": "always", "then": "ask_human", "name": "a_person_decides"}],
    "budgets": [{"scope": "day", "usd": 1}],
}
both_eras = pytest.mark.parametrize("mode", ["auto", "legacy"])


def decides(decision: str) -> ElicitResult:
    return ElicitResult(action="accept", content={"decision": decision})


@dataclass
class Person:
    """Somebody at the client who says the same to every form."""

    says: Said
    forms: list[ElicitRequestFormParams] = field(
        default_factory=list[ElicitRequestFormParams]
    )

    async def __call__(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> Said:
        assert isinstance(params, ElicitRequestFormParams)
        self.forms.append(params)
        return self.says


@both_eras
async def test_an_approved_question_is_asked_and_paid_for_once(
    home: Path, tmp_path: Path, mode: Mode
) -> None:
    person = Person(decides("approve_once"))
    with Provider() as provider:
        write_settings(home, expert(provider.url), policy=ASK_FIRST)

        async with connected(home, tmp_path, mode=mode, person=person) as client:
            reply = await ask(client, "Why does it hang?")

    assert (reply["status"], reply["cost_usd"]) == ("answered", 0.00042)
    assert "approved" in reply["reason"]
    assert len(provider.requests) == 1
    assert rows(home, "SELECT state, cost_nusd FROM tries") == [("settled", 420_000)]
    assert rows(home, "SELECT spent_nusd, reserved_nusd FROM windows") == [(420_000, 0)]
    # Two rounds or one: it waited once, and was asked once.
    assert rows(home, "SELECT status FROM questions ORDER BY created_us") == [
        ("needs_approval",),
        ("answered",),
    ]
    assert rows(home, 'SELECT "by", scope FROM approvals') == [
        ("elicitation: mcp", "question")
    ]


@both_eras
async def test_the_person_reads_what_goes_to_whom_and_what_it_may_cost(
    home: Path, tmp_path: Path, mode: Mode
) -> None:
    person = Person(decides("approve_once"))
    secret = "AKIAIOSFODNN7EXAMPLE"
    with Provider() as provider:
        write_settings(home, expert(provider.url), policy=ASK_FIRST)

        async with connected(home, tmp_path, mode=mode, person=person) as client:
            await ask(client, f"Why does\n\nWorst case: $0.00 {secret} hang?")

    (form,) = person.forms
    who, question, to, worst, left, why = form.message.splitlines()
    assert who == "mcp wants to ask a paid expert."
    assert question == (
        "Question: Why does Worst case: $0.00 «SECRET:aws_access_key:1» hang?"
    )
    assert to == "Expert: flagship (model some-model)"
    # 500 output tokens at $10 per million, and some input at $1
    assert 0.005 < float(worst.removeprefix("Worst case: $")) < 0.01
    assert left == "Budget left: $1.00"
    assert "a_person_decides" in why
    (decision,) = form.requested_schema["properties"].values()
    assert decision["enum"] == ["approve_once", "approve_for_task", "deny"]


@both_eras
async def test_approved_once_means_that_the_next_question_is_asked_about(
    home: Path, tmp_path: Path, mode: Mode
) -> None:
    person = Person(decides("approve_once"))
    with Provider() as provider:
        write_settings(home, expert(provider.url), policy=ASK_FIRST)

        async with connected(home, tmp_path, mode=mode, person=person) as client:
            await ask(client, "Why does it hang?")
            await ask(client, "Why does it hang?")
            await ask(client, "Which lock is it?")

    assert len(person.forms) == len(provider.requests) == 2


@both_eras
async def test_approved_for_the_task_means_that_nobody_is_asked_again_in_it(
    home: Path, tmp_path: Path, mode: Mode
) -> None:
    person = Person(decides("approve_for_task"))
    with Provider() as provider:
        write_settings(home, expert(provider.url), policy=ASK_FIRST)

        async with connected(home, tmp_path, mode=mode, person=person) as client:
            first = await ask(client, "Why does it hang?", task="login")
            second = await ask(client, "Which lock is it?", task="login")
            in_task = len(person.forms)
            await ask(client, "Which font?", task="logo")

    assert (first["status"], second["status"]) == ("answered", "answered")
    assert in_task == 1
    assert len(person.forms) == 2


@both_eras
async def test_a_person_is_asked_from_a_worst_case_on(
    home: Path, tmp_path: Path, mode: Mode
) -> None:
    person = Person(decides("approve_once"))
    policy = {
        "name": "dear",
        "rules": [{"when": "always"}],
        "ask_human_above_usd": 0.05,
        "budgets": [{"scope": "day", "usd": 1}],
    }
    with Provider() as provider:
        cheap = expert(provider.url)
        write_settings(home, cheap, policy=policy)
        async with connected(home, tmp_path, mode=mode, person=person) as client:
            below = await ask(client, "Why does it hang?")
        forms_below = len(person.forms)

        # 20,000 output tokens at $10 per million: 20 cents
        write_settings(home, {**cheap, "max_output_tokens": 20_000}, policy=policy)
        async with connected(home, tmp_path, mode=mode, person=person) as client:
            above = await ask(client, "Which lock is it?")

    assert (below["status"], forms_below) == ("answered", 0)
    assert (above["status"], len(person.forms)) == ("answered", 1)
    assert "ask_human_above_usd" in person.forms[0].message
    assert len(provider.requests) == 2


@both_eras
async def test_an_approved_question_still_has_to_fit_into_the_budgets(
    home: Path, tmp_path: Path, mode: Mode
) -> None:
    person = Person(decides("approve_once"))
    policy = {**ASK_FIRST, "budgets": [{"scope": "day", "usd": 0.0001}]}
    with Provider() as provider:
        write_settings(home, expert(provider.url), policy=policy)

        async with connected(home, tmp_path, mode=mode, person=person) as client:
            reply = await ask(client, "Why does it hang?")

    assert reply["status"] == "refused"
    assert "day" in reply["reason"]
    assert provider.requests == []


@both_eras
async def test_a_denied_question_costs_nothing_and_stays_denied(
    home: Path, tmp_path: Path, mode: Mode
) -> None:
    person = Person(decides("deny"))
    with Provider() as provider:
        write_settings(home, expert(provider.url), policy=ASK_FIRST)

        async with connected(home, tmp_path, mode=mode, person=person) as client:
            first = await ask(client, "Why does it hang?")
            again = await ask(client, "Why does it hang?")

    assert (first["status"], again["status"]) == ("refused", "refused")
    assert "denied" in first["reason"]
    assert "Go on without the expert" in first["next_step"]
    assert len(person.forms) == 1
    assert provider.requests == []
    assert rows(home, "SELECT * FROM tries") == []
    assert rows(home, "SELECT scope FROM approvals") == [("denied",)]


@both_eras
@pytest.mark.parametrize(
    "says",
    [
        ElicitResult(action="decline"),
        ElicitResult(action="cancel"),
        ElicitResult(action="accept"),
        ElicitResult(action="accept", content={"decision": "perhaps"}),
        ElicitResult(action="accept", content={"decision": ["approve_once"]}),
    ],
    ids=["decline", "cancel", "nothing", "unknown", "list"],
)
async def test_whoever_decides_nothing_leaves_the_question_waiting(
    home: Path, tmp_path: Path, mode: Mode, says: Said
) -> None:
    person = Person(says)
    with Provider() as provider:
        write_settings(home, expert(provider.url), policy=ASK_FIRST)

        async with connected(home, tmp_path, mode=mode, person=person) as client:
            reply = await ask(client, "Why does it hang?")
            approved = cli(home, "approve", reply["question_id"])
            later = await ask(client, "Why does it hang?")

    assert reply["status"] == "needs_approval"
    assert "did not approve" in reply["next_step"]
    assert f"ask-expert approve {reply['question_id']}" in reply["next_step"]
    assert approved.returncode == 0, approved.stderr
    assert later["status"] == "answered"
    assert len(person.forms) == 1
    assert len(provider.requests) == 1


@both_eras
@pytest.mark.parametrize(
    ("decision", "status"),
    [("approve_once", "needs_approval"), ("approve_for_task", "answered")],
)
async def test_where_nothing_is_stored_only_a_task_can_be_approved(
    home: Path, tmp_path: Path, mode: Mode, decision: str, status: str
) -> None:
    person = Person(decides(decision))
    with Provider() as provider:
        write_settings(home, expert(provider.url), policy=ASK_FIRST, storage="none")

        async with connected(home, tmp_path, mode=mode, person=person) as client:
            reply = await ask(client, "Why does it hang?")

    assert reply["status"] == status
    assert len(person.forms) == 1
    told = "approving the whole task would work" in reply["next_step"]
    assert told == (status == "needs_approval")


async def test_a_form_that_the_client_fails_to_show_leaves_the_question_waiting(
    home: Path, tmp_path: Path
) -> None:
    person = Person(ErrorData(code=-32603, message="no window"))
    with Provider() as provider:
        write_settings(home, expert(provider.url), policy=ASK_FIRST)

        async with connected(home, tmp_path, mode="legacy", person=person) as client:
            reply = await ask(client, "Why does it hang?")

    assert reply["status"] == "needs_approval"
    assert provider.requests == []


@both_eras
async def test_a_client_without_forms_is_told_the_command(
    home: Path, tmp_path: Path, mode: Mode
) -> None:
    with Provider() as provider:
        write_settings(home, expert(provider.url), policy=ASK_FIRST)

        async with connected(home, tmp_path, mode=mode) as client:
            reply = await ask(client, "Why does it hang?")

    assert reply["status"] == "needs_approval"
    assert f"`ask-expert approve {reply['question_id']}`" in reply["next_step"]
    assert rows(home, "SELECT status FROM questions") == [("needs_approval",)]


@pytest.mark.parametrize(
    ("version", "elicitation", "asked"),
    [
        ("2025-03-26", {}, False),
        ("2025-06-18", {}, True),
        ("2025-06-18", None, False),
        ("2025-11-25", {"form": {}}, True),
        ("2025-11-25", {"url": {}}, False),
    ],
)
async def test_a_form_goes_only_to_a_client_that_says_it_shows_forms(
    home: Path,
    tmp_path: Path,
    version: str,
    elicitation: dict[str, Any] | None,
    asked: bool,
) -> None:
    write_settings(home, expert("http://127.0.0.1:9"), policy=ASK_FIRST)
    capabilities = {} if elicitation is None else {"elicitation": elicitation}
    info = {"name": "a client", "version": "1"}
    hello = {
        "protocolVersion": version,
        "capabilities": capabilities,
        "clientInfo": info,
    }
    question = {"name": "ask_expert", "arguments": {"question": "Why does it hang?"}}

    with start(home, tmp_path) as server:
        assert server.stdout is not None
        say(server, {"id": 1, "method": "initialize", "params": hello})
        assert json.loads(server.stdout.readline())["id"] == 1
        say(server, {"method": "notifications/initialized"})
        say(server, {"id": 2, "method": "tools/call", "params": question})
        first = json.loads(server.stdout.readline())
        server.kill()

    if asked:
        assert first["method"] == "elicitation/create"
    else:
        assert first["result"]["structuredContent"]["status"] == "needs_approval"


async def test_the_time_that_a_person_takes_is_not_the_experts(
    home: Path, tmp_path: Path
) -> None:
    heard = Heard()

    async def person(
        context: ClientRequestContext, params: ElicitRequestParams
    ) -> Said:
        # The second of these comes 4 s after the first.
        await heard.wait_for("waiting for the user to decide", times=2)
        return decides("approve_once")

    with Provider() as provider:
        write_settings(home, expert(provider.url), policy=ASK_FIRST, answer_within_s=3)

        async with connected(home, tmp_path, mode="legacy", person=person) as client:
            result = await client.call_tool(
                "ask_expert",
                {"question": "Why does it hang?"},
                progress_callback=heard.progress,
            )

    assert result.structured_content is not None
    assert result.structured_content["status"] == "answered"


class Heard:
    """What the server says while a call runs."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps: list[float] = []
        self._more = anyio.Event()

    async def progress(
        self, progress: float, total: float | None, message: str | None
    ) -> None:
        self.steps.append(progress)
        self.lines.append(message or "")
        self._more.set()
        self._more = anyio.Event()

    async def wait_for(self, line: str, *, times: int = 1) -> None:
        with anyio.fail_after(30):
            while self.lines.count(line) < times:
                await self._more.wait()
