"""OpenAI Chat Completions in pieces, and OpenRouter's."""

from collections.abc import Mapping
from typing import Any

from ask_expert.experts.reading import as_list, as_mapping
from ask_expert.experts.streamed import pieces
from ask_expert.experts.streamed.pieces import Counts, Gathered
from ask_expert.experts.wire import Event

_FACTS = ("id", "model", "provider", "service_tier", "system_fingerprint")
_DONE = "[DONE]"


class StreamedChat(Gathered):
    """See `StreamedReply`; the usage comes after the end, or never."""

    def __init__(self) -> None:
        super().__init__()
        self._facts: dict[str, str] = {}
        self._counts = Counts("usage", "completion_tokens")
        self._refusals: list[str] = []
        self._finish: dict[str, str] = {}
        self._error: object = None
        self._begun = False

    @property
    def is_whole(self) -> bool:
        """See `StreamedReply.is_whole`."""
        return bool(self._finish)

    def add(self, event: Event) -> None:
        """See `StreamedReply.add`; an error is kept, and is no piece."""
        if event.data.strip() == _DONE:
            return
        chunk = pieces.parse(event)
        self._facts |= pieces.words(chunk, _FACTS)
        choices = [as_mapping(each) for each in as_list(chunk.get("choices"))]
        ours = [each for each in choices if pieces.number(each) == 0]
        for choice in ours:
            self._take(choice)
        self._counts.take(chunk.get("usage"), at_end=self.is_whole)
        error = _error(chunk, ours) or (chunk if event.name == "error" else None)
        if error:
            self._error = error
            raise ValueError("the provider broke off")

    def body(self) -> bytes:
        """See `StreamedReply.body`."""
        facts = {**self._facts, **self._counts.facts()}
        choice: dict[str, Any] = {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": self.text or None,
                "refusal": "".join(self._refusals) or None,
            },
            "finish_reason": None,
            **self._finish,
        }
        if self._error is None or self.is_whole or self.has_text:
            error = {} if self._error is None else {"error": self._error}
            return pieces.dump({**facts, **error, "choices": [choice]})
        if not self._begun:
            return pieces.dump({**facts, "error": self._error})
        failed = {**choice, "finish_reason": "error", "error": self._error}
        return pieces.dump({**facts, "choices": [failed]})

    def _take(self, choice: Mapping[str, Any]) -> None:
        delta = as_mapping(choice.get("delta"))
        self._begun |= any(delta[name] for name in delta if name != "role")
        self._said.add(_said(delta.get("content")))
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._refusals.append(refusal)
        ending = pieces.words(choice, ("finish_reason", "native_finish_reason"))
        if ending.get("finish_reason", "error") != "error":
            self._finish = ending


def _error(chunk: Mapping[str, Any], choices: list[Mapping[str, Any]]) -> object:
    """Return the error that a chunk tells, for all or in its choice."""
    told = [chunk.get("error"), *(choice.get("error") for choice in choices)]
    failed = any(choice.get("finish_reason") == "error" for choice in choices)
    return next((each for each in told if each), {"message": None} if failed else None)


def _said(content: object) -> str:
    """Return the text of a delta; a list of parts may hold thoughts too."""
    if isinstance(content, str) or content is None:
        return content or ""
    parts = [as_mapping(each) for each in as_list(content)]
    if not parts:
        raise ValueError("a text that is none")
    texts = [part.get("text") for part in parts if part.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))
