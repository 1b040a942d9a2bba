"""Who comes into a team's server, and who does not."""

import socket
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.end_to_end.support import (
    always,
    ask,
    cli,
    connected,
    environment,
    expert,
    write_settings,
)
from tests.end_to_end.team_support import (
    PATIENCE_S,
    PROGRAM,
    Replica,
    bearer,
    call,
    calling,
    new_token,
    wait_until,
)
from tests.fakes.provider import Provider

DISCOVER = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
NAMES = (
    "--allow-host",
    "Team.Example.org",
    "--allow-origin",
    "https://Tools.example.org:443/",
)
PAGE = "https://tools.example.org"
TAKES = {"Accept": "application/json, text/event-stream"}


@dataclass(frozen=True, kw_only=True)
class Served:
    """A server with one token."""

    home: Path
    replica: Replica
    secret: str
    provider: Provider

    @property
    def url(self) -> str:
        return self.replica.url

    def token(self, name: str, *flags: str, project: str = "shop") -> str:
        return new_token(self.home, name, *flags, project=project)

    def greet(self, secret: str | None, **headers: str) -> tuple[int, Any]:
        return call(
            "POST",
            f"{self.url}/mcp",
            secret=secret,
            body=DISCOVER,
            headers={**TAKES, **headers},
        )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Generator[Served]:
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    with Provider() as provider:
        write_settings(
            home, expert(provider.url), policy=always({"scope": "day", "usd": 1})
        )
        secret = new_token(home, "ada", "--role", "owner")
        with Replica(home, *NAMES) as replica:
            yield Served(home=home, replica=replica, secret=secret, provider=provider)


def test_a_request_with_a_good_token_is_served(served: Served) -> None:
    status, text = served.greet(served.secret)

    assert status == 200
    assert '"serverInfo":{"name":"ask-expert"' in text


def test_a_request_without_a_token_is_told_what_to_send(served: Served) -> None:
    reply = httpx2.post(f"{served.url}/mcp", json=DISCOVER, headers=TAKES)

    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"] == 'Bearer realm="ask-expert"'
    assert reply.json()["error"] == "missing_token"
    assert "Authorization: Bearer" in reply.json()["error_description"]


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "aes_xyz"])
def test_what_is_no_bearer_token_counts_as_none(served: Served, header: str) -> None:
    status, said = served.greet(None, Authorization=header)

    assert (status, said["error"]) == (401, "missing_token")


@pytest.mark.parametrize("secret", ["aes_unknown", "x" * 5000, "k_1 OR 1=1"])
def test_an_unknown_token_is_called_invalid_and_no_more_is_said(
    served: Served, secret: str
) -> None:
    status, said = served.greet(secret)

    assert (status, said["error"]) == (401, "invalid_token")
    assert "not known here" in said["error_description"]
    assert secret not in "".join(served.replica.log)


def test_whoever_holds_a_revoked_token_learns_so_within_seconds(
    served: Served,
) -> None:
    secret = served.token("leaver")
    before, _ = served.greet(secret)
    cli(served.home, "token", "revoke", "leaver")

    wait_until(lambda: served.greet(secret)[0] == 401, "the token is refused")

    _, said = served.greet(secret)
    assert before == 200
    assert "'leaver' was revoked at" in said["error_description"]


def test_whoever_holds_an_expired_token_learns_so(served: Served) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=5)
    secret = served.token("guest", "--expires", soon.isoformat())

    wait_until(lambda: served.greet(secret)[0] == 401, "the token is refused")

    _, said = served.greet(secret)
    assert "'guest' expired at" in said["error_description"]


def test_a_host_that_is_not_this_server_s_is_misdirected(served: Served) -> None:
    status, said = served.greet(served.secret, Host="evil.example")

    assert (status, said["error"]) == (421, "wrong_host")
    assert "--allow-host" in said["error_description"]


def test_a_page_of_another_origin_is_refused(served: Served) -> None:
    status, said = served.greet(served.secret, Origin="https://evil.example")
    own, _ = served.greet(served.secret, Origin="http://localhost:3000")

    assert (status, said["error"]) == (403, "wrong_origin")
    assert own == 200


@pytest.mark.parametrize(
    "host", ["team.example.org", "TEAM.example.ORG", "LocalHost:99"]
)
def test_the_case_of_a_host_means_nothing(served: Served, host: str) -> None:
    status, _ = served.greet(served.secret, Host=host)

    assert status == 200


