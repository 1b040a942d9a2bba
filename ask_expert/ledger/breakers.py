"""The breakers of all experts, shared by every process that shares the ledger."""

from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from ask_expert.breaker import Breaker, Guarded, after_failure, looking, trouble
from ask_expert.errors import ExpertError
from ask_expert.ledger.tables import breakers


def admit(
    connection: Connection, guarded: Guarded, *, looker: str, now_us: int
) -> Breaker | None:
    """
    Return the breaker of an expert that rests; None lets the try go.

    The first escalation after a rest is let go to look whether the expert is back,
    with all its tries; until that is known, others are told that it rests.
    """
    found = _one(connection, guarded)
    if found is None or (found.looker == looker and found.until_us):
        return None
    if found.rests(now_us):
        return found
    if found.until_us:
        _put(connection, guarded, looking(found, now_us, looker=looker))
    return None


def note_failure(
    connection: Connection, guarded: Guarded, error: ExpertError, *, now_us: int
) -> None:
    """Count a failure that says something of the expert."""
    what = trouble(error)
    if what is None or not guarded.after:
        return
    before = _one(connection, guarded)
    after = after_failure(
        before or Breaker(), what, guarded=guarded, reason=str(error), now_us=now_us
    )
    if before is None:
        connection.execute(
            insert(breakers).values(
                expert=guarded.expert,
                address=guarded.address,
                failures=after.failures,
                until_us=after.until_us,
                reason=after.reason,
            )
        )
    else:
        _put(connection, guarded, after)


def note_success(connection: Connection, guarded: Guarded) -> None:
    """Forget an expert's failures: it answered."""
    connection.execute(_mine(delete(breakers), guarded))


def every(connection: Connection) -> list[Row[*tuple[Any, ...]]]:
    """Return the rows of all breakers."""
    return list(connection.execute(select(breakers).order_by(breakers.c.expert)).all())


def _one(connection: Connection, guarded: Guarded) -> Breaker | None:
    row = connection.execute(_mine(select(breakers), guarded)).one_or_none()
    if row is None:
        return None
    return Breaker(
        failures=row.failures,
        until_us=row.until_us,
        reason=row.reason,
        looker=row.looker,
    )


def _put(connection: Connection, guarded: Guarded, breaker: Breaker) -> None:
    connection.execute(
        _mine(update(breakers), guarded).values(
            failures=breaker.failures,
            until_us=breaker.until_us,
            reason=breaker.reason,
            looker=breaker.looker,
        )
    )


def _mine(statement: Any, guarded: Guarded) -> Any:
    return statement.where(
        breakers.c.expert == guarded.expert, breakers.c.address == guarded.address
    )
