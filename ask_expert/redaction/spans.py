"""Where a secret stands in a text, and how overlapping findings become one."""

import functools
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_ASCII_ESCAPE_RE = r"\\(?:u00(?P<hex>[0-7][0-9A-Fa-f])|/)"


class Span(NamedTuple):
    """
    One finding: `text[start:end]` is a secret of some kind.

    `rank` decides between overlapping findings, lowest first. `secret` is what the
    mark stands for where the text shows it in another form, e.g. as base64.
    """

    start: int
    end: int
    kind: str
    rank: int
    secret: str | None = None


@functools.cache
def pattern(source: str) -> re.Pattern[str]:
    """
    Compile on first use, so that importing this package costs nothing.

    ASCII rules throughout: with Unicode rules `k` would also match the Kelvin sign.
    """
    return re.compile(source, re.ASCII)


def merge(spans: Iterable[Span]) -> list[Span]:
    """
    Join overlapping spans into one of the best-ranked kind, ordered and disjoint.

    The union is taken, so that no end of a secret peeps out behind a mark.
    """
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end, span.rank)):
        if not merged or span.start >= merged[-1].end:
            merged.append(span)
            continue
        last = merged.pop()
        best = min(last, span, key=lambda span: span.rank)
        end = max(last.end, span.end)
        whole = best.start == last.start and best.end == end
        secret = best.secret if whole else None
        merged.append(Span(last.start, end, best.kind, best.rank, secret))
    return merged


class Unescaped:
    r"""
    A text with its ASCII JSON escapes (`\u003d`, `\/`) resolved, and the way back.

    Serialisers for the web write `=`, `&`, `<` and `/` so, and a pattern for a
    connection string would not see them.
    """

    def __init__(self, text: str) -> None:
        pieces: list[str] = []
        self._ends: list[int] = []
        self._shifts: list[int] = []
        position = length = 0
        for match in pattern(_ASCII_ESCAPE_RE).finditer(text):
            digits = match["hex"]
            pieces += text[position : match.start()], chr(int(digits or "2f", 16))
            length += match.start() - position + 1
            position = match.end()
            self._ends.append(length)
            self._shifts.append(position - length)
        pieces.append(text[position:])
        self.text = "".join(pieces)

    def __bool__(self) -> bool:
        return bool(self._ends)

    def back(self, spans: Iterable[Span]) -> Iterator[Span]:
        """Return the spans as they stand in the escaped text."""
        for span in spans:
            yield span._replace(start=self._at(span.start), end=self._at(span.end))

    def _at(self, position: int) -> int:
        index = bisect_right(self._ends, position) - 1
        return position + (self._shifts[index] if index >= 0 else 0)
