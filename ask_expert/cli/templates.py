"""`ask-expert templates`: what an expert is told, and replacing it."""

from typing import Annotated

import typer

from ask_expert.cli import output
from ask_expert.cli.options import Home, Json, folder
from ask_expert.experts import templates

app = typer.Typer(help="See and replace what an expert is told.")

KindArgument = Annotated[
    templates.Kind, typer.Argument(help="What the expert is asked for.")
]


@app.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """List the templates, unless a command is given."""
    if context.invoked_subcommand is None:
        list_()


@app.command("list")
def list_(json: Json = False, home: Home = None) -> None:
    """List the templates: kind, name on the ledger, and where each comes from."""
    found = templates.every(folder(home))
    if json:
        output.as_json(
            [
                {"kind": kind, "name": each.name, "file": each.file and str(each.file)}
                for kind, each in found.items()
            ]
        )
        return
    output.table(
        [
            (kind, each.name, str(each.file or "shipped"))
            for kind, each in found.items()
        ],
        head=("kind", "name", "from"),
    )


@app.command()
def show(kind: KindArgument, home: Home = None) -> None:
    """Show a template, its first line with name and version included."""
    output.say(templates.load(kind, folder(home)).source.rstrip("\n"))


@app.command()
def copy(kind: KindArgument, home: Home = None) -> None:
    """Copy a shipped template into the home folder, to be edited there."""
    path = templates.copy(kind, folder(home))
    output.say(f"{path} is written; what it says is sent from the next question on.")
