"""Options that several commands share."""

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
