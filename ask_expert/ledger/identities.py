"""Who served each expert's answers, and when; for the question whether that changed."""

from sqlalchemy import Connection, case, func, select

from ask_expert.ledger.columns import total
from ask_expert.ledger.reads import Rows, all_tries, since
from ask_expert.ledger.tables import escalations, questions, tries


def identities(connection: Connection, since_us: int) -> Rows:
    """
    Return who served each expert's settled tries, and when, oldest first.

    Each row has `expert`, `asked_model`, the columns that identify who served,
    `first_us`, `last_us`, `tries` and `thread`, which is told only where the thread
    holds several tries of that expert and model: in others nothing can change.
    """
    asked = (escalations.c.expert, tries.c.asked_model)
    told = (
        tries.c.served_model,
        tries.c.fingerprint,
        tries.c.service_tier,
        tries.c.provider,
        tries.c.region,
    )
    count = func.count()
    in_thread = func.sum(count).over(partition_by=(*asked, questions.c.thread))
    by_thread = (
        select(
            *asked,
            *told,
            questions.c.thread,
            func.min(tries.c.sent_us).label("first_us"),
            func.max(tries.c.sent_us).label("last_us"),
            count.label("tries"),
            in_thread.label("in_thread"),
        )
        .select_from(all_tries())
        .where(since(since_us), tries.c.state == "settled")
        .group_by(*asked, *told, questions.c.thread)
        .subquery()
    )
    columns = [by_thread.c[each.name] for each in (*asked, *told)]
    thread = case((by_thread.c.in_thread > 1, by_thread.c.thread)).label("thread")
    first_us = func.min(by_thread.c.first_us).label("first_us")
    return connection.execute(
        select(
            *columns,
            thread,
            first_us,
            func.max(by_thread.c.last_us).label("last_us"),
            total(by_thread.c.tries).label("tries"),
        )
        .group_by(*columns, thread)
        .order_by(first_us, *(each.nulls_first() for each in columns))
    ).all()
