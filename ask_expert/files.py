"""
Files that an agent asks to send along: read, or left out with the reason.

A file must lie inside the client's working folder or a folder that the settings
allow, after every link is resolved; keys, `.env`, `.git` and binaries never leave.
"""

import os
import re
import stat
from collections.abc import Sequence
from fnmatch import fnmatch
from itertools import accumulate, pairwise
from pathlib import Path

from ask_expert.question import Attachment

_LINES = re.compile(r"(?P<path>.+):(?P<first>\d{1,9})(?:-(?P<last>\d{1,9}))?")
_NEVER_FILES = (
    ".env*",
    "*.env",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.tfstate*",
    "*.gpg",
    "*.age",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".git-credentials",
    ".htpasswd",
    "credentials",
    "credentials.json",
    "kubeconfig",
    "secrets.*",
    "hosts.yml",
    "*_history",
    ".vault-token",
    "*.ppk",
    ".boto",
    ".s3cfg",
    "application_default_credentials.json",
)
_NEVER_FOLDERS = {".git", ".ssh", ".aws", ".gnupg", ".kube", ".docker", ".azure"}
_NEVER_CONFIGURATION = {"gh", "gcloud"}
"""Folders of `.config` that hold tokens."""


def read_files(
    paths: Sequence[str], *, project: Path, folders: Sequence[Path], max_bytes: int
) -> tuple[Attachment, ...]:
    """
    Read files for a question.

    Args:
        paths: As the agent named them; `path:10-80` takes lines 10 to 80.
        project: The client's working folder.
        folders: Further folders that the user allows.
        max_bytes: Most bytes of all files together.

    Returns:
        One attachment a path, in order; one that cannot be sent says why.
    """
    working = _real(project)
    roots = [root for folder in folders if (root := _root(folder)) is not None]
    if not _is_everything(working):
        roots.append(working)
    left = max_bytes
    found: list[Attachment] = []
    for path in paths:
        attachment = _read(path, project=working, roots=roots, max_bytes=left)
        left -= len((attachment.text or "").encode(errors="surrogatepass"))
        found.append(attachment)
    return tuple(found)


def _is_everything(folder: Path) -> bool:
    """Return whether a folder is no project but holds the whole disk or home."""
    home = _root(Path("~"))
    return folder == Path(folder.anchor) or (
        home is not None and home.is_relative_to(folder)
    )


def _root(folder: Path) -> Path | None:
    """Return where a folder really lies; None where nobody has that home folder."""
    try:
        return _real(folder)
    except RuntimeError:
        return None


def _real(path: Path) -> Path:
    """Return where a path really lies; `~nobody` is a RuntimeError."""
    return Path(os.path.realpath(path.expanduser()))


def _read(
    named: str, *, project: Path, roots: Sequence[Path], max_bytes: int
) -> Attachment:
    try:
        path, first, last = _split(named)
        real = _located(path, project=project, roots=roots)
        data = _bytes(real, max_bytes)
        text = _lines(data, first, last)
    except _LeftOutError as reason:
        return Attachment(path=repr(named)[1:-1], left_out=str(reason))
    except OSError as error:
        return Attachment(path=named, left_out=error.strerror or str(error))
    if len(text.encode()) > max_bytes:
        return Attachment(path=named, left_out=_too_large(text, first or 1, max_bytes))
    return Attachment(path=named, text=text)


def _too_large(text: str, first: int, max_bytes: int) -> str:
    """
    Say that a text does not fit, and which of its lines would.

    The path stays out of it: it is masked by whoever reads the reason beside it.
    """
    size = f"is too large: {len(text.encode()):,} bytes, {max_bytes:,} are left"
    sizes = (len(line.encode()) for line in text.splitlines(keepends=True))
    fitting = sum(1 for total in accumulate(sizes) if total <= max_bytes)
    if not fitting:
        return f"{size}, and its line {first} alone does not fit; paste what matters"
    lines = f"{first}-{first + fitting - 1}"
    return f"{size}; name the lines that matter: `path:{lines}` would fit"


def shown(named: str) -> str:
    """Return a file as replies call it, e.g. `a.py (lines 10-80)` for `a.py:10-80`."""
    path, first, last = _split(named)
    if first is None:
        return path
    return (
        f"{path} (line {first})" if last == first else f"{path} (lines {first}-{last})"
    )


class _LeftOutError(Exception):
    """A file stays here; the text says why."""


def _located(path: str, *, project: Path, roots: Sequence[Path]) -> Path:
    if "\0" in path or not path.strip():
        raise _LeftOutError("is no path")
    try:
        real = _real(project / Path(path).expanduser())
    except (RuntimeError, ValueError):  # no such user; characters no path can hold
        raise _LeftOutError("is no path") from None
    if not any(real.is_relative_to(root) for root in roots):
        raise _LeftOutError(
            "lies outside the working folder; paste the lines that matter"
        )
    if _is_secret(real) or _is_secret(project / path):
        raise _LeftOutError("is a file that never leaves")
    return real


def _lines(data: bytes, first: int | None, last: int | None) -> str:
    if b"\0" in data:
        raise _LeftOutError("is a binary file")
    text = data.decode(errors="replace")
    if first is None:
        return text
    lines = text.splitlines(keepends=True)[first - 1 : last]
    if not lines:
        raise _LeftOutError("has no such lines")
    return "".join(lines)


def _split(named: str) -> tuple[str, int | None, int | None]:
    match = _LINES.fullmatch(named)
    if match is None:
        return named, None, None
    first = max(1, int(match["first"]))
    last = int(match["last"]) if match["last"] else first
    return match["path"], first, last


def _is_secret(path: Path) -> bool:
    name = path.name.lower()
    folders = [part.lower() for part in path.parts[:-1]]
    return (
        not _NEVER_FOLDERS.isdisjoint(folders)
        or any(
            above == ".config" and folder in _NEVER_CONFIGURATION
            for above, folder in pairwise(folders)
        )
        or any(fnmatch(name, pattern) for pattern in _NEVER_FILES)
    )


_READ_AT_MOST = 16_000_000


def _bytes(real: Path, max_bytes: int) -> bytes:
    """Read a regular file by descriptor, so that a swapped link is not followed."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(real, flags)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(None, "is no regular file")
        opened = Path(f"/proc/self/fd/{descriptor}")
        if opened.exists() and _real(opened) != real:
            raise OSError(None, "changed while it was read")
        return file.read(max(_READ_AT_MOST, max_bytes))
