"""Anthropic Messages in pieces."""

from collections.abc import Mapping
from typing import Any

from ask_expert.experts.reading import as_mapping
from ask_expert.experts.streamed import pieces
from ask_expert.experts.streamed.pieces import Counts, Gathered
from ask_expert.experts.wire import Event


class StreamedMessage(Gathered):
    """See `StreamedReply`; the first event tells the input, the end the output."""

    def __init__(self) -> None:
        super().__init__()
        self._message: dict[str, Any] = {}
        self._counts = Counts("usage", "output_tokens")
        self._error: object = None
        self._stopped = False

    @property
    def is_whole(self) -> bool:
        """See `StreamedReply.is_whole`."""
        return self._stopped

    def add(self, event: Event) -> None:
        """See `StreamedReply.add`; an error is kept, and is no piece."""
        piece = pieces.parse(event)
        match piece.get("type") or event.name:
            case "message_start":
                message = as_mapping(piece.get("message"))
                self._message |= pieces.words(message, ("id", "model"))
                self._count(message)
            case "content_block_start":
                self._take(piece, as_mapping(piece.get("content_block")), "text")
            case "content_block_delta":
                self._take(piece, as_mapping(piece.get("delta")), "text_delta")
            case "message_delta":
                delta = as_mapping(piece.get("delta"))
                self._message |= pieces.words(delta, ("stop_reason",))
                if delta.get("stop_details"):
                    self._message["stop_details"] = delta["stop_details"]
                self._stopped |= "stop_reason" in self._message
                self._count(piece)
            case "message_stop":
                self._stopped = True
            case "error":
                self._error = piece.get("error") or {"message": None}
                raise ValueError("the provider broke off")
            case _:
                return  # a ping, or a kind yet unknown

    def body(self) -> bytes:
        """See `StreamedReply.body`."""
        text = self.text
        error = {} if self._error is None else {"error": self._error}
        content = [{"type": "text", "text": text}] if text else []
        return pieces.dump(
            {**self._message, **self._counts.facts(), **error, "content": content}
        )

    def _take(
        self, piece: Mapping[str, Any], block: Mapping[str, Any], kind: str
    ) -> None:
        """Take text; thinking, signatures and citations are no part of the answer."""
        if block.get("type") != kind:
            return
        text = block.get("text")
        if not isinstance(text, str):
            raise ValueError("a text that is none")  # noqa: TRY004  # the data's
        self._said.add(text, pieces.number(piece))

    def _count(self, piece: Mapping[str, Any]) -> None:
        self._counts.take(piece.get("usage"), at_end=self._stopped)
