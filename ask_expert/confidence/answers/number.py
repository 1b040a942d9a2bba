"""Answers that are numbers: the same when their values are."""

import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from ask_expert.confidence.answers.final import final

_NUMBER = re.compile(
    r"(?<![\w.])[-+\u2212]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+|(?<=\d))"
    r"(?:[eE][-+]?\d{1,3})?(?:\s*/\s*\d+)?(?!\d)"
)
_FRACTION = re.compile(r"\\d?frac\{(-?\d+)\}\{(\d+)\}")
_MOST_CHARS = 60


def number(reply: str) -> Fraction | None:
    """
    Return the number that a reply ends with, exactly; None when there is none.

    Thousands separators, units and decoration are passed over; `1/2` is a half.
    """
    text = _FRACTION.sub(r"\1/\2", final(reply)).replace("\u2212", "-")
    found = [each.group() for each in _NUMBER.finditer(text)]
    return _value(found[-1]) if found else None


def key(reply: str) -> str | None:
    """Return what two equal numbers share; None when there is no number."""
    value = number(reply)
    return None if value is None else str(value)


def _value(text: str) -> Fraction | None:
    if len(text) > _MOST_CHARS:
        return None
    above, _, below = text.replace(",", "").replace(" ", "").partition("/")
    try:
        value = Fraction(Decimal(above)) / (Fraction(Decimal(below)) if below else 1)
    except (InvalidOperation, ValueError, ZeroDivisionError):
        return None
    return value
