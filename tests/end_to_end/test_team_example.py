"""`examples/team`: the very commands of the compose file and the units, run here."""

import json
import re
import shlex
import subprocess
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from ask_expert import yaml_file
from ask_expert.mcp_server.http_server import KEEP_S, MOST_CONNECTIONS
from ask_expert.settings import Settings
from tests import documents
from tests.end_to_end.support import ask, environment, expert
from tests.end_to_end.team_support import PROGRAM, Replica, call, calling
from tests.end_to_end.test_caps import CENT
from tests.fakes.balancer import Balancer
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour

TEAM = documents.ROOT / "examples" / "team"
COMPOSE: dict[str, Any] = yaml.safe_load((TEAM / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SERVERS = ("server-1", "server-2")
HOST = "team.example.org"
_PLACE = "0.0.0.0:8765"
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def filled(text: str, given: dict[str, str]) -> str:
    """Fill in `${NAME}`, `${NAME:-default}` and `${NAME:?error}` as compose does."""

    def value(found: re.Match[str]) -> str:
        name, how, word = found.groups()
        if given.get(name):
            return given[name]
        assert how == "-", f"{name} is needed: {word}"
        return word or ""

    return _VARIABLE.sub(value, text)


def command(service: str) -> list[str]:
    return [filled(word, {}) for word in SERVICES[service]["command"]]


def first_token(home: Path, changed: dict[str, str]) -> str:
    done = subprocess.run(
        [*PROGRAM, *command("first-token")],
        env=environment(home, **changed),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def unit() -> RawConfigParser:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # pyright: ignore[reportAttributeAccessIssue]
    parser.read(TEAM / "ask-expert@.service", encoding="utf-8")
    return parser


@pytest.mark.anyio
async def test_the_commands_of_the_compose_file_serve_a_team(
    home: Path, database: str
) -> None:
    (home / "settings.yaml").write_bytes((TEAM / "settings.yaml").read_bytes())
    with Provider(Behaviour(output_tokens=10_000)) as provider:
        of_example = {
            name: filled(str(text), {"PGPASSWORD": "not-asked-for-here"})
            for name, text in SERVICES["server-1"]["environment"].items()
        }
        changed = {
            **of_example,
            "ASK_EXPERT_HOME": str(home),
            "ASK_EXPERT_LEDGER": database,
            "ASK_EXPERT_EXPERTS": json.dumps([expert(provider.url, **CENT)]),
        }
        token = first_token(home, changed)
        free = [
            [word.replace(_PLACE, "0.0.0.0:0") for word in command(name)]
            for name in SERVERS
        ]
        with (
            Replica(home, command=free[0], **changed) as one,
            Replica(home, command=free[1], **changed) as other,
            Balancer(
                [each.url.replace("0.0.0.0:", "127.0.0.1:") for each in (one, other)]
            ) as balancer,
        ):
            async with calling(balancer.url, token, Host=HOST) as client:
                replies = [
                    await ask(
                        client,
                        f"Question {number}?",
                        tried=["restarting it", "another lock"],
                        error="TimeoutError",
                    )
                    for number in range(2)
                ]
            ready = [
                call("GET", f"{server}/health/ready") for server in balancer.servers
            ]
            foreign = call(
                "GET", f"{balancer.url}/team/usage", headers={"Host": "evil.example"}
            )

    assert [reply["status"] for reply in replies] == ["answered", "answered"]
    assert {*balancer.served} == {*balancer.servers}
    assert ready == [(200, {"status": "ready"})] * 2
    assert foreign[0] == 421
    assert [each.process.returncode for each in (one, other)] == [0, 0]


def test_both_servers_of_the_compose_file_are_alike_and_share_what_they_must() -> None:
    one, other = (SERVICES[name] for name in SERVERS)

    assert one == other
    assert "home:/var/lib/ask-expert" in one["volumes"]
    assert one["environment"]["ASK_EXPERT_HOME"] == "/var/lib/ask-expert"
    assert one["stop_grace_period"] == "13m"
    assert one["ulimits"] == {"nofile": int(unit()["Service"]["LimitNOFILE"])}
    assert one["ulimits"]["nofile"] > 2 * MOST_CONNECTIONS


def test_the_unit_starts_the_command_of_the_compose_file() -> None:
    words = shlex.split(unit()["Service"]["ExecStart"])

    there = [word.replace("127.0.0.1:%i", "PLACE") for word in words[1:]]
    here = [word.replace(_PLACE, "PLACE") for word in command("server-1")]
    assert Path(words[0]).name == "ask-expert"
    assert there == here


def test_the_container_starts_the_server_by_the_same_words() -> None:
    lines = (TEAM / "Containerfile").read_text("utf-8").splitlines()
    said = dict(line.split(" ", 1) for line in lines if line[:4] in {"ENTR", "CMD "})

    assert json.loads(said["ENTRYPOINT"]) == ["ask-expert"]
    assert json.loads(said["CMD"]) == command("server-1")[:3]


def test_the_unit_is_closed_to_all_that_the_server_does_not_need() -> None:
    service = unit()["Service"]

    for name in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome"):
        assert service[name] == "yes", name
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert service["TimeoutStopSec"] == "13min"


def test_the_proxy_knows_the_servers_and_what_tells_that_they_are_ready() -> None:
    proxy = (TEAM / "Caddyfile").read_text("utf-8")
    keepalive = re.search(r"keepalive (\d+)s", proxy)

    assert f"reverse_proxy {SERVERS[0]}:8765 {SERVERS[1]}:8765 {{" in proxy
    assert "health_uri /health/ready" in proxy
    # The side that sends a request must be the one that closes an idle connection.
    assert keepalive is not None
    assert int(keepalive[1]) < KEEP_S


def test_the_settings_load_and_the_home_is_that_of_the_team() -> None:
    settings = yaml_file.read(TEAM / "settings.yaml", Settings)

    assert settings.ledger == "postgresql://ask_expert@database:5432/ledger"
    asked_for = {each.key_env for each in settings.experts}
    assert asked_for <= {*SERVICES["server-1"]["environment"]}
