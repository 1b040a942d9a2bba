"""What people of a team ask the ledger: which questions wait, and who spent what."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, exists, func, select

from ask_expert.ledger.columns import total
from ask_expert.ledger.engine import reading, translated_errors
from ask_expert.ledger.reads import all_tries
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import access_tokens, approvals, questions, tries

Rows = Sequence[Row[*tuple[Any, ...]]]

_OPEN = ("sent", "unresolved")


def answers(ledger: Ledger) -> None:
    """
    Return if the database answers, and the ledger is in it.

    Raises:
        LedgerError: It does not.
    """
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        # A row of a table: SQLite opens its file for no less.
        connection.execute(select(access_tokens.c.id).limit(1)).first()


def waiting(
    ledger: Ledger,
    *,
    project: str | None,
    user: str | None,
    since_us: int,
    limit: int,
) -> Rows:
    """
    Return the questions that wait for a person, newest first.

    Args:
        ledger: The ledger.
        project: Only of this one; None is of all.
        user: Only of this one; None is of all.
        since_us: Asked since then, microseconds since 1970 UTC.
        limit: How many at most.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    decided = exists().where(approvals.c.question_id == questions.c.id)
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        return connection.execute(
            select(questions)
            .where(
                questions.c.status == "needs_approval",
                questions.c.created_us >= since_us,
                *_of(project, user),
                ~decided,
            )
            .order_by(questions.c.created_us.desc(), questions.c.id.desc())
            .limit(limit)
        ).all()


def question_of(ledger: Ledger, question_id: str) -> Row[*tuple[Any, ...]] | None:
    """
    Return whose question it is, as (user, project, status); None if there is none.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        return connection.execute(
            select(questions.c.user, questions.c.project, questions.c.status).where(
                questions.c.id == question_id
            )
        ).one_or_none()


def spent(
    ledger: Ledger, *, project: str | None, user: str | None, since_us: int
) -> Rows:
    """
    Return what each user spent in each project, in tries sent since a time.

    Args:
        ledger: The ledger.
        project: Only of this one; None is of all.
        user: Only of this one; None is of all.
        since_us: Microseconds since 1970 UTC.

    Returns:
        Rows of (user, project, cost_nusd, held_nusd, calls); `held_nusd` is set aside
        for calls on their way or of unknown fate.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    held = tries.c.state.in_(_OPEN)
    whose = (questions.c.user, questions.c.project)
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        return connection.execute(
            select(
                *whose,
                total(tries.c.cost_nusd).label("cost_nusd"),
                total(tries.c.reserved_nusd, where=held).label("held_nusd"),
                func.count().filter(tries.c.state != "released").label("calls"),
            )
            .select_from(all_tries())
            .where(tries.c.sent_us >= since_us, *_of(project, user))
            .group_by(*whose)
            .order_by(*whose)
        ).all()


def _of(project: str | None, user: str | None) -> list[ColumnElement[bool]]:
    named = ((questions.c.project, project), (questions.c.user, user))
    return [column == name for column, name in named if name is not None]
