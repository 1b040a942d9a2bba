"""Marks: what stands in a text where a secret stood."""

import hashlib
import hmac
from collections.abc import Mapping
from types import MappingProxyType

MARK_RE = r"«SECRET:(?P<kind>[A-Za-z][A-Za-z0-9_]{0,63})(?::[0-9]{1,6})?»"
"""A mark, numbered in texts and bare in logs."""


class Marks:
    """
    The numbering of marks in one thread with an expert.

    A secret keeps its number through the whole thread, so a follow-up can speak of
    the same one. It is remembered only as an HMAC, which cannot be turned back nor
    guessed at without the home folder's key. Not for use from two threads at once.
    """

    def __init__(
        self,
        *,
        key: bytes,
        known: Mapping[tuple[str, str], int] = MappingProxyType({}),
    ) -> None:
        """
        Start from what the thread's earlier questions have numbered.

        Args:
            key: Secret bytes of the home folder.
            known: `new` of the thread's earlier questions, joined.
        """
        self._key = key
        self._numbers = dict(known)
        self._highest: dict[str, int] = {}
        for (kind, _), number in self._numbers.items():
            self._highest[kind] = max(number, self._highest.get(kind, 0))
        self._new: dict[tuple[str, str], int] = {}
        self._used: set[tuple[str, str]] = set()

    def mark(self, kind: str, secret: str) -> str:
        """Return the secret's mark, e.g. `«SECRET:github_pat:1»`; numbers count per kind."""
        data = secret.encode("utf-8", "surrogatepass")
        entry = kind, hmac.new(self._key, data, hashlib.sha256).hexdigest()
        number = self._numbers.get(entry)
        if number is None:
            number = self._highest[kind] = self._highest.get(kind, 0) + 1
            self._numbers[entry] = self._new[entry] = number
        self._used.add(entry)
        return f"«SECRET:{kind}:{number}»"

    @property
    def count(self) -> int:
        """How many distinct secrets this object has marked."""
        return len({digest for _, digest in self._used})

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds this object has marked, in alphabetical order."""
        return tuple(sorted({kind for kind, _ in self._used}))

    @property
    def new(self) -> Mapping[tuple[str, str], int]:
        """(kind, HMAC in hexadecimal) → number, of secrets the thread did not know."""
        return MappingProxyType(self._new)