def test_a_browser_is_told_that_an_allowed_page_may_call(served: Served) -> None:
    preflight = httpx2.options(
        f"{served.url}/mcp",
        headers={
            "Origin": PAGE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, mcp-protocol-version",
        },
    )
    page = {**TAKES, **bearer(served.secret), "Origin": PAGE}

    reply = httpx2.post(f"{served.url}/mcp", json=DISCOVER, headers=page)

    assert preflight.status_code == 200
    allowed = preflight.headers["Access-Control-Allow-Headers"]
    assert "authorization" in allowed
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert reply.status_code == 200
    for each in (preflight, reply):
        assert each.headers["Access-Control-Allow-Origin"] == PAGE
        assert "Access-Control-Allow-Credentials" not in each.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:3000"])
def test_a_browser_is_told_that_another_page_may_not(
    served: Served, origin: str
) -> None:
    preflight = httpx2.options(
        f"{served.url}/mcp",
        headers={"Origin": origin, "Access-Control-Request-Method": "POST"},
    )

    assert preflight.status_code == 400
    assert "Access-Control-Allow-Origin" not in preflight.headers


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/team/nope", 404, "not_found"),
        ("GET", "/health/nope", 404, "not_found"),
        ("PUT", "/team/tokens", 405, "invalid_request"),
    ],
)
def test_what_is_not_served_is_said_in_json(
    served: Served, method: str, path: str, status: int, error: str
) -> None:
    told, said = call(method, f"{served.url}{path}", secret=served.secret)

    assert (told, said["error"]) == (status, error)
    assert path in said["error_description"]


def test_the_team_s_own_api_stands_behind_the_same_gate(served: Served) -> None:
    url = f"{served.url}/team/usage"

    without, _ = call("GET", url)
    foreign, _ = call(
        "GET", url, secret=served.secret, headers={"Host": "evil.example"}
    )

    assert (without, foreign) == (401, 421)


def test_only_post_is_taken_where_the_protocol_is_spoken(served: Served) -> None:
    reply = httpx2.get(f"{served.url}/mcp", headers=bearer(served.secret))

    assert (reply.status_code, reply.headers["Allow"]) == (405, "POST")


def test_a_body_that_is_too_long_is_not_read(served: Served) -> None:
    reply = httpx2.post(
        f"{served.url}/mcp",
        content=b" " * 5_000_000,
        headers={**bearer(served.secret), "Content-Type": "application/json"},
        timeout=PATIENCE_S,
    )

    assert reply.status_code == 413


def test_health_is_for_everybody_and_tells_nothing(served: Served) -> None:
    live = call("GET", f"{served.url}/health/live", headers={"Host": "10.0.0.7"})
    ready = call("GET", f"{served.url}/health/ready", headers={"Host": "10.0.0.7"})

    assert live == (200, {"status": "live"})
    assert ready == (200, {"status": "ready"})


@pytest.mark.anyio
async def test_a_token_whose_policy_does_not_load_is_unavailable_and_others_go_on(
    served: Served,
) -> None:
    file = served.home / "brittle.yaml"
    file.write_text(
        "name: brittle\nrules: [{when: always}]\nbudgets: [{scope: day, usd: 1}]\n"
    )
    secret = served.token("brittle", "--policy", str(file))
    file.write_text("rules: 7\n")

    async with calling(served.url, secret) as client:
        broken = await ask(client, "Why does it hang?")
        status = await client.call_tool("expert_status", {})
    async with calling(served.url, served.secret) as client:
        whole = await ask(client, "Why does it hang?")

    assert broken["status"] == "unavailable"
    assert "the access token 'brittle'" in broken["reason"]
    assert status.is_error
    assert whole["status"] == "answered"


@pytest.mark.anyio
async def test_files_and_checks_are_left_out_and_named(served: Served) -> None:
    async with calling(served.url, served.secret) as client:
        reply = await ask(
            client, "Which line is wrong?", files=["/etc/passwd"], check="tests"
        )

    assert reply["status"] == "answered"
    assert [each.partition(":")[0] for each in reply["left_out"]] == [
        "/etc/passwd",
        "check tests",
    ]
    assert b"root:" not in served.provider.requests[-1].body


