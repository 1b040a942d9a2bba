"""Gemini's streamGenerateContent in pieces."""

from collections.abc import Mapping
from typing import Any

from ask_expert.experts.reading import as_list, as_mapping
from ask_expert.experts.streamed import pieces
from ask_expert.experts.streamed.pieces import Counts, Gathered
from ask_expert.experts.wire import Event

_FACTS = ("modelVersion", "responseId")


class StreamedContent(Gathered):
    """See `StreamedReply`; each piece tells the counts so far."""

    def __init__(self) -> None:
        super().__init__()
        self._facts: dict[str, str] = {}
        self._feedback: Mapping[str, Any] = {}
        # Google leaves out counts of zero, but never the total.
        self._counts = Counts("usageMetadata", "totalTokenCount")
        self._finish: str | None = None
        self._error: object = None
        self._begun = False

    @property
    def is_whole(self) -> bool:
        """See `StreamedReply.is_whole`; a blocked prompt is whole without an answer."""
        return bool(self._finish or self._feedback.get("blockReason"))

    def add(self, event: Event) -> None:
        """See `StreamedReply.add`; an error is kept, and is no piece."""
        piece = pieces.parse(event)
        self._facts |= pieces.words(piece, _FACTS)
        self._feedback = as_mapping(piece.get("promptFeedback")) or self._feedback
        for each in as_list(piece.get("candidates")):
            candidate = as_mapping(each)
            if pieces.number(candidate) == 0:
                self._take(candidate)
        self._counts.take(piece.get("usageMetadata"), at_end=self.is_whole)
        if piece.get("error"):
            self._error = piece["error"]
            raise ValueError("the provider broke off")

    def body(self) -> bytes:
        """See `StreamedReply.body`."""
        body: dict[str, object] = {**self._facts, **self._counts.facts()}
        if self._feedback:
            body["promptFeedback"] = self._feedback
        if self._error is not None:
            body["error"] = self._error
        if self._begun:
            body["candidates"] = [
                {
                    "content": {"role": "model", "parts": [{"text": self.text}]},
                    "finishReason": self._finish,
                }
            ]
        return pieces.dump(body)

    def _take(self, candidate: Mapping[str, Any]) -> None:
        self._begun = True
        self._finish = pieces.words(candidate, ("finishReason",)).get(
            "finishReason", self._finish
        )
        for each in as_list(as_mapping(candidate.get("content")).get("parts")):
            part = as_mapping(each)
            if part.get("thought") or "text" not in part:
                continue
            if not isinstance(part["text"], str):
                raise ValueError("a text that is none")  # noqa: TRY004  # the data's
            self._said.add(part["text"])
