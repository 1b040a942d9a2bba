"""Take out of what comes back the keys that were sent: some servers quote them."""

import json
import re
from collections.abc import Iterable, Mapping

from ask_expert.answer_block import visible

_LEAST_KEY = 8
_LEAST_PART = 4
_TAKEN_OUT = "[key]"
_CARRIES_KEY = re.compile(r"auth|cookie|cred|key|pass|secret|session|sign|token")
_PARAMETER = re.compile(r'(\w+)="?([^"]{8,})"?')
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
"""A string of JSON, wherever one may stand."""


def keys_sent(headers: Mapping[str, str], key: str | None) -> tuple[str, ...]:
    """
    Return what must not come back of a request: its key, tokens and signature.

    Args:
        headers: Those that authenticate it; a vendor's library may have made them.
        key: What they were made with, if it is known.
    """
    found = {key or ""}
    for name, value in headers.items():
        if _CARRIES_KEY.search(name.lower()):
            found.update(_parts(value))
    return tuple(sorted(_usable(found), key=len, reverse=True))


def _parts(value: str) -> list[str]:
    """Return the secret words of a header's value, without scheme and names."""
    words = re.split(r"[\s,]+", value.partition(" ")[2] or value)
    named = [_PARAMETER.fullmatch(word) for word in words]
    return [
        match[2] if match else word
        for word, match in zip(words, named, strict=True)
        if match is None or match[1].lower() != "signedheaders"
    ]


def without_key(body: bytes, *keys: str | None) -> bytes:
    """Replace the keys, however JSON spells them; a short one may be a word."""
    known = _usable(keys)
    for key in known:
        body = body.replace(key.encode(), _TAKEN_OUT.encode())
    if not known or (body.isascii() and b"\\" not in body):
        return body

    def string(match: re.Match[bytes]) -> bytes:
        try:
            text = str(json.loads(match[0]))
        except ValueError:
            return match[0]
        found = text_without_key(text, *known)
        return match[0] if found == text else json.dumps(found).encode()

    return _STRING.sub(string, body)


def text_without_key(text: str, *keys: str | None) -> str:
    """Replace the keys, also those that unseen characters take apart."""
    known = _usable(keys)
    text = _replaced(text, known)
    seen = visible(text)
    cleared = _replaced(seen, known)
    return text if cleared == seen else cleared


def without_start_of_key(text: str, *keys: str | None) -> str:
    """Replace the beginning of a key where a text broke off within it."""
    for key in _usable(keys):
        for given in dict.fromkeys((text, visible(text))):
            for length in range(len(key) - 1, _LEAST_PART - 1, -1):
                if given.endswith(key[:length]):
                    return given[:-length] + _TAKEN_OUT
    return text


def without_end_of_key(text: str, *keys: str | None) -> str:
    """Replace the end of a key where a text was cut off before it."""
    for key in _usable(keys):
        for length in range(len(key) - 1, _LEAST_PART - 1, -1):
            if text.startswith(key[-length:]):
                return _TAKEN_OUT + text[length:]
    return text


def _replaced(text: str, keys: Iterable[str]) -> str:
    for key in keys:
        text = text.replace(key, _TAKEN_OUT)
    return text


def _usable(keys: Iterable[str | None]) -> list[str]:
    return [key for key in keys if key is not None and len(key) >= _LEAST_KEY]
