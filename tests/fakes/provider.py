"""
A real loopback HTTP server that answers in the five wire formats.

`with Provider() as provider:` serves from a thread of this process;
`python tests/fakes/provider.py --port 0` serves from its own and prints
`{"url": ...}` as its first line. What it answers is a queue of `Behaviour`s;
when the queue is empty, the default. It keeps every request and its own bill.
Standard library only.

From another process: `GET /_fake/state` returns requests and bill,
`POST /_fake/hold` and `/_fake/release` work the gate, `POST /_fake/script`
takes a JSON list of behaviours.
"""

import argparse
import contextlib
import json
import socket
import sys
import threading
from collections import deque
from dataclasses import asdict, dataclass, fields
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

if not __package__:  # run as a script, from any folder
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.fakes.playing import Player
from tests.fakes.shapes import (
    BASES,
    WIRES,
    Behaviour,
    Received,
    Wire,
    complaint,
)

_GATE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What the provider would put on the invoice for one request."""

    request: int
    model: str
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_long_tokens: int
    output_tokens: int


class Provider:
    """
    A provider on loopback.

    Attributes:
        requests: What came in, in order.
        bill: What was worked on and would be charged, in order.
        records: What it keeps of requests, by id; an int is an HTTP status, bytes
            are a body as it is.
        looked_up: The ids it was asked for records of, in order.
    """

    def __init__(
        self,
        default: Behaviour | None = None,
        *,
        key: str | None = None,
        port: int = 0,
    ) -> None:
        self.default = default or Behaviour()
        self.key = key
        self.requests: list[Received] = []
        self.bill: list[Billed] = []
        self.records: dict[str, dict[str, Any] | bytes | int] = {}
        self.looked_up: list[str] = []
        self._queue: deque[Behaviour] = deque()
        self._changed = threading.Condition()
        self._gate = threading.Event()
        self._gate.set()
        self.stopping = threading.Event()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.provider = self
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.02},
            daemon=True,
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stopping.set()
        self._gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.drop_connections()
        self._thread.join(timeout=5)

    @property
    def port(self) -> int:
        """The port served."""
        return self._server.server_address[1]

    @property
    def url(self) -> str:
        """The base address, without `/v1`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def v1(self) -> str:
        """The base address that OpenAI's wires take."""
        return f"{self.url}/v1"

    def base(self, wire: Wire) -> str:
        """Return the base address under which a wire is served."""
        return f"{self.url}{BASES[wire]}"

    def script(self, *behaviours: Behaviour) -> None:
        """Queue what the next requests meet."""
        with self._changed:
            self._queue.extend(behaviours)

    def answer(self, text: str, **facts: Any) -> None:
        """Queue one answer."""
        self.script(Behaviour(text=text, **facts))

    def fail(self, status: int, **facts: Any) -> None:
        """Queue one error status."""
        self.script(Behaviour(status=status, **facts))

    def hold(self) -> None:
        """Keep every request waiting, received and unanswered, until `release`."""
        self._gate.clear()

    def release(self) -> None:
        """Let held requests go on."""
        self._gate.set()

    def wait_for_requests(self, count: int, timeout_s: float = 10.0) -> None:
        """Return when `count` requests have come; raise TimeoutError if they do not."""
        with self._changed:
            if not self._changed.wait_for(
                lambda: len(self.requests) >= count, timeout_s
            ):
                raise TimeoutError(f"{len(self.requests)} of {count} requests came")

    def receive(self, request: Received) -> tuple[int, Behaviour]:
        """Keep a request; return its number and what it meets, once the gate is open."""
        with self._changed:
            self.requests.append(request)
            number = len(self.requests) - 1
            behaviour = self._queue.popleft() if self._queue else self.default
            self._changed.notify_all()
        self._gate.wait(_GATE_S)
        if behaviour.delay_s:
            self.stopping.wait(behaviour.delay_s)
        return number, behaviour

    def charge(self, number: int, behaviour: Behaviour) -> None:
        """Put one request on the bill."""
        asked = self.requests[number].model
        extra_in, extra_out = behaviour.advisor_tokens or (0, 0)
        with self._changed:
            self.bill.append(
                Billed(
                    request=number,
                    model=behaviour.model or asked,
                    input_tokens=behaviour.input_tokens
                    + behaviour.tool_use_tokens
                    + extra_in,
                    cache_read_tokens=behaviour.cache_read_tokens,
                    cache_write_tokens=behaviour.cache_write_tokens,
                    cache_write_long_tokens=behaviour.cache_write_long_tokens,
                    output_tokens=behaviour.output_tokens + extra_out,
                )
            )

    def state(self) -> dict[str, Any]:
        """Return requests and bill, JSON-able."""
        with self._changed:
            return {
                "requests": [
                    {**asdict(each), "body": each.body.decode("utf-8", "replace")}
                    for each in self.requests
                ],
                "bill": [asdict(each) for each in self.bill],
            }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    provider: Provider

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error here."""

    def drop_connections(self) -> None:
        """End what clients keep alive."""
        for each in list(self._open):
            self.shutdown_request(each)


class _Handler(Player):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def do_GET(self) -> None:  # noqa: N802  # the library's name
        if self.path == "/_fake/state":
            self.send_json(200, self.server.provider.state())
        elif urlsplit(self.path).path == "/api/v1/generation":
            self._look_up(*parse_qs(urlsplit(self.path).query)["id"])
        else:
            self.send_json(404, {"error": {"message": "not here", "code": None}})

    def _look_up(self, request_id: str) -> None:
        provider = self.server.provider
        provider.looked_up.append(request_id)
        found = provider.records.get(request_id, 404)
        if provider.key and self.headers["authorization"] != f"Bearer {provider.key}":
            found = 401
        match found:
            case int():
                words = {
                    401: "User not found.",
                    404: f"Generation {request_id} not found",
                }
                message = words.get(found, "Internal Server Error")
                self.send_json(found, {"error": {"message": message, "code": found}})
            case bytes():
                self._send(200, found, {"content-type": "application/json"})
            case _:
                self.send_json(200, {"data": found})

    def do_POST(self) -> None:  # noqa: N802  # the library's name
        provider = self.server.provider
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        if self.path.startswith("/_fake/"):
            _control(provider, self.path, body)
            self.send_json(200, {})
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        received = Received(method="POST", path=self.path, headers=headers, body=body)
        number, behaviour = provider.receive(received)
        wire: Wire | None = next(
            (w for p, w in WIRES.items() if self.path.endswith(p)), None
        )
        wrong = complaint(wire, received, provider.key)
        if wrong is not None:
            behaviour = wrong
        self.date = behaviour.date
        self.stopping = provider.stopping
        if behaviour.status == 200 and behaviour.fault != "redirect":
            provider.charge(number, behaviour)
        self.play(wire or "openai_chat", received, number, behaviour)


def _control(provider: Provider, path: str, body: bytes) -> None:
    match path:
        case "/_fake/hold":
            provider.hold()
        case "/_fake/release":
            provider.release()
        case _:
            provider.script(*(Behaviour(**each) for each in json.loads(body)))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A provider that bills nobody.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--key")
    parser.add_argument("--answer", default=Behaviour().text)
    parser.add_argument("--input-tokens", type=int, default=Behaviour().input_tokens)
    parser.add_argument("--output-tokens", type=int, default=Behaviour().output_tokens)
    parser.add_argument("--delay-s", type=float, default=0.0)
    parser.add_argument("--status", type=int, default=200)
    parser.add_argument("--retry-after")
    parser.add_argument("--code")
    parser.add_argument("--model")
    parser.add_argument("--fault")
    given = vars(parser.parse_args(argv))
    port, key = given.pop("port"), given.pop("key")
    given["text"] = given.pop("answer")
    known = {field.name for field in fields(Behaviour)}
    default = Behaviour(**{k: v for k, v in given.items() if k in known})
    with Provider(default, key=key, port=port) as provider:
        sys.stdout.write(json.dumps({"url": provider.url}) + "\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
