"""Options that several commands share."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ask_expert.settings import home_folder

Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        file_okay=False,
        help="Folder of settings and ledger; default: $ASK_EXPERT_HOME.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def folder(home: Path | None) -> Path:
    """Return the home folder that a command works with."""
    return home_folder() if home is None else home.expanduser().absolute()


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
