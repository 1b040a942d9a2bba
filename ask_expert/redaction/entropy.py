"""The fallback: long tokens that look random, whatever made them."""

import math
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from ask_expert.redaction.spans import Span, pattern

_RUN_RE = r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{32,}={0,2}"
_AFTER_ESCAPE_RE = r"\\[nrtbf]"
_HARMLESS_START_RE = (
    r"sha(?:1|224|256|384|512)-|AAAAB3NzaC1|AAAAC3NzaC1|AAAAE2VjZHNh|AAAAGnNr|h1:"
)
_CONTEXT_RE = r"(?:base64,|sha(?:1|224|256|384|512)[:=-]|h1:)$"
_PUBLIC_RE = (
    r"-----BEGIN (?P<what>CERTIFICATE|PUBLIC KEY|RSA PUBLIC KEY|EC PUBLIC KEY"
    r"|CERTIFICATE REQUEST|NEW CERTIFICATE REQUEST|X509 CRL|PGP PUBLIC KEY BLOCK"
    r"|PGP SIGNATURE|PGP MESSAGE|SSH SIGNATURE)-----"
)
_MIN_BITS = 4.0
_MIN_CHANGES = 0.36
"""Random text changes between upper, lower and digit at 62 % of its places, names at 20 %."""


def find(text: str, rank: int) -> Iterator[Span]:
    """Yield tokens of 32 or more characters with three classes that look random."""
    public: list[tuple[int, int]] | None = None
    for match in pattern(_RUN_RE).finditer(text):
        if not looks_random(match[0]) or _harmless(text, match.start()):
            continue
        if public is None:
            public = list(_public_blocks(text))
        if not any(start <= match.start() < end for start, end in public):
            escape = pattern(_AFTER_ESCAPE_RE).match(text, max(0, match.start() - 1))
            start = escape.end() if escape else match.start()
            yield Span(start, match.end(), "high_entropy", rank)


def has_three_classes(token: str) -> bool:
    """Return whether upper case, lower case and digits all occur."""
    return all(pattern(shape).search(token) for shape in ("[A-Z]", "[a-z]", "[0-9]"))


def looks_random(token: str) -> bool:
    """Return whether upper case, lower case and digits are mixed as chance mixes them."""
    if not has_three_classes(token):
        return False
    classes = [
        _character_class(character) for character in token if character.isalnum()
    ]
    changes = sum(a != b for a, b in pairwise(classes))
    if changes < _MIN_CHANGES * (len(token) - 1):
        return False
    counts = Counter(token).values()
    bits = -sum(n / len(token) * math.log2(n / len(token)) for n in counts)
    return bits >= _MIN_BITS


def _character_class(character: str) -> str:
    if character.isdigit():
        return "0"
    return "A" if character.isupper() else "a"


def _harmless(text: str, start: int) -> bool:
    """Integrity hashes, public SSH keys and embedded images are long and no secret."""
    before = text[max(0, start - 10) : start]
    return bool(
        pattern(_HARMLESS_START_RE).match(text, start)
        or pattern(_CONTEXT_RE).search(before)
    )


def _public_blocks(text: str) -> Iterator[tuple[int, int]]:
    for match in pattern(_PUBLIC_RE).finditer(text):
        end = text.find(f"-----END {match['what']}", match.end(), match.end() + 65_536)
        if end >= 0:
            yield match.start(), end
