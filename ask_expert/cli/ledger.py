"""`ask-expert ledger`: what is on record."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from ask_expert.cli import ledger_care, output, reconcile
from ask_expert.cli.options import Handle, Home, Json, as_utf8, folder

app = typer.Typer(help="See and keep what is on record.", no_args_is_help=True)
for _command in (
    ledger_care.migrate,
    ledger_care.check,
    ledger_care.compact,
    ledger_care.move,
    reconcile.reconcile,
):
    app.command()(_command)


@app.command("list")
def list_(
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many, newest first.")
    ] = 20,
    json: Json = False,
    home: Home = None,
) -> None:
    """List the latest questions with their tries and costs."""
    from ask_expert.report import desk, listing

    with desk.opened(folder(home), os.environ) as open_desk:
        lines = listing.latest(open_desk.ledger, limit)
    if json:
        output.as_json([line.as_json() for line in lines])
    elif lines:
        output.table([line.cells() for line in lines], head=listing.HEAD)
    else:
        output.say("No question is on record yet.")


@app.command()
def show(question_id: Handle, json: Json = False, home: Home = None) -> None:
    """Show everything on record of one question."""
    from ask_expert.report import desk, listing

    with desk.opened(folder(home), os.environ) as open_desk:
        found = listing.in_full(open_desk.ledger, question_id)
    if json:
        output.as_json(found)
    else:
        output.outline(found)


@app.command()
def changes(
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many, newest first.")
    ] = 20,
    json: Json = False,
    home: Home = None,
) -> None:
    """List who changed a token, a policy or a cap, when, from what to what."""
    from ask_expert.ledger import changes as rows
    from ask_expert.report import changes as lines
    from ask_expert.report import desk

    with desk.opened(folder(home), os.environ) as open_desk:
        found = rows.latest(open_desk.ledger, limit)
    if json:
        output.as_json([lines.as_json(each) for each in found])
    elif found:
        output.table([lines.cells(each) for each in found], head=lines.HEAD)
    else:
        output.say("No change is on record yet.")


@app.command()
def search(
    words: Annotated[
        list[str], typer.Argument(help="All must occur, in any case; quote a phrase.")
    ],
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many, newest first.")
    ] = 20,
    json: Json = False,
    home: Home = None,
) -> None:
    """Find past questions by words in them or in their answers."""
    from ask_expert.report import desk, finds

    plain = [as_utf8(word) for word in words]
    with desk.opened(folder(home), os.environ) as open_desk:
        try:
            found = finds.find(open_desk.ledger, plain, limit)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="WORDS") from error
    if json:
        output.as_json([each.as_json() for each in found])
    elif found:
        output.table([each.cells() for each in found], head=finds.HEAD)
    else:
        output.say("No question on record holds all of these words.")


@app.command()
def export(
    form: Annotated[
        Literal["jsonl", "csv"], typer.Option("--format", help="One line a try.")
    ] = "jsonl",
    file: Annotated[
        Path | None,
        typer.Option("--output", dir_okay=False, help="Default: standard output."),
    ] = None,
    schema: Annotated[
        Literal["duckdb", "spark"] | None,
        typer.Option(help="Write how this program reads an export, and no try."),
    ] = None,
    home: Home = None,
) -> None:
    """Write all tries with their questions; texts are masked."""
    from ask_expert.ledger import export as exports
    from ask_expert.report import desk

    if schema is not None:
        _write_schema(exports.schema(schema), file)
        return
    with desk.opened(folder(home), os.environ) as open_desk:
        if file is None:
            exports.write(open_desk.ledger, form, sys.stdout)
            return
        with output.private_file(file) as target:
            lines = exports.write(open_desk.ledger, form, target)
    output.complain(f"{lines} lines are in {file}.")


def _write_schema(text: str, file: Path | None) -> None:
    if file is None:
        sys.stdout.write(text)
        return
    with output.private_file(file) as target:
        target.write(text)
