"""Start team servers as real processes, and speak to them as their clients do."""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx2
from mcp import Client
from mcp.client.session import ElicitationFnT
from mcp.client.streamable_http import streamable_http_client

from tests.end_to_end.support import cli, environment

PATIENCE_S = 30.0
PROGRAM = (sys.executable, "-m", "ask_expert")
SERVE = ("serve", "--http", "127.0.0.1:0")


class Replica:
    """
    One server of a team.

    Attributes:
        url: Its base address.
        process: Its process.
        log: What it wrote to standard error so far, line by line.
    """

    def __init__(
        self, home: Path, *flags: str, command: Sequence[str] = SERVE, **more: str
    ) -> None:
        self.log: list[str] = []
        self._said = threading.Condition()
        self.process = subprocess.Popen(
            [*PROGRAM, *command, *flags],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment(home, **more),
            cwd=home,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = json.loads(self.heard('"event": "serving"'))["url"].removesuffix(
            "/mcp"
        )

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._said:
                self.log.append(line)
                self._said.notify_all()
        with self._said:
            self.log.append("")
            self._said.notify_all()

    def heard(self, pattern: str) -> str:
        """Return the first line that holds a pattern, once it was written."""

        def found() -> str | None:
            return next((line for line in self.log if re.search(pattern, line)), None)

        with self._said:
            self._said.wait_for(lambda: found() or "" in self.log, timeout=PATIENCE_S)
        line = found()
        assert line is not None, "".join(self.log)
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
            self._reader.join(PATIENCE_S)
            assert self.process.stderr is not None
            self.process.stderr.close()


def new_token(home: Path, name: str, *flags: str, project: str = "shop") -> str:
    """Issue a token as whoever runs the server does; return its secret."""
    user = () if "--user" in flags else ("--user", name)
    done = cli(home, "token", "create", name, *user, "--project", project, *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def bearer(secret: str) -> dict[str, str]:
    """Return the header that a client sends."""
    return {"Authorization": f"Bearer {secret}"}


@asynccontextmanager
async def calling(
    url: str,
    secret: str | None,
    *,
    mode: Literal["auto", "legacy"] = "auto",
    person: ElicitationFnT | None = None,
    **more: str,
) -> AsyncGenerator[Client]:
    """Yield a client of a team's server; `person` fills in its forms."""
    headers = {**(bearer(secret) if secret else {}), **more}
    http = httpx2.AsyncClient(headers=headers, timeout=PATIENCE_S)
    async with (
        http,
        Client(
            streamable_http_client(f"{url}/mcp", http_client=http),
            mode=mode,
            elicitation_callback=person,
        ) as client,
    ):
        yield client


def call(
    method: str,
    url: str,
    *,
    secret: str | None = None,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Any]:
    """Make a request; return its status and its JSON."""
    sent = {**(bearer(secret) if secret else {}), **(headers or {})}
    content: bytes | None = None
    if method == "POST":
        content = json.dumps(body).encode()
        sent["Content-Type"] = "application/json"
    reply = httpx2.request(
        method, url, content=content, headers=sent, timeout=PATIENCE_S
    )
    with suppress(ValueError):
        return reply.status_code, reply.json()
    return reply.status_code, reply.text


def wait_until(holds: Callable[[], object], what: str) -> None:
    """Return once something holds; fail if it does not within a good while."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"it never came that {what}"
        time.sleep(0.02)
