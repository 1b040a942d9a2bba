"""What reports ask the ledger about the local system; reading only."""

from typing import Any

from sqlalchemy import Connection, Row, func, or_, select

from ask_expert.ledger.columns import total
from ask_expert.ledger.reads import current_verdicts, since
from ask_expert.ledger.tables import questions


def sums(connection: Connection, since_us: int) -> Row[*tuple[Any, ...]]:
    """
    Return what the local model did since a time, as one row.

    `tried` and `answered` count questions of its strategies, `told` and `solved` what
    was reported on their answers; `tokens` and `took_us` hold measuring, too.
    """
    current = current_verdicts()
    mine = questions.c.local_passed.is_(True)
    return connection.execute(
        select(
            func.count().filter(questions.c.local_strategy.is_not(None)).label("tried"),
            func.count().filter(mine).label("answered"),
            func.count().filter(mine, current.c.solved.is_not(None)).label("told"),
            func.count().filter(mine, current.c.solved.is_(True)).label("solved"),
            (total(questions.c.assess_tokens) + total(questions.c.local_tokens)).label(
                "tokens"
            ),
            (total(questions.c.assess_us) + total(questions.c.local_us)).label(
                "took_us"
            ),
        )
        .select_from(
            questions.join(current, current.c.root == questions.c.id, isouter=True)
        )
        .where(
            since(since_us),
            or_(
                questions.c.assess_tokens.is_not(None),
                questions.c.local_strategy.is_not(None),
            ),
        )
    ).one()
