"""
The commands, their errors, and nothing else.

A command imports what it runs when it runs: `--help` answers at once.
"""

import os
import sys
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ask_expert.cli import (
    experts,
    key,
    ledger,
    local,
    output,
    policy,
    templates,
    thread,
    token,
)
from ask_expert.cli.ask import ask
from ask_expert.cli.assess import assess
from ask_expert.cli.calibrate import calibrate
from ask_expert.cli.demo import demo
from ask_expert.cli.doctor import doctor
from ask_expert.cli.init import init
from ask_expert.cli.outcome import approve, outcome
from ask_expert.cli.prices import prices
from ask_expert.cli.replay import replay
from ask_expert.cli.report import report
from ask_expert.cli.serve_command import serve
from ask_expert.errors import AskExpertError


class _Group(TyperGroup):
    """Turns our errors into one sentence and exit status 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except AskExpertError as error:
            from ask_expert.redaction.plain import without_secrets

            output.complain(f"ask-expert: {without_secrets(str(error))}")
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=_Group,
    name="ask-expert",
    invoke_without_command=True,
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
    context: typer.Context,
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
    del version
    if context.invoked_subcommand is None:
        output.say(context.get_help())


_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

app.command(context_settings=_PASSED_ON, add_help_option=False)(serve)
app.command()(ask)
app.command()(assess)
app.command()(report)
app.command()(outcome)
app.command()(approve)
app.add_typer(ledger.app, name="ledger")
app.add_typer(thread.app, name="thread")
app.add_typer(experts.app, name="experts")
app.command()(prices)
app.command()(calibrate)
app.command()(replay)
app.add_typer(policy.app, name="policy")
app.add_typer(templates.app, name="templates")
app.add_typer(key.app, name="key")
app.add_typer(token.app, name="token")
app.add_typer(local.app, name="local")
app.command()(doctor)
app.command()(init)
app.command()(demo)


def run() -> int:
    """Run the command line and return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="ask-expert")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the pipe is gone; the interpreter's own flush at the end must
        # not complain (docs.python.org/3/library/signal.html#note-on-sigpipe).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status
