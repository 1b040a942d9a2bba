"""Options that several commands share."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from ask_expert.home import expanded, home_folder

Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        file_okay=False,
        help="Folder of settings and ledger; default: $ASK_EXPERT_HOME.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

Since = Annotated[
    str | None,
    typer.Option(help="From when on: 24h, 7d, 2026-11-01 or an ISO instant."),
]


def as_utf8(text: str) -> str:
    """Replace the bytes of an argument that are no text: no database takes them."""
    return text.encode("utf-8", "replace").decode()


Handle = Annotated[str, typer.Argument(callback=as_utf8)]


def since_us(since: str | None, now: datetime) -> int:
    """
    Return the instant that `--since` names, microseconds since 1970; 0 when absent.

    Raises:
        BadParameter: It names none.
    """
    from ask_expert.budget import to_us
    from ask_expert.report import since as times

    try:
        return to_us(times.parse(since, now)) if since else 0
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from error


def folder(home: Path | None) -> Path:
    """Return the home folder that a command works with."""
    return home_folder() if home is None else expanded(home).absolute()


def text_or_file(text: str | None) -> str | None:
    """
    Return the text itself, a file's for `@FILE`, standard input's for `-`.

    Raises:
        BadParameter: The file cannot be read.
    """
    if text == "-":
        return sys.stdin.buffer.read().decode("utf-8", "replace")
    if text is None or not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_bytes().decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{text[1:]!r} cannot be read: {error}") from error
