"""Secrets known by the shape around them: key blocks, URLs, headers, netrc."""

from collections.abc import Iterator

from ask_expert.redaction.spans import Span, pattern
from ask_expert.redaction.values import is_opaque, is_placeholder

_PEM_BEGIN_RE = r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_PEM_END_RE = r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_PEM_LINE_RE = (
    r"(?:[\s>#|\"'+,:*]|\\{1,4}[nrt]){0,80}"
    r"(?:[A-Z][A-Za-z-]{2,20}: [^\r\n\\\"«]{0,120}|[A-Za-z0-9+/=]{16,})"
)
_PEM_LAST_RE = (
    r"(?:[\s>#|\"'+,]|\\{1,4}[nrt]){0,80}(?=[a-z]{0,16}[A-Z0-9+/=])"
    r"[A-Za-z0-9+/]{1,16}={0,2}(?=[\r\n\\\"']|$)"
)
_PEM_BODY_RE = r"[A-Za-z0-9+/]{16}"
_PEM_MAX = 65_536

_URL_RE = (
    r"://[^\s/?#@:\"'`<>«»\\]{0,200}:(?P<secret>[^\s/?#\"'`<>«»\\]{1,256})@(?=[^\s@])"
)
_URL_USER_RE = r"://(?P<secret>[A-Za-z0-9_.~-]{20,256})@(?=[A-Za-z0-9\[])"

_AUTHORIZATION_RE = (
    r"(?i:authorization)[\"'`]?\s{0,4}[:=,]\s{0,4}[bfru]?\\{0,2}[\"'`]?"
    r"(?:(?i:bearer|basic|token|digest|api-?key|key|negotiate|splunk)[ \t]{1,4})?"
    r"(?P<secret>[^\s\"'`,;<>{}()\[\]«»\\]{8,8192})"
)
_BEARER_RE = r"\b(?i:bearer)[ \t]{1,4}(?P<secret>[A-Za-z0-9._~+/=-]{16,8192})"
_COOKIE_RE = (
    r"\b(?i:set-)?(?i:cookie)2?[\"'`]?[ \t]{0,4}:[ \t]{0,4}\\{0,2}[\"'`]?"
    r"(?P<secret>[A-Za-z0-9_.$-]{1,100}=[^\r\n\"'`«»\\]{8,8192})"
)
_NETRC_RE = (
    r"\b(?:machine[ \t]{1,8}\S{1,200}|default)\s{1,20}login\s{1,20}\S{1,200}"
    r"\s{1,20}(?:account\s{1,20}\S{1,200}\s{1,20})?password\s{1,20}"
    r"(?P<secret>[^\s«»]{3,256})"
)
_CURL_USER_RE = (
    r"\s(?:-u|--user|--proxy-user)[ =]?[\"']?[^\s:\"'`«]{1,64}:"
    r"(?P<secret>[^\s\"'`«»]{4,256})"
)


def private_keys(text: str, rank: int) -> Iterator[Span]:
    r"""
    Yield PEM private keys, also `\n`-escaped, quoted line by line, or cut off.

    A begin line without key material after it is program text and stays.
    """
    begins = (
        list(pattern(_PEM_BEGIN_RE).finditer(text)) if "PRIVATE KEY" in text else []
    )
    if not begins:
        return
    ends = [match.end() for match in pattern(_PEM_END_RE).finditer(text)]
    limits = [match.start() for match in begins[1:]] + [len(text)]
    at = 0
    for begin, limit in zip(begins, limits, strict=True):
        while at < len(ends) and ends[at] < begin.end():
            at += 1
        end = ends[at] if at < len(ends) and ends[at] <= limit else None
        if end is None or end - begin.start() > _PEM_MAX:
            end = _end_of_lines(text, begin.end(), limit)
        if pattern(_PEM_BODY_RE).search(text, begin.end(), end):
            yield Span(begin.start(), end, "private_key", rank)


def _end_of_lines(text: str, position: int, limit: int) -> int:
    """Return where the lines that look like key material stop."""
    while line := pattern(_PEM_LINE_RE).match(text, position, limit):
        position = line.end()
    last = pattern(_PEM_LAST_RE).match(text, position, limit)
    return last.end() if last else position


def url_credentials(text: str, rank: int) -> Iterator[Span]:
    """Yield the password in `scheme://user:password@host`, or a token in its place."""
    if "://" not in text or "@" not in text:
        return
    for match in pattern(_URL_RE).finditer(text):
        if not is_placeholder(match["secret"]):
            yield Span(*match.span("secret"), "url_password", rank)
    for match in pattern(_URL_USER_RE).finditer(text):
        if is_opaque(match["secret"], least=20):
            yield Span(*match.span("secret"), "url_token", rank)


def headers(text: str, rank: int) -> Iterator[Span]:
    """Yield credentials in Authorization and Cookie headers, raw or as program text."""
    lower = text.lower()
    if "authorization" in lower:
        for match in pattern(_AUTHORIZATION_RE).finditer(text):
            value = match["secret"]
            if is_opaque(value, least=8) and not value.startswith("AWS4-"):
                yield Span(*match.span("secret"), "authorization", rank)
    if "bearer" in lower:
        for match in pattern(_BEARER_RE).finditer(text):
            if is_opaque(match["secret"], least=16):
                yield Span(*match.span("secret"), "authorization", rank)
    if "cookie" in lower:
        for match in pattern(_COOKIE_RE).finditer(text):
            value = match["secret"].partition("=")[2]
            if not is_placeholder(value) and pattern("[0-9]").search(value):
                yield Span(*match.span("secret"), "cookie", rank)


def logins(text: str, rank: int) -> Iterator[Span]:
    """Yield passwords of `.netrc` entries and of curl's `-u user:password`."""
    if "login" in text and "password" in text:
        for match in pattern(_NETRC_RE).finditer(text):
            if not is_placeholder(match["secret"]):
                yield Span(*match.span("secret"), "netrc_password", rank)
    if "curl" in text:
        for match in pattern(_CURL_USER_RE).finditer(text):
            if not is_placeholder(match["secret"]):
                yield Span(*match.span("secret"), "password", rank)
