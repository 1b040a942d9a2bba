"""`ask-expert ledger reconcile`: settle what nobody knows the cost of."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ask_expert.cli import invoice as invoices
from ask_expert.cli import output
from ask_expert.cli.options import Home, Json, folder

if TYPE_CHECKING:
    from ask_expert.reconciliation import Fate

_HEAD = ("try", "question", "expert", "result", "cost", "why")


def reconcile(
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than",
            help="From this age on at worst case, where no record is: 0m, 1h, 7d.",
        ),
    ] = "1h",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask the providers, but write nothing.")
    ] = False,
    invoice: Annotated[
        Path | None,
        typer.Option(
            help="Settle nothing; lay this bill, a CSV file, beside the ledger."
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Columns of the bill: day=COLUMN,model=COLUMN,usd=COLUMN."),
    ] = None,
    expert: Annotated[
        list[str] | None, typer.Option(help="Whom the bill is for; may be repeated.")
    ] = None,
    json: Json = False,
    home: Home = None,
) -> None:
    """Settle unresolved tries by the provider's own record, else at worst case."""
    if invoice or columns or expert:
        invoices.compare(
            folder(home), invoice, columns=columns, experts=expert, json=json
        )
        return
    older_than_us = _length_us(older_than)
    fates = _reconciled(folder(home), older_than_us=older_than_us, dry_run=dry_run)
    if json:
        output.as_json(_as_json(fates, dry_run=dry_run))
    else:
        _say(fates, older_than, dry_run=dry_run)


def _reconciled(home: Path, *, older_than_us: int, dry_run: bool) -> "list[Fate]":
    import anyio

    from ask_expert import house as houses
    from ask_expert import reconciliation

    async def run() -> "list[Fate]":
        house = houses.build(home, environ=os.environ, on_record=False)
        async with house.open():
            return await reconciliation.reconcile(
                house, older_than_us=older_than_us, dry_run=dry_run
            )

    return anyio.run(run)


def _length_us(text: str) -> int:
    """Return the length of time that the option names, in microseconds."""
    from datetime import UTC, datetime

    from ask_expert.budget import to_us
    from ask_expert.report import since

    now = datetime.now(UTC)
    try:
        since_us = to_us(since.parse(text, now))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--older-than") from error
    if since_us > to_us(now):
        raise typer.BadParameter(
            f"{text[:60]!r} is not over yet; 0m settles every try, however young",
            param_hint="--older-than",
        )
    return to_us(now) - since_us


def _as_json(fates: "Sequence[Fate]", *, dry_run: bool) -> dict[str, object]:
    from ask_expert.money import usd

    return {
        "dry_run": dry_run,
        "tries": [
            {
                "try_id": fate.of.try_id,
                "question_id": fate.of.question_id,
                "expert": fate.of.expert,
                "result": fate.result,
                "reserved_usd": f"{usd(fate.of.reserved_nusd):f}",
                "cost_usd": None if fate.by is None else f"{usd(fate.cost_nusd):f}",
                "why": fate.why,
            }
            for fate in fates
        ],
    }


def _say(fates: "Sequence[Fate]", older_than: str, *, dry_run: bool) -> None:
    from ask_expert.money import show

    if not fates:
        output.say("No try is unresolved.")
        return
    rows = [
        (
            fate.of.try_id,
            fate.of.question_id,
            fate.of.expert,
            fate.result,
            f"up to {show(fate.of.reserved_nusd)}"
            if fate.by is None
            else show(fate.cost_nusd),
            fate.why,
        )
        for fate in fates
    ]
    output.table(rows, head=_HEAD)
    verb = "would be settled" if dry_run else "settled"
    by = {
        name: [fate for fate in fates if fate.result == name]
        for name in ("provider", "worst_case", "unresolved")
    }
    output.say(
        f"{len(by['provider'])} {verb} by the provider's record, "
        f"{len(by['worst_case'])} {verb} at worst case; {len(by['unresolved'])} "
        f"stay unresolved, counted in full, until a record comes or they are "
        f"{older_than} old."
    )
