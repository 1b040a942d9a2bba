"""
AWS's event stream: how Bedrock sends the pieces of a reply.

botocore takes the frames apart and checks their sums; it is loaded with the first
stream.
"""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Protocol, cast

from ask_expert.errors import ConfigError
from ask_expert.experts.reading import as_mapping
from ask_expert.experts.wire import Event

CONTENT_TYPE = "application/vnd.amazon.eventstream"
INSTALL = "pip install 'ask-expert[bedrock]'"


class _Frame(Protocol):
    headers: Mapping[str, object]
    payload: bytes


class _Buffer(Protocol):
    """What is used of botocore's `EventStreamBuffer`, which has no types."""

    def add_data(self, data: bytes) -> None: ...

    def __iter__(self) -> Iterator[_Frame]: ...


class AwsEventStream:
    """
    Cuts frames into events; a frame of an exception becomes Anthropic's `error`.

    Raises:
        ConfigError: botocore is not installed.
    """

    def __init__(self) -> None:
        try:
            from botocore import eventstream  # noqa: PLC0415  # an extra
        except ImportError as error:
            raise ConfigError(f"Bedrock needs botocore: {INSTALL}") from error
        self._buffer = cast("_Buffer", eventstream.EventStreamBuffer())
        self._parser_error = eventstream.ParserError
        self._is_broken = False

    def feed(self, chunk: bytes) -> list[Event]:
        """See `Framing.feed`; whole frames before a broken one are given first."""
        events: list[Event] = []
        try:
            self._buffer.add_data(chunk)
            for frame in self._buffer:
                events += _events(frame)
        except self._parser_error:
            self._is_broken = True
        if self._is_broken and not events:
            raise ValueError("no event stream of AWS")
        return events

    def end(self) -> list[Event]:
        """See `Framing.end`; a frame that is not whole holds nothing."""
        return self.feed(b"") if self._is_broken else []


def _events(frame: _Frame) -> list[Event]:
    told = as_mapping(_json(frame.payload))
    kind = frame.headers.get(":message-type")
    if kind != "event":
        code = frame.headers.get(":exception-type") or frame.headers.get(":error-code")
        message = told.get("message") or frame.headers.get(":error-message")
        error = {"type": str(code or kind), "message": str(message or code or kind)}
        return [Event(name="error", data=json.dumps({"type": "error", "error": error}))]
    packed = told.get("bytes")
    if not isinstance(packed, str):
        return []  # no piece of the answer
    try:
        data = base64.b64decode(packed, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("a piece that cannot be read") from error
    return [Event(name=str(as_mapping(_json(data)).get("type") or ""), data=data)]


def _json(text: str | bytes) -> object:
    try:
        return cast("object", json.loads(text))
    except ValueError:
        return None
