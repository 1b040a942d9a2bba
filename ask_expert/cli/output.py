"""Print for people and for pipes; nothing that is printed can steer a terminal."""

import contextlib
import json
import os
import stat
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TextIO, cast

from ask_expert.errors import ConfigError

_TAB = 9
_NEWLINE = 10
_SPACE = 32
_DELETE = 127
_LAST_C1 = 159
_ESCAPES = {code: f"\\u{code:04x}" for code in range(_DELETE, _LAST_C1 + 1)}


def safe(text: str) -> str:
    """Show control characters instead of obeying them: an answer may hold some."""
    return "".join(map(_shown, text.replace("\r\n", "\n")))


def say(text: str = "") -> None:
    """Print one text to standard output."""
    sys.stdout.write(f"{safe(text)}\n")


def complain(text: str) -> None:
    """Print one text to standard error."""
    sys.stderr.write(f"{safe(text)}\n")


def title(text: str) -> None:
    """Print a heading; bold on a terminal."""
    if not sys.stdout.isatty():
        say(text)
        return
    from rich.console import Console

    Console().print(safe(text), style="bold", markup=False, highlight=False)


def table(rows: Sequence[Sequence[str]], *, head: Sequence[str] = ()) -> None:
    """Print rows in columns; plain and unwrapped where nobody is looking."""
    if not sys.stdout.isatty():
        _columns([head, *rows] if head else rows)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, show_header=bool(head), pad_edge=False, header_style="bold")
    for number in range(max((len(row) for row in [head, *rows]), default=0)):
        drawn.add_column(head[number] if number < len(head) else "", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(safe(cell)) for cell in row))
    Console().print(drawn)


def as_json(value: object) -> None:
    """Print one JSON document; what could steer a terminal is escaped in it."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    sys.stdout.write(f"{text.translate(_ESCAPES)}\n")


def outline(value: Mapping[str, object], depth: int = 0) -> None:
    """Print a nested document with what it holds; empty parts are left out."""
    indent = "  " * depth
    for name, each in value.items():
        if each is None or each in ("", [], {}):
            continue
        if isinstance(each, Mapping):
            say(f"{indent}{name}:")
            outline(cast("Mapping[str, object]", each), depth + 1)
        elif isinstance(each, list):
            for number, item in enumerate(cast("list[object]", each), 1):
                say(f"{indent}{name} {number}:")
                outline(cast("Mapping[str, object]", item), depth + 1)
        else:
            text = str(each).replace("\n", f"\n{indent}  ")
            say(f"{indent}{name}: {text}")


@contextlib.contextmanager
def private_file(path: Path) -> Generator[TextIO]:
    """
    Open a file for writing that only its user may read; its folder is made.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            if os.name == "posix" and stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.fchmod(descriptor, 0o600)
            yield file
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", file=path) from error


def _columns(rows: Iterable[Sequence[str]]) -> None:
    lines = [[safe(cell).replace("\n", " ") for cell in row] for row in rows]
    width: dict[int, int] = {}
    for line in lines:
        for number, cell in enumerate(line):
            width[number] = max(width.get(number, 0), len(cell))
    for line in lines:
        cells = (cell.ljust(width[number]) for number, cell in enumerate(line))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _shown(char: str) -> str:
    code = ord(char)
    if code in {_TAB, _NEWLINE}:
        return char
    if code < _SPACE or _DELETE <= code <= _LAST_C1:
        return f"\\x{code:02x}"
    return char
