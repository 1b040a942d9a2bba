"""How the pieces of a streamed reply are told apart, by its content type."""

import re
from collections.abc import Callable
from typing import Protocol

from ask_expert.experts import aws_stream
from ask_expert.experts.wire import Event

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Framing(Protocol):
    """
    Cuts one stream of bytes into events; keeps what is not whole yet.

    Both methods raise ValueError where the bytes are no such stream.
    """

    def feed(self, chunk: bytes) -> list[Event]:
        """Take some bytes; return the events that they complete."""
        ...

    def end(self) -> list[Event]:
        """Return what was left when the stream ended."""
        ...


class ServerSentEvents:
    """
    The event stream of the HTML standard.

    The standard drops an event that no blank line ends; here it is given, since
    some servers end with none.

    Source:
        WHATWG, "HTML", section 9.2.6, read 2026-11-22.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._first_line = True
        self._after_return = False
        self._name = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[Event]:
        """See `Framing.feed`."""
        if not chunk:
            return []
        ends_in_return = chunk.endswith(b"\r")
        if self._after_return:
            chunk = chunk.removeprefix(b"\n")
        self._after_return = ends_in_return
        self._rest += chunk
        if not _LINE_END.search(chunk):
            return []
        *lines, rest = _LINE_END.split(bytes(self._rest))
        self._rest = bytearray(rest)
        return self._events(lines)

    def end(self) -> list[Event]:
        """See `Framing.end`."""
        lines = [bytes(self._rest), b""]
        self._rest.clear()
        return self._events(lines)

    def _events(self, lines: list[bytes]) -> list[Event]:
        events: list[Event] = []
        for raw in lines:
            line = raw
            if self._first_line:
                line = line.removeprefix(_BYTE_ORDER_MARK)
                self._first_line = False
            if line:
                self._take(line.decode("utf-8", "replace"))
                continue
            if self._data:
                events.append(Event(name=self._name, data="\n".join(self._data)))
            self._name = ""
            self._data = []
        return events

    def _take(self, line: str) -> None:
        """Take one field; comments, ids and times for connecting anew are let go."""
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value


_FRAMINGS: dict[str, Callable[[], Framing]] = {
    "text/event-stream": ServerSentEvents,
    aws_stream.CONTENT_TYPE: aws_stream.AwsEventStream,
}


def framing_for(content_type: str) -> Framing | None:
    """Return what cuts a reply of this type into events; None if it is no stream."""
    make = _FRAMINGS.get(content_type.partition(";")[0].strip().lower())
    return make() if make is not None else None
