"""Past questions and answers by the words in them, as lines for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from ask_expert.ledger import search
from ask_expert.ledger.engine import reading, translated_errors
from ask_expert.ledger.export import moment
from ask_expert.ledger.store import Ledger

MAX_WORDS = 20
"""Most words of one search."""
MAX_CHARS = 200
"""Longest of them, in characters."""

_AROUND = 40
_FIRST_LINE = 72


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """
    One question that holds every word.

    Attributes:
        id: Its handle.
        asked_us: When it was asked, microseconds since 1970.
        question: Its first line.
        snippet: What stands around the first word that is not in that line.
    """

    id: str
    asked_us: int
    question: str
    snippet: str

    def cells(self) -> tuple[str, ...]:
        """Return the find as a table shows it."""
        asked = f"{moment(self.asked_us)[:19]}Z"
        return self.id, asked, _shortened(self.question), self.snippet

    def as_json(self) -> dict[str, object]:
        """Return the find as JSON can carry it."""
        return {
            "question_id": self.id,
            "asked_at": moment(self.asked_us),
            "question": self.question,
            "snippet": self.snippet,
        }


HEAD = ("question", "asked", "first line", "found")
"""Names of the cells of a find."""


def find(ledger: Ledger, words: Sequence[str], limit: int) -> list[Find]:
    """
    Return the questions that hold every word, newest first.

    Raises:
        ValueError: There is no word, or too many, or one is too long.
        LedgerError: The ledger cannot be read.
    """
    wanted = [word for word in (each.strip() for each in words) if word]
    if not 1 <= len(wanted) <= MAX_WORDS:
        raise ValueError(f"give 1 to {MAX_WORDS} words, got {len(wanted)}")
    if any(len(word) > MAX_CHARS for word in wanted):
        raise ValueError(f"a word has at most {MAX_CHARS} characters")
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        found = islice(search.search(connection, wanted), limit)
        return [_as_find(each, wanted) for each in found]


def _as_find(found: search.Found, words: Sequence[str]) -> Find:
    question = found.question.strip()
    first = question.partition("\n")[0]
    return Find(
        id=found.id,
        asked_us=found.asked_us,
        question=first,
        snippet=_snippet(found, first, words),
    )


def _snippet(found: search.Found, first: str, words: Sequence[str]) -> str:
    """Return the surroundings of a word that the first line does not show."""
    hidden = [word for word in words if word.lower() not in first.lower()]
    for text in (found.answer, found.question, found.sent):
        for word in hidden or words:
            at = text.lower().find(word.lower())
            if at >= 0:
                return _around(text, at, len(word))
    return ""


def _around(text: str, at: int, length: int) -> str:
    start, end = max(0, at - _AROUND), at + length + _AROUND
    words = " ".join(text[start:end].split())
    return f"{'…' if start else ''}{words}{'…' if end < len(text) else ''}"


def _shortened(line: str) -> str:
    return line if len(line) <= _FIRST_LINE else f"{line[: _FIRST_LINE - 1]}…"
