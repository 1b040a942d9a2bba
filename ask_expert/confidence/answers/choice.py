"""Answers that choose a letter: the same when the letter is."""

import re

from ask_expert.confidence.answers.final import final

_OPTION = re.compile(r"^\s*\(?([A-Ja-j])[).:]\s*\S", re.MULTILINE)
_ALONE = re.compile(r"^\W*([A-Ja-j])(?:[).:]|\W*$)")
_NAMED = re.compile(
    r"(?:option|choice|answer)\s+(?:is\s+)?\(?([A-J])\b|\(([A-J])\)|^\W*([A-J])\W*$",
    re.MULTILINE,
)
_FEWEST = 2


def offers_choices(question: str) -> bool:
    """Return whether a question lists lettered options, from A on."""
    letters = [each.upper() for each in _OPTION.findall(question)]
    wanted = [chr(ord("A") + place) for place in range(len(letters))]
    return len(letters) >= _FEWEST and letters == wanted


def key(reply: str) -> str | None:
    """Return the chosen letter; None when none is."""
    text = final(reply)
    alone = _ALONE.match(text)
    if alone and "\n" not in text:
        return alone.group(1).upper()
    found = [match.group(match.lastindex or 0) for match in _NAMED.finditer(text)]
    return found[-1] if found else None
