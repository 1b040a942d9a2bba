"""A program `vllm` that behaves as a test says: a real process with a real port."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ask_expert.experts.http import httpx

WITHIN_S = 30.0

_PROGRAM = """#!{python}
import json, os, signal, subprocess, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

place = Path(os.environ["FAKE_VLLM"])
how = json.loads((place / "how.json").read_text())
with (place / "starts").open("a") as starts:
    print(json.dumps(sys.argv[1:]), file=starts)
print("vllm says hello", flush=True)
if how.get("ends_at_once") is not None:
    sys.exit(how["ends_at_once"])
number = len((place / "starts").read_text().splitlines())
if how.get("helper"):
    helper = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    (place / "helper").write_text(str(helper.pid))

def end(*_):
    print("vllm says goodbye", flush=True)
    os._exit(how.get("stops_with", 0))

signal.signal(signal.SIGTERM, signal.SIG_IGN if how.get("deaf") else end)
asked = 0

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        if self.path == "/crash":
            os._exit(7)
        if self.path == "/end":
            os._exit(0)
        asked += 1
        late = how.get("never") or asked <= how.get("healthy_after", 0)
        self.send_response(503 if late else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        if not late and number <= how.get("crashes", 0):
            self.wfile.flush()
            os._exit(7)

    def log_message(self, *_):
        pass

port = int(sys.argv[sys.argv.index("--port") + 1])
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@dataclass(slots=True, kw_only=True)
class Running:
    """
    A running `ask-expert local serve`.

    Attributes:
        process: It.
        port: Where its server listens.
        place: Folder of what the fake leaves.
        home: Folder of the settings.
    """

    process: subprocess.Popen[bytes]
    port: int
    place: Path
    home: Path

    @property
    def said(self) -> str:
        """What went to standard error until now."""
        return (self.place / "stderr").read_text()

    @property
    def starts(self) -> list[list[str]]:
        """The arguments of each start of the fake."""
        lines = (self.place / "starts").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def until_said(self, text: str) -> None:
        """Wait until standard error holds a text."""
        deadline = time.monotonic() + WITHIN_S
        while text not in self.said:
            assert time.monotonic() < deadline, f"never said {text!r}:\n{self.said}"
            time.sleep(0.02)

    def poke(self, path: str) -> None:
        """Ask the fake for a page that ends it."""
        with httpx.Client(trust_env=False) as client:
            try:
                client.get(f"http://127.0.0.1:{self.port}{path}")
            except httpx.TransportError:
                return  # it ended in the middle of it

    def ended(self, number: int | None = None) -> int:
        """Return the exit status, once a signal was sent if one is given."""
        if number is not None:
            self.process.send_signal(number)
        return self.process.wait(WITHIN_S)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def written(place: Path, **how: object) -> Mapping[str, str]:
    """Write the fake and return the environment in which it is `vllm`."""
    bin_ = place / "bin"
    bin_.mkdir(parents=True)
    program = bin_ / "vllm"
    program.write_text(_PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    (place / "how.json").write_text(json.dumps(how))
    path = f"{bin_}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "FAKE_VLLM": str(place)}


@contextmanager
def served(
    place: Path, home: Path, *arguments: str, **how: object
) -> Generator[Running]:
    """Run `ask-expert local serve some/qwen3-8b`, and end what is left at the end."""
    environ = written(place, **how)
    port = free_port()
    command = [sys.executable, "-m", "ask_expert", "local", "serve", "some/qwen3-8b"]
    command += ["--port", str(port), "--home", str(home), *arguments]
    with (place / "stderr").open("wb") as log:
        process = subprocess.Popen(command, env=environ, stderr=log)
    try:
        yield Running(process=process, port=port, place=place, home=home)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            process.wait(WITHIN_S)


def is_gone(pid: int) -> bool:
    """Return whether a process is no more, or only waits to be read."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"
