"""The breakers of all experts, shared by every process that shares the ledger."""

from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from ask_expert.breaker import Breaker, Guarded, after_failure, looking, trouble
from ask_expert.errors import ExpertError
from ask_expert.ledger.tables import breakers

_MINE = (
    breakers.c.expert == bindparam("of_expert"),
    breakers.c.address == bindparam("of_address"),
)
_SELECT = select(breakers).where(*_MINE)
_UPDATE = update(breakers).where(*_MINE)
_DELETE = delete(breakers).where(*_MINE)


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
    connection.execute(_DELETE, _mine(guarded))


def every(connection: Connection) -> list[Row[*tuple[Any, ...]]]:
    """Return the rows of all breakers."""
    return list(connection.execute(select(breakers).order_by(breakers.c.expert)).all())


def _one(connection: Connection, guarded: Guarded) -> Breaker | None:
    row = connection.execute(_SELECT, _mine(guarded)).one_or_none()
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
        _UPDATE,
        {
            **_mine(guarded),
            "failures": breaker.failures,
            "until_us": breaker.until_us,
            "reason": breaker.reason,
            "looker": breaker.looker,
        },
    )


def _mine(guarded: Guarded) -> dict[str, str]:
    return {"of_expert": guarded.expert, "of_address": guarded.address}
