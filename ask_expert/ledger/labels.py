"""Questions of which it was reported whether they were solved, and by whom."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from ask_expert.ledger.reads import current_verdicts
from ask_expert.ledger.tables import questions

LOCAL = ("stay_local", "held_out")
"""With these statuses nobody but the local model worked on the question."""

EXPERT = ("answered",)
"""With this one an expert's answer was handed over."""


def solved_or_not(connection: Connection) -> Sequence[Row[*tuple[Any, ...]]]:
    """
    Return user, project, task, status, facts, solved and source, oldest first.

    With them `local_model` and `local_kind`: whose signals the facts are, and of what
    kind of answer, where that is known.

    Only questions whose current verdict says whether the sub-problem was solved; a
    question answered again from the ledger is not counted by itself.
    """
    current = current_verdicts()
    return connection.execute(
        select(
            questions.c.user,
            questions.c.project,
            questions.c.task,
            questions.c.status,
            questions.c.facts,
            questions.c.local_model,
            questions.c.local_kind,
            current.c.solved,
            current.c.source,
        )
        .join(current, current.c.root == questions.c.id)
        .where(
            questions.c.cached_from.is_(None),
            questions.c.status.in_([*LOCAL, *EXPERT]),
            current.c.solved.is_not(None),
        )
        .order_by(questions.c.created_us, questions.c.id)
    ).all()
