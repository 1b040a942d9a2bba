"""What all streamed replies share: their text, their counts, their JSON."""

import json
from collections.abc import Mapping
from typing import Any, cast

from ask_expert.experts.reading import EARLY, as_list, as_mapping
from ask_expert.experts.wire import Event

_DEPTH = 3


class Text:
    """
    What an answer says so far; how much that is can be told without joining it.

    Attributes:
        chars: How many characters.
        has_words: Whether any of them is no white space.
    """

    def __init__(self) -> None:
        self.chars = 0
        self.has_words = False
        self._pieces: dict[int, list[str]] = {}

    def add(self, piece: str, block: int = 0) -> None:
        """Append to a block; the blocks are read in the order of their numbers."""
        if piece:
            self._pieces.setdefault(block, []).append(piece)
            self.chars += len(piece)
            self.has_words = self.has_words or not piece.isspace()

    def joined(self) -> str:
        """Return all of it."""
        return "".join("".join(self._pieces[block]) for block in sorted(self._pieces))


class Counts:
    """
    The usage that a stream tells, which may come more than once.

    Each count is kept at its most: a later one may be a placeholder. What is told
    before the answer's end is early: it cannot hold all of the output.

    Args:
        name: The key of the usage in the reply.
        output: The count in it that tells the output.
    """

    def __init__(self, name: str, output: str) -> None:
        self._name = name
        self._output = output
        self._told: dict[str, Any] = {}
        self._final = False

    def take(self, told: object, *, at_end: bool) -> None:
        """Take what a piece tells; `at_end` if the answer ends with it, or has ended."""
        usage = as_mapping(told)
        _raise_to(self._told, usage, _DEPTH)
        output = usage.get(self._output)
        taken_back = output == 0 and self._told.get(self._output)
        if at_end and output is not None and not taken_back:
            self._final = True

    def facts(self) -> dict[str, object]:
        """Return the usage for the reply's body, marked if it is early."""
        early = {} if self._final else {EARLY: True}
        return {self._name: self._told, **early} if self._told else {}


class Gathered:
    """The part of a `StreamedReply` that is the same for every wire."""

    def __init__(self) -> None:
        self._said = Text()

    @property
    def text(self) -> str:
        """See `StreamedReply.text`."""
        return self._said.joined()

    @property
    def chars(self) -> int:
        """See `StreamedReply.chars`."""
        return self._said.chars

    @property
    def has_text(self) -> bool:
        """See `StreamedReply.has_text`."""
        return self._said.has_words


def parse(event: Event) -> Mapping[str, Any]:
    """
    Return the JSON object in an event.

    Raises:
        ValueError: It holds none.
    """
    try:
        data: object = json.loads(event.data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(data, dict):
        raise ValueError("no JSON object")  # noqa: TRY004  # a fault of the data
    return cast("dict[str, Any]", data)


def dump(body: Mapping[str, object]) -> bytes:
    r"""
    Return a reply's JSON, all ASCII.

    A character beyond `\uffff` may have come in halves, in two events: escaped side
    by side they are read as one.
    """
    return json.dumps(body).encode()


def words(data: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, str]:
    """Return those of the named facts that are told; only text tells one."""
    told = {name: data.get(name) for name in names}
    return {name: word for name, word in told.items() if isinstance(word, str) and word}


def number(data: Mapping[str, Any]) -> int:
    """Return the `index` of a block or choice; what is no number is the first."""
    index = data.get("index")
    return index if isinstance(index, int) and not isinstance(index, bool) else 0


def _raise_to(kept: dict[str, Any], told: Mapping[str, Any], depth: int) -> None:
    """Raise each kept count to the told one; null tells nothing."""
    for name, value in told.items():
        if value is not None:
            kept[name] = _most(kept.get(name), value, depth)


def _most(kept: object, told: object, depth: int) -> object:
    if depth and isinstance(told, dict):
        most = dict(as_mapping(kept))
        _raise_to(most, cast("dict[str, Any]", told), depth - 1)
        return most
    if depth and isinstance(told, list):
        before, after = as_list(kept), as_list(cast("object", told))
        pairs = [_most(*pair, depth - 1) for pair in zip(before, after, strict=False)]
        return [*pairs, *before[len(pairs) :], *after[len(pairs) :]]
    if isinstance(kept, int | float) and isinstance(told, int | float):
        return max(kept, told)
    return told
