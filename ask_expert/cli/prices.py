"""`ask-expert prices`: what a model costs, and by which list."""

import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from ask_expert.cli import output
from ask_expert.cli.options import Home, Json, folder
from ask_expert.settings import Api


def prices(
    model: str,
    api: Annotated[
        Api | None, typer.Option(help="Wire format; default: that of the settings.")
    ] = None,
    tokens_in: Annotated[
        int | None, typer.Option(min=0, help="Input of a call to bound.")
    ] = None,
    tokens_out: Annotated[
        int | None, typer.Option(min=0, help="Output of a call to bound.")
    ] = None,
    json: Json = False,
    home: Home = None,
) -> None:
    """Show a model's unit prices and a call's worst case."""
    from ask_expert.report import experts, price_table

    if not model.strip():
        raise typer.BadParameter("name a model", param_hint="MODEL")
    found = price_table.for_model(
        model,
        experts.configured(folder(home), os.environ),
        datetime.now(UTC),
        api=api,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
    )
    if json:
        output.as_json([price_table.as_json(each) for each in found])
    for each in [] if json else found:
        output.title(price_table.heading(each))
        output.table(
            price_table.cells(each), head=price_table.HEAD if each.known else ()
        )
        for sentence in price_table.sentences(each):
            output.say(sentence)
    if not all(each.known for each in found):
        raise typer.Exit(1)
