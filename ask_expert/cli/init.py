"""`ask-expert init`: write a settings file to start from."""

from importlib.resources import files
from typing import Annotated

import typer

from ask_expert.cli import output
from ask_expert.cli.options import Home, folder


def init(
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that is there.")
    ] = False,
    home: Home = None,
) -> None:
    """Write a commented settings file to start from."""
    from ask_expert.errors import ConfigError
    from ask_expert.settings_file import FILE_NAME

    path = folder(home) / FILE_NAME
    if path.exists() and not force:
        raise ConfigError("is there already; --force replaces it", file=path)
    template = files("ask_expert.cli") / "settings_template.yaml"
    with output.private_file(path) as file:
        file.write(template.read_text(encoding="utf-8"))
    output.say(f"{path} is written; edit it, then run `ask-expert doctor`.")
