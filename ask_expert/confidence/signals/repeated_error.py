"""Signal: the same error came back."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

_NOISE = (
    (re.compile(r"0x[0-9a-fA-F]+"), "0x"),
    (re.compile(r"(?:[A-Za-z]:)?(?:[\w.~-]*/)+(?=[\w.-]+)"), ""),
    (re.compile(r"\d+"), "0"),
    (re.compile(r"\s+"), " "),
)
_TAIL_CHARS = 2000
_STALLED_AFTER = 3


def signature(error: str) -> str:
    """
    Return a hash that two occurrences of one error share.

    Addresses, folders, numbers and white space differ between runs of the same
    mistake and are folded; the tail is what names the error.
    """
    text = error[-_TAIL_CHARS:]
    for pattern, instead in _NOISE:
        text = pattern.sub(instead, text)
    return hashlib.sha256(text.strip().lower().encode(errors="replace")).hexdigest()


def stalled(times: int, tried: Sequence[str]) -> bool:
    """
    Return whether the agent goes in circles: one error or one attempt three times.

    Args:
        times: How often the present error was seen, this time included.
        tried: Failed attempts; a tool call made again differs in nothing that counts.
    """
    attempts = Counter(map(signature, tried))
    return max(times, *attempts.values(), 0) >= _STALLED_AFTER
