"""The masker: all detectors together, run until a text holds no more to mask."""

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import cast

from ask_expert.redaction import assignments, entropy, shapes
from ask_expert.redaction.known import KnownSecrets
from ask_expert.redaction.marks import MARK_RE, Marks
from ask_expert.redaction.rules import prefix_rules
from ask_expert.redaction.spans import Span, Unescaped, merge, pattern

MAX_CHARACTERS = 4 * 1024 * 1024
"""Longest text that is masked; a longer one is refused."""

_MAX_PASSES = 12
_SURE = (shapes.private_keys, shapes.url_credentials)
_LIKELY = (shapes.headers, shapes.logins, assignments.find, entropy.find)
_SURE_RANK, _LIKELY_RANK = 1_000, 2_000


class Masker:
    """
    Finds secrets and puts marks in their place.

    Masking is idempotent: it runs again over its own result until nothing is found.
    """

    def __init__(
        self,
        *,
        known: Mapping[str, str] = MappingProxyType({}),
        allow: Sequence[str] = (),
    ) -> None:
        """
        Read the rules, if no other masker did.

        Args:
            known: Kind → literal value; masked wherever it stands, in any form.
            allow: Patterns of look-alikes; a finding inside a match stays as it is,
                unless it is a known value.

        Raises:
            re.error: A pattern in `allow` does not compile.
        """
        self._known = KnownSecrets(known)
        self._allow = [re.compile(source) for source in allow]
        self._rules = prefix_rules()
        self._kinds = self._known.kinds | {rule.name for rule in self._rules}

    def mask(self, text: str, marks: Marks) -> str:
        """
        Return the text with every secret replaced by its numbered mark.

        Raises:
            ValueError: The text is longer than 4 Mi characters.
        """
        if len(text) > MAX_CHARACTERS:
            raise ValueError(
                f"{len(text)} characters are too many to mask; {MAX_CHARACTERS} is the most"
            )
        return self._replace(text, marks.mark)

    def scrub(self, text: str) -> str:
        """
        Return a log line with every secret replaced by a mark without number.

        A line that is too long to search is cut at a space, since a log must not fail.
        """
        if len(text) > MAX_CHARACTERS:
            head = text[:MAX_CHARACTERS].rpartition(" ")[0]
            text = f"{head} … ({len(text) - len(head)} characters left out)"
        return self._replace(text, _unnumbered)

    def scrub_sure(self, text: str) -> str:
        """
        Return a word with only sure secrets replaced: it looks random by its nature.

        The signs are those of `scan`; what a known value is, is hidden all the same.
        """
        return self._replace(text, _unnumbered, sure=True)

    def scan(self, data: bytes) -> tuple[str, ...]:
        """
        Return the kinds of secret in bytes about to leave, () if there is none.

        Only sure signs count: known values, prefix rules, private keys, passwords in
        URLs. Every string in a JSON body is read as its receiver will read it, keys
        and repeated keys too; a body that is no JSON is read with escapes resolved.
        """
        found: dict[str, None] = {}
        for text in _texts(data):
            found.update((span.kind, None) for span in self._find(text, sure=True))
        return tuple(found)

    def _replace(
        self, text: str, mark: Callable[[str, str], str], *, sure: bool = False
    ) -> str:
        for _ in range(_MAX_PASSES):
            spans = self._find(text, sure=sure)
            if not spans:
                break
            pieces: list[str] = []
            position = 0
            for span in spans:
                secret = span.secret or text[span.start : span.end]
                pieces += text[position : span.start], mark(span.kind, secret)
                position = span.end
            text = "".join((*pieces, text[position:]))
        return text

    def _find(self, text: str, *, sure: bool) -> list[Span]:
        spans = list(self._detect(text, sure=sure))
        unescaped = Unescaped(text)
        if unescaped:
            spans += unescaped.back(self._detect(unescaped.text, sure=sure))
        if not spans:
            return []
        marked = self._marked(text)
        allowed = [m.span() for shape in self._allow for m in shape.finditer(text)]
        return merge(
            span
            for span in spans
            if not _touches(span, marked)
            and (
                span.rank == 0
                or not any(a <= span.start and span.end <= b for a, b in allowed)
            )
        )

    def _detect(self, text: str, *, sure: bool) -> Iterator[Span]:
        yield from self._known.find(text)
        for rank, rule in enumerate(self._rules, start=1):
            yield from rule.find(text, rank)
        for rank, detect in enumerate(_SURE, start=_SURE_RANK):
            yield from detect(text, rank)
        if not sure:
            for rank, detect in enumerate(_LIKELY, start=_LIKELY_RANK):
                yield from detect(text, rank)

    def _marked(self, text: str) -> list[tuple[int, int]]:
        """
        Return where marks stand; they are left alone.

        A text can come with something that only looks like a mark; its kind must
        not be a secret itself.
        """
        return [
            match.span()
            for match in pattern(MARK_RE).finditer(text)
            if match["kind"] in self._kinds
            or not any(self._detect(match["kind"], sure=True))
        ]


def _unnumbered(kind: str, _secret: str) -> str:
    return f"«SECRET:{kind}»"


def _touches(span: Span, regions: Sequence[tuple[int, int]]) -> bool:
    """Return whether a span overlaps one of these ordered, disjoint regions."""
    index = bisect_left(regions, span.end, key=lambda region: region[0]) - 1
    return index >= 0 and regions[index][1] > span.start


def _texts(data: bytes) -> Iterator[str]:
    """Yield the texts a receiver can read in these bytes."""
    try:
        body = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        body = data.decode("utf-8", "replace")
    try:
        value: object = json.loads(body, object_pairs_hook=list)
    except (ValueError, RecursionError):
        yield body
        yield _resolve(body)
        return
    waiting = [value]
    while waiting:
        item = waiting.pop()
        match item:
            case str(text):
                yield text
            case list() | tuple():
                waiting.extend(cast("Sequence[object]", item))
            case _:
                pass


def _resolve(text: str) -> str:
    """Return the text with JSON escapes resolved, though it is not valid JSON."""

    def character(match: re.Match[str]) -> str:
        if match["hex"]:
            return chr(int(match["hex"], 16))
        return {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}.get(
            match["one"], match["one"]
        )

    return re.sub(
        r"\\(?:u(?P<hex>[0-9A-Fa-f]{4})|(?P<one>[\"\\/bfnrt]))", character, text
    )
