"""`ask-expert policy`: see, check and compare policies."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ask_expert.cli import output
from ask_expert.cli.options import Home, Json, folder

app = typer.Typer(help="See, check and compare policies.", no_args_is_help=True)


@app.command("list")
def list_(home: Home = None) -> None:
    """List the presets."""
    from ask_expert.report import policies

    del home
    output.table(policies.presets_with_summaries())


@app.command()
def show(name: str, home: Home = None) -> None:
    """Show a preset or a policy file, comments and all."""
    from ask_expert.report import policies

    del home
    output.say(policies.text(name, folder=Path.cwd()).rstrip("\n"))


@app.command()
def check(file_or_name: str, home: Home = None) -> None:
    """Report what in a policy is wrong or can have no effect."""
    from ask_expert.report import policies

    findings = policies.findings(
        file_or_name, folder=Path.cwd(), home=folder(home), environ=os.environ
    )
    output.table([(each.severity, each.rule, each.message) for each in findings])
    if not findings:
        output.say(f"{file_or_name}: every rule and budget can have an effect.")
    if any(each.severity == "error" for each in findings):
        raise typer.Exit(1)


@app.command()
def replay(
    names: Annotated[
        list[str] | None, typer.Argument(help="Presets or files; default: all presets.")
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="JSON lines of {id, text, facts}."),
    ] = None,
    ledger: Annotated[
        bool, typer.Option("--ledger", help="Replay the questions on record instead.")
    ] = False,
    json: Json = False,
    home: Home = None,
) -> None:
    """Show which policy decides what on the same questions, and by which rule."""
    from ask_expert.report import policies

    if ledger:
        table = policies.replayed_from_ledger(
            names or [], folder=Path.cwd(), home=folder(home), environ=os.environ
        )
    else:
        table = policies.replayed(names or [], questions=questions, folder=Path.cwd())
    if json:
        output.as_json(policies.replay_json(table))
        return
    head, *rows = policies.replay_cells(table)
    output.table(rows, head=head)
    output.title("\nWhere they part, by which rules")
    for difference in table.differences():
        output.say(str(difference))
