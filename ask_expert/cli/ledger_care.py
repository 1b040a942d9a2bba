"""`ask-expert ledger migrate`, `check`, `compact` and `move`: look after what is on record."""

from collections.abc import Generator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from ask_expert.cli import output
from ask_expert.cli.options import Home, Json, folder, since_us

if TYPE_CHECKING:
    from pathlib import Path

    from ask_expert.ledger.check import Finding
    from ask_expert.ledger.store import Ledger
    from ask_expert.ledger_address import Where


def migrate(home: Home = None) -> None:
    """Bring the ledger to this version's schema; any other command does so too."""
    from ask_expert.ledger.engine import migrate as bring_to_head
    from ask_expert.ledger.engine import new_engine
    from ask_expert.ledger_address import shown

    where = _where(folder(home))
    engine = new_engine(where)
    try:
        before, after = bring_to_head(engine, where)
    finally:
        engine.dispose()
    came = f"from {before} to {after}" if before else f"to {after}; it was empty"
    news = f"is at schema {after} already" if before == after else f"went {came}"
    output.say(f"The ledger {shown(where)} {news}.")


def check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend sums and states by the movements.")
    ] = False,
    json: Json = False,
    home: Home = None,
) -> None:
    """Prove that all sums follow from the movements; else list what does not."""
    from ask_expert.ledger import check as checks
    from ask_expert.ledger import repair as repairs

    with _opened(folder(home)) as ledger:
        if repair:
            found, left = repairs.repair(ledger)
        else:
            found = left = checks.check(ledger)
    mended = [each for each in found if each not in left]
    if json:
        output.as_json(
            {
                "repaired": [_as_json(each) for each in mended],
                "findings": [_as_json(each) for each in left],
            }
        )
    else:
        _say(mended, left)
    if left:
        raise typer.Exit(1)


def compact(
    older_than: Annotated[
        str, typer.Option("--older-than", help="Age or date: 90d, 12w, 2026-08-01.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be taken out.")
    ] = False,
    home: Home = None,
) -> None:
    """Take texts and answers out of old questions; amounts and rows stay."""
    from ask_expert.ledger import compact as compacting

    before_us = since_us(older_than, datetime.now(UTC))
    with _opened(folder(home)) as ledger:
        done = compacting.compact(ledger, before_us=before_us, dry_run=dry_run)
        if not dry_run:
            compacting.give_back(ledger)
    verb = "would be" if dry_run else "were"
    output.say(
        f"The texts of {done.questions} questions, {done.answers} answers, the details "
        f"of {done.prices} tries and the evidence of {done.evidence} outcomes "
        f"{verb} taken out; every amount stays."
    )


def move(
    to: Annotated[
        str, typer.Option("--to", help="postgresql://user@host:5432/database")
    ],
    home: Home = None,
) -> None:
    """Copy the ledger into an empty PostgreSQL database, and compare both."""
    from ask_expert.budget import to_us
    from ask_expert.ledger import move as moving
    from ask_expert.ledger.store import Ledger
    from ask_expert.ledger_address import shown

    target = _target(to)
    with (
        _opened(folder(home)) as source,
        closing(Ledger.open(target)) as empty,
    ):
        copied = moving.move(source, empty, now_us=to_us(datetime.now(UTC)))
        came_from = source.path
    head = ("table", "rows", "sums in nano-dollars", "SHA-256")
    rows = [
        (
            each.table,
            str(each.rows),
            ", ".join(f"{name} {total}" for name, total in each.sums.items()),
            each.digest[:16],
        )
        for each in copied
    ]
    output.table(rows, head=head)
    output.say(
        f"Both sides are the same. {came_from} is as it was. Write this into "
        f"settings.yaml before a server starts again:\nledger: {shown(target)}"
    )


def _target(address: str) -> str:
    from ask_expert import ledger_address

    hint = "--to"
    if not ledger_address.is_server(address):
        raise typer.BadParameter(
            f"give an address: {ledger_address.EXAMPLE}", param_hint=hint
        )
    try:
        ledger_address.check(address)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=hint) from error
    if ledger_address.password(address):
        raise typer.BadParameter(
            "must hold no password, which others on this machine could read; set "
            "PGPASSWORD or use ~/.pgpass",
            param_hint=hint,
        )
    return address


def _where(home: "Path") -> "Where":
    from ask_expert import settings_file
    from ask_expert.house import ledger_path

    return ledger_path(home, settings_file.load(home))


@contextmanager
def _opened(home: "Path") -> "Generator[Ledger]":
    from ask_expert.ledger.store import Ledger

    with closing(Ledger.open(_where(home))) as ledger:
        yield ledger


def _as_json(finding: "Finding") -> dict[str, object]:
    return {"what": finding.what, "repair": finding.repair}


def _say(mended: "list[Finding]", left: "list[Finding]") -> None:
    for each in mended:
        output.say(f"Repaired: {each.what}")
    for each in left:
        fix = f"--repair: {each.repair}" if each.repair else "no repair is known"
        output.say(f"{each.what} ({fix})")
    if not left:
        output.say("Every sum follows from its movements; no row is an orphan.")
