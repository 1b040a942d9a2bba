"""Take the texts out of old questions; every amount and every row stays."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    Update,
    cast,
    func,
    null,
    or_,
    select,
    tuple_,
    update,
)

from ask_expert.ledger.engine import alone, reading, translated_errors, writing
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.summing import OPEN
from ask_expert.ledger.tables import escalations, outcomes, questions, tries

_AT_ONCE = 500
"""Questions of one transaction, so that servers need not wait long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What was taken out: how many rows of each kind lost their texts."""

    questions: int = 0
    answers: int = 0
    prices: int = 0
    evidence: int = 0

    def __add__(self, other: "Compacted") -> "Compacted":
        return Compacted(
            questions=self.questions + other.questions,
            answers=self.answers + other.answers,
            prices=self.prices + other.prices,
            evidence=self.evidence + other.evidence,
        )


def compact(ledger: Ledger, *, before_us: int, dry_run: bool = False) -> Compacted:
    """
    Take texts, answers, evidence and price details out of questions before an instant.

    What a question cost, and all that budgets, reports and verdicts count, stays.
    A question that waits for an answer, or has a try of unknown fate, is left whole.
    It goes on in small transactions: stopped half-way, it is done half-way.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    done = Compacted()
    with translated_errors(ledger.path):
        for ids in _old(ledger, before_us):
            if dry_run:
                with reading(ledger.engine) as connection:
                    done += _counted(connection, ids)
            else:
                with writing(ledger.engine) as connection:
                    done += _emptied(connection, ids)
    return done


def give_back(ledger: Ledger) -> None:
    """
    Let the database use the room that was freed; a SQLite file shrinks.

    Raises:
        LedgerBusyError: Others use the ledger, or the disk is too full.
    """
    with translated_errors(ledger.path), alone(ledger.engine) as connection:
        if connection.dialect.name == "postgresql":
            tables = "questions, escalations, tries, outcomes"
            connection.exec_driver_sql(f"VACUUM (ANALYZE) {tables}")
        else:
            connection.exec_driver_sql("VACUUM")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _old(ledger: Ledger, before_us: int) -> Iterator[Sequence[str]]:
    """Yield the ids of old, finished questions, some at a time."""
    place = tuple_(questions.c.created_us, questions.c.id)
    waits = (
        select(tries.c.id)
        .join(escalations, escalations.c.id == tries.c.escalation_id)
        .where(escalations.c.question_id == questions.c.id, tries.c.state.in_(OPEN))
        .exists()
    )
    query = (
        select(questions.c.created_us, questions.c.id)
        .where(
            questions.c.created_us < before_us,
            questions.c.status != "pending",
            ~waits,
        )
        .order_by(questions.c.created_us, questions.c.id)
        .limit(_AT_ONCE)
    )
    last: tuple[int, str] | None = None
    while True:
        page = query if last is None else query.where(place > tuple_(*last))
        with reading(ledger.engine) as connection:
            rows = connection.execute(page).all()
        if not rows:
            return
        yield [row.id for row in rows]
        last = (rows[-1].created_us, rows[-1].id)


def _is_json(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return whether a JSON column holds something; an absent value may be `null`."""
    return cast(column, Text) != "null"


def _of_tries(ids: Sequence[str]) -> ColumnElement[bool]:
    mine = select(escalations.c.id).where(escalations.c.question_id.in_(ids))
    return tries.c.escalation_id.in_(mine)


def _kinds(ids: Sequence[str]) -> dict[str, tuple[Update, Sequence[Any]]]:
    """Return, by the name in `Compacted`, what empties a kind and whom it touches."""
    return {
        "questions": (
            update(questions).values(
                texts=null(), panel_answer=None, local_answer=None
            ),
            (
                questions.c.id.in_(ids),
                or_(
                    _is_json(questions.c.texts),
                    questions.c.panel_answer.is_not(None),
                    questions.c.local_answer.is_not(None),
                ),
            ),
        ),
        "answers": (
            update(escalations).values(answer=None),
            (escalations.c.question_id.in_(ids), escalations.c.answer.is_not(None)),
        ),
        "prices": (
            update(tries).values(price_detail=null(), rate_limits=null(), error=None),
            (
                _of_tries(ids),
                or_(
                    _is_json(tries.c.price_detail),
                    _is_json(tries.c.rate_limits),
                    tries.c.error.is_not(None),
                ),
            ),
        ),
        "evidence": (
            update(outcomes).values(evidence=None),
            (outcomes.c.question_id.in_(ids), outcomes.c.evidence.is_not(None)),
        ),
    }


def _emptied(connection: Connection, ids: Sequence[str]) -> Compacted:
    return Compacted(
        **{
            name: connection.execute(statement.where(*whom)).rowcount
            for name, (statement, whom) in _kinds(ids).items()
        }
    )


def _counted(connection: Connection, ids: Sequence[str]) -> Compacted:
    return Compacted(
        **{
            name: connection.execute(
                select(func.count()).select_from(statement.table).where(*whom)
            ).scalar_one()
            for name, (statement, whom) in _kinds(ids).items()
        }
    )
