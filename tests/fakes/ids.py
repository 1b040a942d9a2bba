"""Ids in the forms of the vendors: random letters, as real ones are; the same each time."""

import string
from random import Random

_ALPHANUMERIC = string.ascii_letters + string.digits


def letters(number: int, length: int, among: str = _ALPHANUMERIC) -> str:
    """Return the random part of an id, for the request of that number."""
    return "".join(Random(number).choices(among, k=length))  # noqa: S311


def hexadecimal(number: int, length: int) -> str:
    """Return the same of hexadecimal digits."""
    return letters(number, length, "0123456789abcdef")


def generation_id(number: int) -> str:
    """Return OpenRouter's id of a request."""
    return f"gen-1763700000-{letters(number, 20)}"