@pytest.mark.anyio
async def test_another_project_s_token_finds_neither_question_nor_thread(
    served: Served,
) -> None:
    stranger = served.token("stranger", project="elsewhere")
    async with calling(served.url, served.secret) as client:
        mine = await ask(client, "Whose question is it?")

    async with calling(served.url, stranger) as client:
        status = await client.call_tool(
            "expert_status", {"question_id": mine["question_id"]}
        )
        verdict = await client.call_tool(
            "report_outcome", {"question_id": mine["question_id"], "solved": True}
        )
        thread = await client.call_tool(
            "ask_expert", {"question": "And?", "thread": mine["thread"]}
        )

    texts = [str(each.content) for each in (status, verdict, thread)]
    assert all(each.is_error for each in (status, verdict, thread))
    assert "There is no question" in texts[0]
    assert "There is no question" in texts[1]
    assert "There is no thread" in texts[2]


@pytest.mark.anyio
async def test_the_tools_are_those_of_standard_input_and_output(
    served: Served, tmp_path: Path
) -> None:
    async with calling(served.url, served.secret) as client:
        over_http = await client.list_tools()
    async with connected(served.home, tmp_path) as client:
        over_stdio = await client.list_tools()

    assert over_http == over_stdio


def test_no_secret_stands_in_the_log_or_in_the_ledger_s_files(served: Served) -> None:
    said = "".join(served.replica.log)

    kept = b"".join(file.read_bytes() for file in served.home.glob("ledger.db*"))
    assert served.secret not in said
    assert served.secret.encode() not in kept


def refused(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, "serve", *arguments],
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_beyond_loopback_it_does_not_listen_without_a_token(home: Path) -> None:
    write_settings(home, expert("http://127.0.0.1:9"))

    done = refused(home, "--http", "0.0.0.0:0")
    ended = new_token(home, "ended") and cli(home, "token", "revoke", "ended")
    again = refused(home, "--http", "[::]:0")

    assert (done.returncode, again.returncode) == (1, 1)
    assert "Refusing to listen on 0.0.0.0" in done.stderr
    assert "ask-expert token create" in done.stderr
    assert ended
    assert "Refusing to listen on ::" in again.stderr


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
@pytest.mark.parametrize(
    ("place", "clients"),
    [("0.0.0.0", ("127.0.0.1",)), ("[::]", ("127.0.0.1", "[::1]"))],  # noqa: S104
)
def test_beyond_loopback_it_listens_once_there_is_a_token(
    home: Path, place: str, clients: tuple[str, ...]
) -> None:
    write_settings(home, expert("http://127.0.0.1:9"))
    secret = new_token(home, "ada")

    with Replica(home, command=("serve", "--http", f"{place}:0")) as replica:
        port = replica.url.rpartition(":")[2]
        urls = [f"http://{client}:{port}/team/usage" for client in clients]
        let_in = [call("GET", url, secret=secret)[0] for url in urls]
        without = [call("GET", url)[0] for url in urls]

    assert {*let_in} == {200}
    assert {*without} == {401}


def test_no_token_is_for_loopback_alone(home: Path) -> None:
    write_settings(home, expert("http://127.0.0.1:9"))

    done = refused(home, "--http", "0.0.0.0:0", "--no-token")

    assert done.returncode == 1
    assert "--no-token goes with a loopback address alone" in done.stderr


@pytest.mark.anyio
async def test_on_loopback_a_server_can_do_without_tokens(home: Path) -> None:
    with Provider() as provider:
        write_settings(home, expert(provider.url), policy=always())
        with Replica(home, "--no-token") as replica:
            async with calling(replica.url, None, mode="legacy") as client:
                reply = await ask(client, "Why does it hang?")
            roles = call("GET", f"{replica.url}/team/usage")

    assert reply["status"] == "answered"
    assert (roles[0], roles[1]["error"]) == (403, "forbidden")


def test_a_port_in_use_is_said_in_one_sentence(home: Path) -> None:
    write_settings(home, expert("http://127.0.0.1:9"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = refused(home, "--http", f"127.0.0.1:{port}", "--no-token")

    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--http", "nonsense"),
        ("--http", "127.0.0.1:x"),
        ("--http", "::1:80"),
        ("--http", "127.0.0.1:65536"),
        ("--no-token",),
        ("--allow-host", "team.example.org"),
        ("--http", "127.0.0.1:0", "--allow-host", "https://team.example.org"),
        ("--http", "127.0.0.1:0", "--allow-host", "team.example.org/"),
        ("--http", "127.0.0.1:0", "--allow-origin", "tools.example.org"),
        ("--http", "127.0.0.1:0", "--allow-origin", "https://tools.example.org/mcp"),
    ],
    ids=" ".join,
)
def test_flags_that_make_no_sense_are_refused(
    home: Path, arguments: tuple[str, ...]
) -> None:
    done = refused(home, *arguments)

    assert done.returncode == 2
    assert "--http" in done.stderr
