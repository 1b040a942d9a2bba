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
import gzip
import json
import os
import socket
import struct
import sys
import threading
from collections import deque
from dataclasses import asdict, dataclass, fields
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

if not __package__:  # run as a script, from any folder
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.fakes.replies import answer, error_in_success
from tests.fakes.shapes import (
    BASES,
    WIRES,
    Behaviour,
    Received,
    Wire,
    complaint,
    error_body,
    vendor_headers,
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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path == "/_fake/state":
            self._send_json(200, self.server.provider.state())
        else:
            self._send_json(404, {"error": {"message": "not here", "code": None}})

    def do_POST(self) -> None:
        provider = self.server.provider
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        if self.path.startswith("/_fake/"):
            _control(provider, self.path, body)
            self._send_json(200, {})
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
        if behaviour.status == 200 and behaviour.fault != "redirect":
            provider.charge(number, behaviour)
        self._play(wire or "openai_chat", received, number, behaviour)

    def _play(
        self, wire: Wire, received: Received, number: int, behaviour: Behaviour
    ) -> None:
        if behaviour.fault is not None:
            self._misbehave(wire, received, number, behaviour)
        elif behaviour.status != 200:
            self._send_error(wire, number, behaviour)
        else:
            body = answer(wire, received, number, behaviour)
            self._send_json(200, body, vendor_headers(wire, number))

    def _send_error(self, wire: Wire, number: int, behaviour: Behaviour) -> None:
        headers = vendor_headers(wire, number)
        if behaviour.retry_after is not None and wire != "gemini":
            headers["retry-after"] = behaviour.retry_after
        if behaviour.raw_error is not None:
            self._send(behaviour.status, behaviour.raw_error.encode(), headers)
        else:
            self._send_json(
                behaviour.status, error_body(wire, number, behaviour), headers
            )

    def _misbehave(
        self, wire: Wire, received: Received, number: int, behaviour: Behaviour
    ) -> None:
        whole = json.dumps(answer(wire, received, number, behaviour)).encode()
        headers = vendor_headers(wire, number)
        html = {"content-type": "text/html"}
        match behaviour.fault:
            case "cut":
                self._send(200, whole[: len(whole) // 2], headers, claim=len(whole))
                self.close_connection = True
            case "reset":
                self._reset()
            case "invalid_json" | "empty" | "huge" as fault:
                broken = {"invalid_json": whole[:-2] + b"]]", "huge": _HUGE}
                self._send(200, broken.get(fault, b""), headers)
            case "html":
                status = behaviour.status
                self._send(status, b"<html><h1>Bad gateway</h1></html>", html)
            case "empty_choices":
                empty = answer(wire, received, number, behaviour)
                empty.update({key: [] for key in _LISTS if key in empty})
                self._send_json(200, empty, headers)
            case "redirect":
                elsewhere = f"{self.server.provider.url}/away"
                self._send(307, b"", {"location": behaviour.location or elsewhere})
            case "error_in_success" | "error_in_choice":
                body = error_in_success(wire, received, number, behaviour)
                self._send_json(200, body, headers)
            case "gzip_bomb":
                self._send(200, _bomb(), {**headers, "content-encoding": "gzip"})
            case _:
                self._drip(whole, headers)

    def _reset(self) -> None:
        """Close with a TCP reset: a lingering time of zero makes one."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        os.close(self.connection.detach())
        self.close_connection = True

    def _drip(self, body: bytes, headers: dict[str, str]) -> None:
        self._send(200, b"", headers, claim=len(body) * 1000)
        while not self.server.provider.stopping.wait(0.02):
            self.wfile.write(b" ")

    def _send_json(
        self, status: int, body: object, headers: dict[str, str] | None = None
    ) -> None:
        self._send(status, json.dumps(body).encode(), headers or {})

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str],
        *,
        claim: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body) if claim is None else claim))
        self.end_headers()
        self.wfile.write(body)


_HUGE = b'"' + b"x" * 9_000_000 + b'"'
_LISTS = ("choices", "output", "content", "candidates")


@cache
def _bomb() -> bytes:
    return gzip.compress(b"\0" * 64_000_000)


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
