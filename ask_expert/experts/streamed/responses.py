"""OpenAI Responses in pieces."""

from collections.abc import Mapping
from typing import Any

from ask_expert.experts.reading import as_list, as_mapping
from ask_expert.experts.streamed import pieces
from ask_expert.experts.streamed.pieces import Counts, Gathered
from ask_expert.experts.wire import Event

_FACTS = ("id", "model", "service_tier")
_BEGUN = frozenset({"response.created", "response.queued", "response.in_progress"})
_WORDS = {"output_text": "text", "refusal": "refusal"}
_ENDS = frozenset({"response.completed", "response.incomplete"})


class StreamedResponse(Gathered):
    """See `StreamedReply`; its last event holds the reply as it is without a stream."""

    def __init__(self) -> None:
        super().__init__()
        self._facts: dict[str, str] = {}
        self._counts = Counts("usage", "output_tokens")
        self._last: Mapping[str, Any] | None = None
        self._error: object = None

    @property
    def is_whole(self) -> bool:
        """See `StreamedReply.is_whole`."""
        return self._last is not None

    def add(self, event: Event) -> None:
        """See `StreamedReply.add`; an error is kept, and is no piece."""
        if event.data.strip() == "[DONE]":
            return
        piece = pieces.parse(event)
        kind = str(piece.get("type") or event.name)
        response = as_mapping(piece.get("response"))
        if kind in _BEGUN or kind in _ENDS or kind == "response.failed":
            self._facts |= pieces.words(response, _FACTS)
            self._counts.take(response.get("usage"), at_end=kind in _ENDS)
        if kind == "response.output_text.delta":
            delta = piece.get("delta")
            if not isinstance(delta, str):
                raise ValueError("a text that is none")
            self._said.add(delta)
        elif kind in _ENDS:
            self._last = response
        elif kind == "response.failed":
            self._fail(response.get("error") or response)
        elif kind == "error" or piece.get("error"):
            self._fail(piece.get("error") or piece)

    def body(self) -> bytes:
        """See `StreamedReply.body`."""
        facts = {**self._facts, **self._counts.facts()}
        said = {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": self.text}],
        }
        if self._last is not None:
            output = self._last.get("output")
            if self.chars and not _speaks(output):
                output = [said]
            return pieces.dump({**self._last, **facts, "output": output or []})
        if self._error is None:
            return pieces.dump({**facts, "status": "in_progress", "output": [said]})
        failed = {**facts, "error": self._error}
        if self.has_text:
            body = {**failed, "status": "in_progress", "output": [said]}
            return pieces.dump(body)
        return pieces.dump({**failed, "status": "failed", "output": []})

    def _fail(self, error: object) -> None:
        if self._last is None:
            self._error = error
        raise ValueError("the provider broke off")


def _speaks(output: object) -> bool:
    """Return whether the last event's output holds words, and can be read."""
    items = [as_mapping(item) for item in as_list(output)]
    messages = [item for item in items if item.get("type") == "message"]
    parts = [
        as_mapping(part)
        for message in messages
        for part in as_list(message.get("content"))
    ]
    said = [part.get(_WORDS.get(str(part.get("type")), "")) for part in parts]
    sound = all(items) and all(isinstance(each, str | None) for each in said)
    return sound and any(said)
