"""Values given to a secret-named key: in code, .env, YAML, JSON, flags, prose."""

import re
from collections.abc import Iterator

from ask_expert.redaction.spans import Span, pattern
from ask_expert.redaction.values import (
    has_letters_and_digits,
    is_code,
    is_name,
    is_opaque,
    is_placeholder,
)

_CHOSEN_RE = r"passw(?:or)?d|passphrase|passcode"
_ISSUED_RE = (
    r"secret|token|api[_. -]?key|access[_-]?key|private[_-]?key|account[_-]?key"
    r"|signing[_-]?key|encryption[_-]?key|shared[_-]?key|subscription[_-]?key"
    r"|secret[_-]?key|credentials?"
)
_KEY_RE = (
    rf"(?:(?i:{_CHOSEN_RE}|{_ISSUED_RE})"
    r"|(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))(?i:pass|pwd|psk|auth)"
    r"|(?<=[a-z_-])(?:_key|-key|Key|_KEY|_PAT))[0-9]{0,2}"
)
_QUOTED_RE = (
    r"[bBuUrR]{0,2}(?:\\{0,3}\"(?P<double>[^\"\r\n]{4,400})\""
    r"|\\{0,3}'(?P<single>[^'\r\n]{4,400})'|`(?P<back>[^`\r\n]{4,400})`)"
)
_RAW_RE = r"(?P<raw>[^\s\"'`,;&(){}\[\]<>|\\«»]{4,400})(?P<after>[(\[{<\"'`]?)"
_ASSIGNMENT_RE = (
    rf"(?P<key>{_KEY_RE})(?P<close>\\{{0,3}}[\"'`]?\]?)"
    rf"(?P<separator>[ \t]{{0,8}}(?:=>|:=|==|=|:)[ \t]{{0,8}})(?:{_QUOTED_RE}|{_RAW_RE})"
)
_ENV_RE = (
    r"(?m:^)[ \t]{0,16}(?:(?:export|set|ENV|ARG|setx)[ \t]{1,4}|- |\+)?[\"']?"
    r"(?P<name>[A-Z][A-Z0-9_]{1,80})=(?P<value>[^\r\n\"'`«»]{4,400})"
)
_FLAG_RE = (
    r"--(?:[a-z]{1,20}-){0,3}(?:password|passwd|pass|token|secret|api-key|key)"
    r"[ \t]{1,4}[\"']?(?P<value>[^\s\"'`\\«»]{6,400})"
)
_PROSE_RE = (
    r"\b(?i:password|passphrase|passwd|secret|token|api key|key)"
    r" (?:is|was|to)[ \t]{1,4}[\"'`]?(?P<value>[^\s\"'`«»]{8,400})"
)
_SHORTEST_PASSWORD = 6
_LINE_END_RE = r"[ \t]{0,40}(?:#|\r|\n|$)"
_CALL_RE = r"[A-Za-z_][A-Za-z0-9_.]{0,80}\("
_CHARACTER_KINDS = 3
_SHORTEST_TOKEN = 8
_SHORTEST_KEY = 16
"""A bare `key` is so often a dictionary's that only a long value counts."""

_ENV_NAMES = {"KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASS", "PWD", "PAT"}
_BARE_KEYS = {"key", "_key", "-key"}
_QUOTES = ("double", "single", "back")


def find(text: str, rank: int) -> Iterator[Span]:
    """Yield values of secret-named keys, careful not to touch program text."""
    for match in pattern(_ASSIGNMENT_RE).finditer(text):
        yield from _assigned(match, rank)
    for match in pattern(_ENV_RE).finditer(text):
        value = match["value"].rstrip()
        if _is_env_secret(match["name"], value):
            start = match.start("value")
            yield Span(start, start + len(value), "assigned_secret", rank)
    for match in pattern(_FLAG_RE).finditer(text):
        if is_opaque(match["value"], least=_SHORTEST_PASSWORD):
            yield Span(*match.span("value"), "assigned_secret", rank)
    for match in pattern(_PROSE_RE).finditer(text):
        value = match["value"].rstrip(".,;:!?)")
        if (
            is_opaque(value, least=_SHORTEST_TOKEN)
            and _kinds_of_character(value) >= _CHARACTER_KINDS
        ):
            start = match.start("value")
            yield Span(start, start + len(value), "assigned_secret", rank)


def _assigned(match: re.Match[str], rank: int) -> Iterator[Span]:
    key = match["key"].lower()
    is_pass = key.startswith(("passw", "passp", "passc", "pwd", "pass"))
    kind = "password" if is_pass else "assigned_secret"
    for group in _QUOTES:
        if match[group] is not None:
            value = match[group].rstrip("\\")
            if _is_quoted_secret(key, value, is_pass=is_pass):
                start = match.start(group)
                yield Span(start, start + len(value), kind, rank)
            return
    if not match["after"] and _is_raw_secret(match, is_pass=is_pass):
        yield Span(*match.span("raw"), kind, rank)


def _is_quoted_secret(key: str, value: str, *, is_pass: bool) -> bool:
    if is_placeholder(value):
        return False
    if any(character.isspace() for character in value):
        return key.startswith("passphrase")
    if is_pass:
        return not is_code(value)
    if key.startswith("secret"):
        return (
            len(value) >= _SHORTEST_TOKEN
            and not is_code(value)
            and not _is_words(value)
        )
    return is_opaque(
        value, least=_SHORTEST_KEY if key in _BARE_KEYS else _SHORTEST_TOKEN
    )


def _is_raw_secret(match: re.Match[str], *, is_pass: bool) -> bool:
    """Judge an unquoted value, which may be a variable's name or a type."""
    value = match["raw"]
    if is_placeholder(value.rstrip("0123456789")) or is_code(value):
        return False
    if match["separator"].strip() == "==":
        return False
    if not is_pass:
        return is_opaque(value, least=_SHORTEST_TOKEN)
    if pattern(_LINE_END_RE).match(match.string, match.end()):
        return _is_line_password(value, is_yaml=match["separator"].startswith(":"))
    return is_opaque(value, least=_SHORTEST_PASSWORD)


def _is_line_password(value: str, *, is_yaml: bool) -> bool:
    """
    Judge an unquoted password that ends its line.

    In YAML even a lower-case word of 8 letters counts; with `=` it is too often a
    variable, so there it takes digits or marks.
    """
    if not is_yaml:
        is_value = not is_name(value) or _has_both(value)
        return len(value) >= _SHORTEST_PASSWORD and is_value
    if is_name(value[:1].lower() + value[1:]):
        return len(value) >= _SHORTEST_TOKEN and value.islower() and "_" not in value
    return True


def _is_env_secret(name: str, value: str) -> bool:
    """An environment file holds literals, so every value counts that is no stand-in."""
    if name.rpartition("_")[2] not in _ENV_NAMES or is_placeholder(value):
        return False
    if any(character.isspace() for character in value) or is_code(value):
        return False
    return len(value) >= _SHORTEST_PASSWORD and not pattern(_CALL_RE).match(value)


def _is_words(value: str) -> bool:
    return "_" in value and is_name(value)


def _has_both(value: str) -> bool:
    return has_letters_and_digits(value) and "_" not in value


def _kinds_of_character(value: str) -> int:
    shapes = ("[A-Z]", "[a-z]", "[0-9]", "[^A-Za-z0-9]")
    return sum(pattern(shape).search(value) is not None for shape in shapes)
