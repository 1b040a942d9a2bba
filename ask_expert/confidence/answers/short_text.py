"""Short answers in words: the same when they are once case, articles and marks are gone."""

import re
import unicodedata

from ask_expert.confidence.answers.final import final

MOST_WORDS = 12
"""A longer answer is free text."""

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_MARKS = re.compile(r"[^\w\s.%-]|(?<!\d)[.-](?!\d)|_")
_SPACE = re.compile(r"\s+")


def key(reply: str) -> str | None:
    """
    Return what two like answers share; None for an empty one.

    Source:
        Rajpurkar et al. (2016), "SQuAD", 1606.05250: its answer normalisation.
    """
    folded = unicodedata.normalize("NFKC", final(reply)).casefold()
    plain = _SPACE.sub(" ", _ARTICLES.sub(" ", _MARKS.sub(" ", folded))).strip()
    return plain or _SPACE.sub(" ", folded).strip() or None


def is_short(reply: str) -> bool:
    """Return whether the final answer is a few words on one line."""
    text = final(reply)
    return 0 < len(text.split()) <= MOST_WORDS and "\n" not in text
