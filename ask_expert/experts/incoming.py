"""One streamed reply while it comes in: inflate, cut, put together, tell how far."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ask_expert.experts.framing import Framing
from ask_expert.experts.inflate import Inflater, UnreadableError
from ask_expert.experts.reading import as_mapping
from ask_expert.experts.wire import Event, StreamedReply

MOST_BYTES = 8_000_000
"""A longer reply, and a longer event of a stream, is broken off."""

MOST_STREAMED_BYTES = 100_000_000
"""The same for all events of a stream: each wraps a few letters in 200 bytes or more."""

_LOOK_EVERY_S = 0.05
_NAMED_WITHIN = 4
"""Events of a stream that are looked at for the request's id; it comes with the first."""


@dataclass(slots=True, kw_only=True)
class Incoming:
    """
    Takes the bytes of one stream.

    Attributes:
        framing: Cuts them into events.
        inflater: Undoes their compression.
        reply: Puts the events together.
        sent_at: When the request left, on the monotonic clock.
        watch: Told the characters of the answer so far, whenever there are more.
        heard: Told the id that the provider gives the request, once.
        first_token_us: Microseconds from sending to the first text.
    """

    framing: Framing
    inflater: Inflater
    reply: StreamedReply
    sent_at: float
    watch: Callable[[int], None] | None = None
    heard: Callable[[str], None] | None = None
    first_token_us: int | None = None
    _events: int = 0
    _bytes: int = 0
    _since_event: int = 0
    _chars: int = 0
    _looked_at: float = field(default=float("-inf"))

    def feed(self, raw: bytes) -> Iterator[bool]:
        """
        Take some bytes; yield after each part whether it held an event.

        Raises:
            UnreadableError: It cannot be read on, or is too large.
        """
        for plain in self.inflater.feed(raw):
            self._bytes += len(plain)
            self._since_event += len(plain)
            events = self._cut(plain)
            if events:
                self._since_event = 0
            self._add(events)
            self._look()
            if self._bytes > MOST_STREAMED_BYTES:
                raise UnreadableError(f"is larger than {MOST_STREAMED_BYTES:,} bytes")
            if max(self._since_event, self.reply.chars) > MOST_BYTES:
                raise UnreadableError(f"is larger than {MOST_BYTES:,} bytes")
            yield bool(events)

    def end(self) -> None:
        """Take what is left when the stream has ended; half an event tells nothing."""
        with contextlib.suppress(ValueError):
            for event in self.framing.end():
                self.reply.add(event)
        self.look()

    def look(self) -> None:
        """Tell how much text there is by now."""
        if self.first_token_us is None and self.reply.has_text:
            elapsed_s = time.monotonic() - self.sent_at
            self.first_token_us = int(elapsed_s * 1_000_000)
        if self.reply.chars > self._chars:
            self._chars = self.reply.chars
            if self.watch is not None:
                self.watch(self._chars)

    def _look(self) -> None:
        """Look at the first text, then now and then: whoever watches may take time."""
        now = time.monotonic()
        late = now - self._looked_at >= _LOOK_EVERY_S
        if late or (self.first_token_us is None and self.reply.has_text):
            self._looked_at = now
            self.look()

    def _hear(self, event: Event) -> None:
        """Look for the request's id: should this process die, it is asked for by it."""
        if self.heard is None:
            return
        self._events += 1
        name = _id_in(event)
        if name:
            self.heard(name)
        if name or self._events >= _NAMED_WITHIN:
            self.heard = None

    def _cut(self, plain: bytes) -> list[Event]:
        try:
            return self.framing.feed(plain)
        except ValueError as error:
            raise UnreadableError(_SENSELESS) from error

    def _add(self, events: list[Event]) -> None:
        for event in events:
            self._hear(event)
            try:
                self.reply.add(event)
            except ValueError as error:
                raise UnreadableError(_SENSELESS) from error


def _id_in(event: Event) -> str | None:
    """Return the id in an event, where the wires put it."""
    try:
        told = as_mapping(json.loads(event.data))
    except (ValueError, RecursionError):
        return None
    found = (
        told.get("id"),
        told.get("responseId"),
        as_mapping(told.get("response")).get("id"),
        as_mapping(told.get("message")).get("id"),
    )
    return next((each for each in found if isinstance(each, str) and each), None)


_SENSELESS = "holds an event that makes no sense"
