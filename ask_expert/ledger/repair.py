"""Bring tries and windows back to what the movements say."""

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, update

from ask_expert.budget import Cap
from ask_expert.ledger.check import (
    Finding,
    every_window,
    findings,
    misheld,
    truth,
    wrong_tries,
)
from ask_expert.ledger.engine import translated_errors, writing
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import holds, tries, windows


def repair(ledger: Ledger) -> tuple[list[Finding], list[Finding]]:
    """
    Mend what can be mended, in one transaction; movements are never touched.

    Returns:
        What was found, and what is still wrong afterwards.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    with translated_errors(ledger.path), writing(ledger.engine) as connection:
        found = findings(connection)
        if not any(each.repair for each in found):
            return found, found
        # Windows are summed from the tries, so those come first.
        for row in connection.execute(wrong_tries()).all():
            _mend_try(connection, row)
        for row, cap in every_window(connection):
            _mend_window(connection, row, cap)
        return found, findings(connection)


def _mend_try(connection: Connection, row: Row[*tuple[Any, ...]]) -> None:
    connection.execute(
        update(tries)
        .where(tries.c.id == row.id)
        .values(
            state=row.true_state,
            cost_nusd=row.true_cost,
            reserved_nusd=row.true_reserved,
        )
    )


def _mend_window(connection: Connection, row: Row[*tuple[Any, ...]], cap: Cap) -> None:
    spent, reserved, calls, tokens, reserved_tokens = truth(connection, cap)
    connection.execute(
        update(windows)
        .where(windows.c.id == row.id)
        .values(
            spent_nusd=spent,
            reserved_nusd=reserved,
            calls=calls,
            tokens=tokens,
            reserved_tokens=reserved_tokens,
        )
    )
    missing, foreign = misheld(connection, row.id, cap)
    if missing:
        new = [{"try_id": each, "window_id": row.id} for each in missing]
        connection.execute(insert(holds), new)
    if foreign:
        connection.execute(
            delete(holds).where(
                holds.c.window_id == row.id, holds.c.try_id.in_(foreign)
            )
        )
