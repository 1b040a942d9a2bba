"""What the tries of each UTC day cost, by expert and model; to lay a bill beside it."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, and_, func, or_, select

from ask_expert.ledger.columns import total
from ask_expert.ledger.reads import Rows
from ask_expert.ledger.summing import OPEN
from ask_expert.ledger.tables import escalations, tries
from ask_expert.money import SUBSCRIPTION

_DAY_US = 24 * 3_600_000_000

_is_open = tries.c.state.in_(OPEN)
_is_guess = and_(
    tries.c.state == "settled",
    or_(
        func.coalesce(tries.c.reconciled, "") == "worst_case",
        tries.c.price_source == "worst case",
        and_(
            func.coalesce(tries.c.usage_source, "provider") != "provider",
            tries.c.price_source != "provider",
        ),
    ),
)
"""Settled at the most it can have cost, since nobody told what it did cost."""


def costs_by_day(
    connection: Connection, first: date, last: date, experts: Collection[str] = ()
) -> Rows:
    """
    Return (day, expert, model, settled, at worst, tries) of the tries sent in some days.

    A day is a number of whole days since 1970, in UTC; the model is the one that was
    served, else the one asked for; amounts are nano-dollars. Released tries cost
    nothing, and what a subscription pays for is on no such bill: both are left out.

    Args:
        connection: Where to read.
        first: The first day.
        last: The last day.
        experts: Only these; none is all.
    """
    day = (tries.c.sent_us // _DAY_US).label("day")
    model = func.coalesce(tries.c.served_model, tries.c.asked_model).label("model")
    known = and_(tries.c.state == "settled", ~_is_guess)
    query = (
        select(
            day,
            escalations.c.expert,
            model,
            total(tries.c.cost_nusd, where=known).label("settled_nusd"),
            (
                total(tries.c.cost_nusd, where=_is_guess)
                + total(tries.c.reserved_nusd, where=_is_open)
            ).label("at_worst_nusd"),
            func.count().label("tries"),
        )
        .join(escalations, escalations.c.id == tries.c.escalation_id)
        .where(
            tries.c.state != "released",
            tries.c.price_source != SUBSCRIPTION,
            tries.c.sent_us >= _start_us(first),
            tries.c.sent_us < _start_us(last) + _DAY_US,
        )
        .group_by(day, escalations.c.expert, model)
        .order_by(day, escalations.c.expert, model)
    )
    if experts:
        query = query.where(escalations.c.expert.in_(experts))
    return connection.execute(query).all()


def day_of(number: int) -> date:
    """Return the date of so many whole days since 1970."""
    return date(1970, 1, 1) + timedelta(days=number)


def _start_us(day: date) -> int:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return int(midnight.timestamp()) * 1_000_000
