"""
How the fake provider answers one request, well or badly.

Standard library only: the fake provider runs as a process of its own.
"""

import gzip
import json
import os
import socket
import struct
import threading
import zlib
from functools import cache
from http.server import BaseHTTPRequestHandler

from tests.fakes.replies import answer, error_in_success
from tests.fakes.shapes import Behaviour, Received, Wire, error_body, vendor_headers
from tests.fakes.streams import frames, wants_stream

_EVENTS = "text/event-stream; charset=utf-8"
_HUGE = b'"' + b"x" * 9_000_000 + b'"'
_LISTS = ("choices", "output", "content", "candidates")


@cache
def _bomb() -> bytes:
    return gzip.compress(b"\0" * 64_000_000)


class Player(BaseHTTPRequestHandler):
    """
    Answers as a behaviour says.

    Attributes:
        date: What the provider's clock says, if it is not the machine's.
        stopping: Set when the provider ends; what goes on for ever then ends too.
    """

    date: str | None = None
    stopping: threading.Event

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return what this provider's clock says."""
        return self.date or super().date_time_string(timestamp)

    def play(
        self, wire: Wire, received: Received, number: int, behaviour: Behaviour
    ) -> None:
        fault = behaviour.fault or "stream"
        streams = behaviour.status == 200 and wants_stream(wire, received)
        if streams and fault.startswith("stream"):
            self._stream(wire, received, number, behaviour)
        elif not fault.startswith("stream") and fault != "ignores_stream":
            self._misbehave(wire, received, number, behaviour)
        elif behaviour.status != 200:
            self._send_error(wire, number, behaviour)
        else:
            body = answer(wire, received, number, behaviour)
            self.send_json(200, body, vendor_headers(wire, number))

    def _send_error(self, wire: Wire, number: int, behaviour: Behaviour) -> None:
        headers = vendor_headers(wire, number)
        asked = behaviour.retry_after
        if asked is not None and not (wire == "gemini" and asked.isdecimal()):
            headers["retry-after"] = asked
        if behaviour.raw_error is not None:
            self._send(behaviour.status, behaviour.raw_error.encode(), headers)
        else:
            self.send_json(
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
                self.send_json(200, empty, headers)
            case "redirect":
                elsewhere = f"http://{self.headers['host']}/away"
                self._send(307, b"", {"location": behaviour.location or elsewhere})
            case "error_in_success" | "error_in_choice":
                body = error_in_success(wire, received, number, behaviour)
                self.send_json(200, body, headers)
            case "gzip_bomb":
                self._send(200, _bomb(), {**headers, "content-encoding": "gzip"})
            case _:
                self._drip(whole, headers)

    def _stream(
        self, wire: Wire, received: Received, number: int, behaviour: Behaviour
    ) -> None:
        """Send events in chunks of their own, and end them as the fault says."""
        fault = behaviour.fault
        headers = {**vendor_headers(wire, number), "content-type": _EVENTS}
        packer = None
        if fault in {"stream_gzip", "stream_gzip_bomb"}:
            headers["content-encoding"] = "gzip"
            packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
        self.send_response(200)
        for name, value in {**headers, "transfer-encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()
        if fault == "stream_gzip_bomb":
            self._chunk(_bomb())
        for frame in frames(wire, received, number, behaviour):
            packed = packer.compress(frame) if packer else frame
            self._chunk(packed + (packer.flush(zlib.Z_SYNC_FLUSH) if packer else b""))
        if packer:
            self._chunk(packer.flush())
        self._end_stream(behaviour.fault)

    def _end_stream(self, fault: str | None) -> None:
        match fault:
            case "stream_cut" | "stream_cut_first" | "stream_cut_before_counts":
                self.close_connection = True
            case "stream_reset":
                self._reset()
            case "stream_comments":
                while not self.stopping.wait(0.02):
                    self._chunk(b": still here\n\n")
            case "stream_stall" | "stream_stays_open":
                self.stopping.wait()
            case _:
                self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        """Send one chunk of a body; an empty one is its end."""
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _reset(self) -> None:
        """Close with a TCP reset: a lingering time of zero makes one."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        os.close(self.connection.detach())
        self.close_connection = True

    def _drip(self, body: bytes, headers: dict[str, str]) -> None:
        self._send(200, b"", headers, claim=len(body) * 1000)
        while not self.stopping.wait(0.02):
            self.wfile.write(b" ")

    def send_json(
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
