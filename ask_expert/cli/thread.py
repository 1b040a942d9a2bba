"""`ask-expert thread`: conversations with experts."""

import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from ask_expert.cli import output
from ask_expert.cli.options import Handle, Home, Json, folder

app = typer.Typer(help="See and close conversations.", no_args_is_help=True)


@app.command("list")
def list_(
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many, last used first.")
    ] = 20,
    json: Json = False,
    home: Home = None,
) -> None:
    """List the threads with expert, turns, cost and last use."""
    from ask_expert.report import desk, threads

    with desk.opened(folder(home), os.environ) as open_desk:
        lines = threads.latest(open_desk.ledger, limit)
    if json:
        output.as_json([line.as_json() for line in lines])
    elif lines:
        output.table([line.cells() for line in lines], head=threads.HEAD)
    else:
        output.say("No thread is on record yet.")


@app.command()
def show(thread_id: Handle, json: Json = False, home: Home = None) -> None:
    """Show what was said in a thread; texts are masked, as stored."""
    from ask_expert.report import desk, threads

    with desk.opened(folder(home), os.environ) as open_desk:
        found = threads.in_full(open_desk.ledger, thread_id)
    if json:
        output.as_json(found.as_json())
        return
    for said in found.turns:
        output.title(said.headline())
        output.say(f"\n{said.question or 'The question is not stored.'}\n")
        if said.answer:
            output.title(f"Answer of {said.expert}")
            output.say(f"\n{said.answer}\n")
    output.say(threads.ending(found))


@app.command()
def close(thread_id: Handle, home: Home = None) -> None:
    """Close a thread: no later question continues it."""
    from ask_expert.budget import to_us
    from ask_expert.report import desk, threads

    now_us = to_us(datetime.now(UTC))
    with desk.opened(folder(home), os.environ) as open_desk:
        output.say(threads.close(open_desk.ledger, thread_id, now_us=now_us))
