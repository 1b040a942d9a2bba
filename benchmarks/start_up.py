"""
What the server costs a client: time to `initialize`, context, and time on the road.

`python -m benchmarks.start_up [--write]` runs ours and a bare one-tool server of the
same SDK in turn, and prints medians and pair-by-pair ratios; machines are noisy, so
only the ratios say much. `--write` puts the table into benchmarks/RESULTS.md.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from benchmarks import results
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour

PAIRS = 9
CALLS = 60

BARE = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("bare")
@server.tool()
async def echo(text: str) -> str:
    return text
server.run()
"""
OURS = [sys.executable, "-m", "ask_expert", "serve", "--no-daemon"]
HELLO: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "benchmark", "version": "1"},
}


class Server:
    """A server on a pipe."""

    def __init__(self, command: Sequence[str], home: Path) -> None:
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "ASK_EXPERT_HOME": str(home)},
        )

    def call(self, number: int, method: str, **params: Any) -> dict[str, Any]:
        self.tell(method, id=number, params=params)
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            message: dict[str, Any] = json.loads(line)
            if message.get("id") == number:
                return message["result"]
        raise EOFError

    def tell(self, method: str, **more: Any) -> None:
        assert self._process.stdin is not None
        message = {"jsonrpc": "2.0", "method": method, **more}
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()

    def end(self) -> None:
        self._process.communicate()


def greet(command: Sequence[str], home: Path) -> tuple[float, float]:
    """Return wall seconds to the answer of `initialize` and the process's CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    server = Server(command, home)
    server.call(1, "initialize", **HELLO)
    wall = time.perf_counter() - began
    server.end()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def paired(
    ours: Callable[[], tuple[float, float]], theirs: Callable[[], tuple[float, float]]
) -> list[tuple[str, float, float, float]]:
    """Run both in turn; return (figure, our median, their median, median ratio)."""
    ours()
    theirs()
    pairs = [(ours(), theirs()) for _ in range(PAIRS)]
    return [
        (
            name,
            statistics.median(a[index] for a, _ in pairs),
            statistics.median(b[index] for _, b in pairs),
            statistics.median(a[index] / b[index] for a, b in pairs),
        )
        for index, name in enumerate(("wall", "CPU"))
    ]


def on_the_road(home: Path) -> tuple[float, float, float]:
    """Return median ms of a question through the server, of a bare request, p95 ours."""
    with Provider(Behaviour(text="ok")) as provider:
        expert = {
            "name": "loopback",
            "api": "openai_chat",
            "base_url": provider.v1,
            "model": "m",
            "price": {"input_per_mtok": "0.001", "output_per_mtok": "0.001"},
        }
        scopes = ("task", "day", "month")
        policy = {
            "name": "always",
            "rules": [{"when": "always"}],
            "budgets": [{"scope": scope, "usd": 1000} for scope in scopes],
        }
        (home / "policy.yaml").write_text(json.dumps(policy), encoding="utf-8")
        (home / "settings.yaml").write_text(
            json.dumps({"policy": "policy.yaml", "experts": [expert]}), encoding="utf-8"
        )
        server = Server(OURS, home)
        server.call(1, "initialize", **HELLO)
        server.tell("notifications/initialized")
        through: list[float] = []
        direct: list[float] = []
        for number in range(CALLS + 5):
            began = time.perf_counter()
            reply = server.call(
                number + 2,
                "tools/call",
                name="ask_expert",
                arguments={"question": f"Question {number}?"},
            )
            through.append(time.perf_counter() - began)
            assert reply["structuredContent"]["status"] == "answered", reply
            body = provider.requests[-1].body
            began = time.perf_counter()
            request = Request(  # noqa: S310  # our own loopback server
                f"{provider.v1}/chat/completions",
                data=body,
                headers={"content-type": "application/json"},
            )
            with urlopen(request) as response:  # noqa: S310
                response.read()
            direct.append(time.perf_counter() - began)
        server.end()
    ours = sorted(through[5:])
    return (
        1000 * statistics.median(ours),
        1000 * statistics.median(direct[5:]),
        1000 * ours[int(0.95 * len(ours))],
    )


def tool_bytes(home: Path) -> tuple[int, int]:
    """Return bytes of the tools/list result and of the instructions."""
    server = Server(OURS, home)
    hello = server.call(1, "initialize", **HELLO)
    server.tell("notifications/initialized")
    tools = server.call(2, "tools/list")
    server.end()
    return (
        len(json.dumps(tools, separators=(",", ":")).encode()),
        len(hello["instructions"].encode()),
    )


def table() -> str:
    """Measure, and return the section for RESULTS.md."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        starts = paired(
            lambda: greet(OURS, home),
            lambda: greet([sys.executable, "-c", BARE], home),
        )
        tools, instructions = tool_bytes(home)
        through, direct, p95 = on_the_road(home)
    rows = [
        f"| {name} s from process start to the answer of `initialize` "
        f"| {ours:.2f} | {bare:.2f} | {ratio:.2f} |"
        for name, ours, bare, ratio in starts
    ]
    return "\n".join(
        [
            "## Start-up, context and the road",
            "",
            f"{results.made_by('start_up --write')}; "
            f"{PAIRS} pairs in turn, medians; {CALLS} questions.",
            "",
            "| figure | ask-expert | bare one-tool mcp server | ratio |",
            "|---|---|---|---|",
            *rows,
            "",
            "| figure | value |",
            "|---|---|",
            f"| bytes of the `tools/list` result | {tools} |",
            f"| bytes of `instructions` | {instructions} |",
            "| one question through the server to a loopback expert, ms, median "
            f"| {through:.1f} |",
            f"| the same, 95th percentile | {p95:.1f} |",
            f"| the same bytes posted to that expert without us, ms | {direct:.1f} |",
            "",
        ]
    )


def main() -> None:
    """Print the table; write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    section = table()
    print(section)
    if options.write:
        results.keep(section)


if __name__ == "__main__":
    main()
