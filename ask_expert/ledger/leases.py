"""
Keep the tries of living calls alive.

A lease is short, so that a process that died on another machine is noticed within a
minute; so it is renewed while its call goes on. A call that ends within that time
costs no write but its own two.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import bindparam, func, update

from ask_expert.ledger.columns import Words
from ask_expert.ledger.engine import translated_errors, writing
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import tries

_SECOND = 1_000_000

LEASE_US = 60 * _SECOND
"""So long a try counts as alive without a renewal, in microseconds."""

RENEW_AFTER_US = 20 * _SECOND
"""A lease is renewed when so much of it has passed."""


@dataclass(slots=True, kw_only=True)
class UnderWay:
    """
    One try of a call that goes on.

    Attributes:
        lease_us: Until when it counts as alive, as the ledger has it.
        request_id: The provider's id, once told; None when the try's end is booked,
            which writes it.
    """

    lease_us: int
    request_id: str | None = None


def is_due(under_way: Mapping[str, UnderWay], *, now_us: int) -> bool:
    """Return whether a lease has run long enough to be renewed."""
    soon_us = now_us + LEASE_US - RENEW_AFTER_US
    return any(each.lease_us <= soon_us for each in under_way.values())


def renew(ledger: Ledger, under_way: Mapping[str, UnderWay], *, now_us: int) -> bool:
    """
    Renew all leases in one write once one is due; return whether that was so.

    The provider's ids go along: should this process die, they are what the provider
    can be asked by. A try that was swept meanwhile stays `unresolved`; that its call
    goes on after all keeps others from asking for it.

    Args:
        ledger: Where they are on record.
        under_way: The tries of all living calls, by id.
        now_us: The present, microseconds since 1970.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    if not is_due(under_way, now_us=now_us):
        return False
    until_us = now_us + LEASE_US
    rows = [
        {"renewed_id": try_id, "until": until_us, "told": each.request_id}
        for try_id, each in sorted(under_way.items())
    ]
    with translated_errors(ledger.path), writing(ledger.engine) as connection:
        connection.execute(
            update(tries)
            .where(tries.c.id == bindparam("renewed_id"))
            .values(
                lease_us=bindparam("until"),
                request_id=func.coalesce(
                    bindparam("told", type_=Words()), tries.c.request_id
                ),
            ),
            rows,
        )
    for each in under_way.values():
        each.lease_us = until_us
    return True
