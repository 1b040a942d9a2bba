"""A client waits for `initialize`: what only the first question needs comes later."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.support import environment, expert, write_settings

HEAVY = ("sqlalchemy", "numpy", "genai_prices", "typer", "alembic", "yaml")
OURS = ("ask_expert.experts", "ask_expert.escalation", "ask_expert.ledger")
HTTP = ("ask_expert.mcp_server.http_server", "ask_expert.mcp_server.gate")

# The server as it is, with a hook that writes each import to a file as it happens.
PROBE = """
import sys
log = open(sys.argv.pop(1), "a", buffering=1)
sys.addaudithook(lambda event, args: event == "import" and log.write(f"{args[0]}\\n"))
from ask_expert.cli import main
sys.argv[0] = "ask-expert"
main()
"""


class Served:
    """A server in a fresh interpreter, spoken to line by line."""

    def __init__(self, home: Path, project: Path, log: Path) -> None:
        self.log = log
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROBE, str(log), "serve", "--no-daemon"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(home),
            cwd=project,
        )
        self.lines: list[bytes] = []

    def say(self, **message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(
            json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        )
        self.process.stdin.flush()

    def hear(self, identifier: int) -> dict[str, Any]:
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            self.lines.append(line)
            message = json.loads(line)
            if message.get("id") == identifier:
                return message
        raise EOFError

    def imported(self, names: tuple[str, ...]) -> set[str]:
        found = self.log.read_text(encoding="utf-8").split()
        return {
            name
            for name in names
            if any(each == name or each.startswith(f"{name}.") for each in found)
        }

    def end(self) -> bytes:
        rest, errors = self.process.communicate(timeout=30)
        self.lines += rest.splitlines(keepends=True)
        return errors


HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


@pytest.fixture
def served(home: Path, tmp_path: Path) -> Served:
    write_settings(home, expert("http://127.0.0.1:9"))
    return Served(home, tmp_path, tmp_path / "imports.log")


def test_nothing_heavy_is_imported_before_initialize_is_answered(
    served: Served,
) -> None:
    served.say(id=1, method="initialize", params=HELLO)
    served.hear(1)
    early = served.imported(HEAVY + OURS)
    served.say(method="notifications/initialized")
    served.say(
        id=2,
        method="tools/call",
        params={"name": "expert_status", "arguments": {}},
    )
    served.hear(2)
    later = served.imported(HEAVY + OURS + HTTP)
    served.end()

    assert early == set()
    # The probe can see them: the first call did need the ledger and the experts.
    assert {"sqlalchemy", "yaml", *OURS} <= later
    assert "typer" not in later
    assert "numpy" not in later
    # Standard input and output need nothing of HTTP, early or late.
    assert not later & {*HTTP}


def test_standard_output_carries_nothing_but_the_protocol(served: Served) -> None:
    served.say(id=1, method="initialize", params=HELLO)
    served.hear(1)
    served.say(method="notifications/initialized")
    served.say(
        id=2,
        method="tools/call",
        params={
            "name": "ask_expert",
            "arguments": {"question": "Why?", "confidence": 7},
            "_meta": {"progressToken": "p"},
        },
    )
    reply = served.hear(2)
    served.end()

    assert reply["result"]["isError"]
    messages = [json.loads(line) for line in served.lines]
    assert {message["jsonrpc"] for message in messages} == {"2.0"}
    # The first sign of life came before the answer.
    assert "notifications/progress" in [message.get("method") for message in messages]


def test_help_loads_no_protocol_database_or_numbers(home: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['ask-expert', '--help']\n"
        "from ask_expert.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('mcp', 'sqlalchemy', 'numpy', 'genai_prices') "
        "if m in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(home),
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "[]"
    assert "serve" in done.stdout


def test_a_bare_command_with_a_pipe_for_input_serves(
    home: Path, tmp_path: Path
) -> None:
    hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}

    done = subprocess.run(
        [sys.executable, "-m", "ask_expert"],
        input=json.dumps(hello) + "\n",
        env=environment(home),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )

    reply = json.loads(done.stdout.splitlines()[0])
    assert reply["result"]["serverInfo"]["name"] == "ask-expert"
    assert reply["result"]["instructions"].startswith("ask_expert puts one stuck")
