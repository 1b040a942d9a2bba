"""Prefix rules: kinds of token that show what they are. They are data, in `rules.toml`."""

import functools
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ask_expert.redaction.entropy import has_three_classes
from ask_expert.redaction.spans import Span, pattern

_AFTER_ESCAPE = (
    r"(?<=\\[abfnrtv])|(?<=%[0-9A-Fa-f]{2})"
    r"|(?<=[\[;][0-9]m)|(?<=[\[;][0-9]{2}m)"
)
r"""A letter or digit that ends `\n`, `%22` or a terminal's colour begins no word."""

_BOUNDARIES = {
    "none": "",
    "word": rf"(?:(?<![A-Za-z0-9])|{_AFTER_ESCAPE})",
    "token": rf"(?:(?<![A-Za-z0-9_-])|{_AFTER_ESCAPE})",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixRule:
    """
    One kind of token.

    Attributes:
        name: The kind, as it stands in marks.
        keywords: One of these is in every text that holds such a token.
        source: The pattern; its group `secret`, or all of it, is masked.
        boundary: What must stand before it, a key of `_BOUNDARIES`.
        keyword_leads: Whether a token starts with its keyword; it is found faster.
        mixed: Whether a real one always has upper case, lower case and digits.
    """

    name: str
    keywords: tuple[str, ...]
    source: str
    boundary: str = "word"
    keyword_leads: bool = True
    mixed: bool = False

    def find(self, text: str, rank: int) -> Iterator[Span]:
        """Yield the tokens of this kind."""
        group = "secret" if "(?P<secret>" in self.source else 0
        for keyword in self.keywords:
            if keyword not in text:
                continue
            done = 0
            for first in self._firsts(text, keyword):
                match = first if first.start() >= done else None
                while match:
                    if not self.mixed or has_three_classes(match[group]):
                        yield Span(*match.span(group), self.name, rank)
                    done = match.end()
                    # One token right behind another has no boundary before it.
                    match = pattern(self.source).match(text, done)

    def _firsts(self, text: str, keyword: str) -> Iterator[re.Match[str]]:
        """Yield matches behind a boundary; where the keyword leads, only it is tried."""
        anchored = pattern(_BOUNDARIES[self.boundary] + self.source)
        if not self.keyword_leads:
            yield from anchored.finditer(text)
            return
        position = text.find(keyword)
        while position >= 0:
            match = anchored.match(text, position)
            if match:
                yield match
            position = text.find(keyword, match.end() if match else position + 1)


@functools.cache
def prefix_rules() -> tuple[PrefixRule, ...]:
    """Read the rules shipped with the package, once."""
    data = Path(__file__).with_name("rules.toml").read_bytes()
    return tuple(
        PrefixRule(
            name=rule["name"],
            keywords=tuple(rule["keywords"]),
            source=rule["pattern"],
            boundary=rule.get("boundary", "word"),
            keyword_leads=rule.get("keyword_leads", True),
            mixed=rule.get("mixed", False),
        )
        for rule in tomllib.loads(data.decode())["rule"]
    )
