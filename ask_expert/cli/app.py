"""
The commands, their errors, and nothing else.

A command imports what it runs when it runs: `--help` answers at once.
"""

import contextlib
import sys
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ask_expert.cli import ledger, output
from ask_expert.cli.report import report
from ask_expert.errors import AskExpertError


class _Group(TyperGroup):
    """Turns our errors into one sentence and exit status 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except AskExpertError as error:
            output.complain(f"ask-expert: {error}")
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=_Group,
    name="ask-expert",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        output.say(f"ask-expert {version('ask-expert')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_print_version,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """Ask a stronger model for help when a local one is stuck, within a budget."""


app.command()(report)
app.add_typer(ledger.app, name="ledger")


def run() -> int:
    """Run the command line and return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BrokenPipeError:
        # Whoever read the pipe has seen enough; the interpreter's own flush at
        # the end must not complain either.
        with contextlib.suppress(OSError):
            sys.stdout.close()
        return 0
    return 0
