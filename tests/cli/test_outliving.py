"""`serve` runs beside the process that the client started."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.end_to_end.support import environment, write_settings

SERVE = [sys.executable, "-P", "-m", "ask_expert", "serve"]
HELLO: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def start(home: Path, project: Path) -> subprocess.Popen[str]:
    write_settings(home)
    return subprocess.Popen(
        SERVE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(home),
        cwd=project,
    )


def greet(server: subprocess.Popen[str]) -> None:
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(HELLO) + "\n")
    server.stdin.flush()
    assert json.loads(server.stdout.readline())["id"] == 1


def test_a_signal_is_passed_on_and_ends_an_idle_server(
    home: Path, tmp_path: Path
) -> None:
    with start(home, tmp_path) as server:
        greet(server)
        server.send_signal(signal.SIGTERM)
        status = server.wait(timeout=20)
        assert server.stdout is not None
        rest = server.stdout.read()  # ends only when the server beside it has ended

    assert status == 128 + signal.SIGTERM
    assert rest == ""


def test_an_idle_server_ends_when_its_client_kills_what_it_started(
    home: Path, tmp_path: Path
) -> None:
    with start(home, tmp_path) as server:
        greet(server)
        os.kill(server.pid, signal.SIGKILL)
        rest, _ = server.communicate(timeout=20)

    assert rest == ""


def test_a_folder_of_the_project_is_never_taken_for_the_program(
    home: Path, tmp_path: Path
) -> None:
    trap = tmp_path / "ask_expert"
    trap.mkdir()
    (trap / "__init__.py").write_text("raise SystemExit(99)\n")

    with start(home, tmp_path) as server:
        greet(server)
        server.communicate(timeout=20)

    assert server.returncode == 0
