"""
A round-robin proxy on loopback: each request goes to the next server of the list.

One that cannot be reached is passed over, as real proxies do; a request that was sent
is never sent again. Standard library only.
"""

import http.client
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
_CHUNK = 65_536


class Balancer:
    """
    Spreads requests over servers.

    Attributes:
        servers: Base addresses of the servers.
        served: Which server got each request, in order.
    """

    def __init__(self, servers: Sequence[str], *, port: int = 0) -> None:
        self.servers = [*servers]
        self.served: list[str] = []
        self._next = count()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.balancer = self
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
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)

    @property
    def url(self) -> str:
        """The base address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection to the next server that can be reached."""
        first = next(self._next)
        for offset in range(len(self.servers)):
            server = self.servers[(first + offset) % len(self.servers)]
            where = urlsplit(server)
            found = http.client.HTTPConnection(where.hostname or "", where.port)
            try:
                found.connect()
            except OSError:
                continue
            self.served.append(server)
            return found
        raise ConnectionRefusedError


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    balancer: Balancer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        self.close_connection = True
        try:
            upstream = self.server.balancer.connect()
        except ConnectionRefusedError:
            self.send_error(502)
            return
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in _HOP_BY_HOP
        }
        headers["X-Forwarded-For"] = self.client_address[0]
        try:
            upstream.request(self.command, self.path, body=body, headers=headers)
            self._relay(upstream.getresponse())
        except (OSError, http.client.HTTPException):
            # The server died, or the client left: the other side learns of it.
            self.connection.close()
        finally:
            upstream.close()

    def _relay(self, response: http.client.HTTPResponse) -> None:
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        while piece := response.read1(_CHUNK):
            self.wfile.write(piece)
            self.wfile.flush()
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)

    do_GET = do_POST = do_DELETE = _forward  # noqa: N815  # the library's names
