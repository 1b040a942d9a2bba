"""`ask-expert ledger reconcile --invoice`: a vendor's bill beside the ledger."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ask_expert.cli import output

if TYPE_CHECKING:
    from ask_expert.report.invoice_file import Form


def compare(
    home: Path,
    invoice: Path | None,
    *,
    columns: str | None,
    experts: list[str] | None,
    json: bool,
) -> None:
    """
    Print a bill beside the ledger.

    Raises:
        BadParameter: There is no bill, or its columns are not described.
        ConfigError: The bill cannot be read.
        LedgerError: The ledger cannot be read, or knows no such expert.
    """
    from ask_expert.report import desk, invoice_file
    from ask_expert.report import invoice as invoices

    if invoice is None:
        raise typer.BadParameter(
            "need a bill: --invoice FILE.csv", param_hint="options"
        )
    bill = invoice_file.lines(invoice, _form(columns))
    with desk.opened(home, os.environ) as open_desk:
        found = invoices.compare(bill, open_desk.ledger, experts or ())
    if json:
        output.as_json(invoices.as_json(found))
        return
    if found.rows:
        output.table(invoices.cells(found), head=invoices.HEAD)
    for sentence in invoices.sentences(found):
        output.say(sentence)


def _form(columns: str | None) -> "Form | None":
    from ask_expert.report import invoice_file

    try:
        return None if columns is None else invoice_file.columns(columns)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--columns") from error
