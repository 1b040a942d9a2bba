"""A local model on loopback that says what a test tells it to say."""

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Say = Callable[[dict[str, Any]], str]
"""Takes a request's body and returns the answer's text."""

Serve = Callable[[str, dict[str, Any] | None], tuple[int, bytes]]
"""Takes a request's path and body, None for a GET; returns status and reply."""


@dataclass(slots=True, kw_only=True)
class FakeModel:
    """
    What it says, and what it was asked.

    Attributes:
        say: The answer's text for a body.
        status: HTTP status of every answer.
        raw: Sent as the body instead of a completion.
        promised_more: Bytes announced and never sent: the connection is cut.
        finish: `stop` or `length`.
        serve: Makes every reply instead of all the above.
        asked: Path and body of every request.
        url: Address up to and including `/v1`.
    """

    say: Say = lambda body: "So."
    status: int = 200
    raw: bytes | None = None
    promised_more: int = 0
    finish: str = "stop"
    serve: Serve | None = None
    asked: list[tuple[str, dict[str, Any]]] = field(
        default_factory=list[tuple[str, dict[str, Any]]]
    )
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        length = int(handler.headers["Content-Length"])
        body: dict[str, Any] = json.loads(handler.rfile.read(length))
        self.asked.append((handler.path, body))
        if self.serve is not None:
            self.send(handler, *self.serve(handler.path, body))
            return
        message = {"role": "assistant", "content": self.say(body)}
        reply = {
            "object": "chat.completion",
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": self.finish}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
        }
        data = json.dumps(reply).encode() if self.raw is None else self.raw
        self.send(handler, self.status, data)

    def page(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one GET."""
        status, data = (404, b"{}")
        if self.serve is not None:
            status, data = self.serve(handler.path, None)
        self.send(handler, status, data)

    def send(self, handler: BaseHTTPRequestHandler, status: int, data: bytes) -> None:
        """Send one reply; a client that is gone is no fault."""
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data) + self.promised_more))
        with suppress(BrokenPipeError, ConnectionResetError):
            handler.end_headers()
            handler.wfile.write(data)
        handler.close_connection = True


@contextmanager
def serving(model: FakeModel) -> Generator[FakeModel]:
    """Serve it for the length of a `with` block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            model.answer(self)

        def do_GET(self) -> None:
            model.page(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    model.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield model
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
