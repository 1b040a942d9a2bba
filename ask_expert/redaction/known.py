"""Known secrets: literal values, in every form in which they commonly travel."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

from ask_expert.redaction.spans import Span

_SECRET_NAMES = {"KEY", "TOKEN", "SECRET", "PASSWORD", "PASS"}
_MIN_LENGTH = 8
_TAIL_RE = r"[A-Za-z0-9+/_-]?={0,2}"


def secret_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """
    Return the variables whose value is a secret, judged by their name.

    The name's last `_` part must be KEY, TOKEN, SECRET, PASSWORD or PASS. Values
    under 8 characters would mask ordinary words; a path to a secret is none.
    """
    return {
        name: value
        for name, value in environ.items()
        if name.rpartition("_")[2].upper() in _SECRET_NAMES
        and len(value.strip()) >= _MIN_LENGTH
        and not _is_path(value)
    }


def _is_path(value: str) -> bool:
    try:
        return Path(value).exists()
    except (OSError, ValueError):  # too long, or holds a NUL: no path
        return False


class KnownSecrets:
    """
    Finds known values as they are, percent-encoded, in JSON strings and in base64.

    Values under 8 characters are left out: masking them would mask ordinary words.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        """
        Work out the forms.

        Args:
            values: Kind → value; a kind may hold ASCII letters, digits and `_`.
        """
        self._forms: dict[str, tuple[str, str, re.Pattern[str]]] = {}
        for name, value in values.items():
            kind = re.sub(r"[^A-Za-z0-9_]", "_", name)[:60]
            kind = kind if kind[:1].isalpha() else f"k{kind}"
            secret = value.strip()
            if len(secret) < _MIN_LENGTH:
                continue
            for form in _literal_forms(secret):
                shape = re.compile(re.escape(form))
                self._forms.setdefault(form, (kind, secret, shape))
            for form in _base64_forms(secret):
                shape = re.compile(re.escape(form) + _TAIL_RE)
                self._forms.setdefault(form, (kind, secret, shape))

    @property
    def kinds(self) -> set[str]:
        """The kinds under which findings are reported."""
        return {kind for kind, _, _ in self._forms.values()}

    def find(self, text: str) -> Iterator[Span]:
        """Yield every place where a form of a known value stands."""
        for form, (kind, secret, shape) in self._forms.items():
            if form in text:
                for match in shape.finditer(text):
                    yield Span(match.start(), match.end(), kind, 0, secret)


def _literal_forms(secret: str) -> set[str]:
    data = secret.encode("utf-8", "surrogatepass")
    percent = {quote(data, safe=""), quote(data, safe="/"), quote_plus(data)}
    lower = {re.sub("%[0-9A-F]{2}", lambda m: m[0].lower(), form) for form in percent}
    quoted = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    slashed = {form.replace("/", "\\/") for form in quoted}
    twice = {json.dumps(form)[1:-1] for form in quoted}
    return {secret} | percent | lower | quoted | slashed | twice


def _base64_forms(secret: str) -> Iterator[str]:
    """
    Yield the characters that depend on the secret alone, at all three alignments.

    So the secret is also found inside a longer encoded text such as `user:secret`.
    """
    data = secret.encode("utf-8", "surrogatepass")
    for lead, skip in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(b"\0" * lead + data).decode()
        whole = (lead + len(data)) * 8 // 6
        core = encoded[skip:whole]
        yield core
        yield core.replace("+", "-").replace("/", "_")
