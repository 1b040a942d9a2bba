"""Find the final answer in a reply that may reason first."""

import re

_MARKED = re.compile(
    r"(?:final\s+answer|answer)\s*(?:is)?\s*[:=]\s*(\S[^\n]*)", re.IGNORECASE
)
_HASHES = re.compile(r"^####\s*(\S[^\n]*)$", re.MULTILINE)
_BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_DECORATION = "*_`$ \t"


def without_thoughts(reply: str) -> str:
    """Return a reply without what a reasoning model thought aloud."""
    return _THOUGHT.sub("", reply).strip()


def final(reply: str) -> str:
    r"""
    Return the final answer of a reply; the whole reply where none is marked.

    The last mark counts: `Answer: …`, `#### …` or `\boxed{…}`.
    """
    text = without_thoughts(reply)
    found = [
        match
        for pattern in (_MARKED, _HASHES, _BOXED)
        for match in pattern.finditer(text)
    ]
    if not found:
        return text
    last = max(found, key=lambda match: match.start(1)).group(1)
    boxed = _BOXED.search(last)
    return (boxed.group(1) if boxed else last).strip(_DECORATION)
