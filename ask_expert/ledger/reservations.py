"""
Reserve, settle, release: every movement of money, each in one write transaction.

Reserving writes the try as `sent` in the same commit, before its first byte
leaves; so whatever happens later, the money is counted.
"""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import structlog
from sqlalchemy import Connection, Row, bindparam, case, insert, literal, select, update

from ask_expert.budget import Denied, Room, grant, most_output
from ask_expert.errors import LedgerError
from ask_expert.ledger.counting import add, hold, look, open_all
from ask_expert.ledger.owner import is_dead
from ask_expert.ledger.records import Granted, QuestionRecord, TryRequest, new_id
from ask_expert.ledger.summing import BOUND, COUNTED, OPEN
from ask_expert.ledger.tables import escalations, movements, questions, tries
from ask_expert.reply import REFUSALS

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_INSERT_TRY = insert(tries)
_INSERT_MOVEMENT = insert(movements).inline()
"""Its number is not asked back: nothing refers to it."""

_COST = ("cost_nusd", "price_source", "price_detail")
_USAGE = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_long_tokens",
    "output_tokens",
    "reasoning_tokens",
    "usage_source",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """
    What a try found where it has to fit in; it holds until the transaction ends.

    Attributes:
        nusd: The nano-dollars to set aside; 0 where it is denied.
        denied: The room that is too small, if one is.
        most_tokens: Most output that budgets in tokens have room for.
        fresh: The sums of those of its windows that are not open yet.
    """

    nusd: int
    denied: Denied | None
    most_tokens: int | None
    fresh: list[Room]


def fit(connection: Connection, request: TryRequest) -> Fit:
    """Return whether a try fits into every window of its budgets; nothing is written."""
    rooms, fresh = look(connection, request.caps)
    verdict = grant(
        rooms,
        want_nusd=request.want_nusd,
        least_nusd=request.least_nusd,
        least_tokens=request.input_bound_tokens + request.least_output_tokens,
        approved=request.approved,
    )
    bound = request.input_bound_tokens
    most = most_output(rooms, input_tokens=bound, approved=request.approved)
    denied = verdict if isinstance(verdict, Denied) else None
    nusd = verdict if isinstance(verdict, int) else 0
    return Fit(nusd=nusd, denied=denied, most_tokens=most, fresh=fresh)


def reserve(
    connection: Connection,
    request: TryRequest,
    *,
    question: QuestionRecord,
    fits: Fit,
    ceiling: Callable[[int], int],
) -> Granted:
    """
    Set money aside in every window of `request.caps`.

    It is counted in every window that is open for the try, also in those of
    budgets that another policy or time zone set: whoever asks next under that
    policy finds its sums right.

    The escalation's row must exist. The try is written as `sent`, with the
    output ceiling that the money set aside pays for.

    Args:
        connection: The write transaction in which it was found to fit.
        request: The try.
        question: Its question.
        fits: What it found; it was not denied.
        ceiling: Tokens of output that a reservation of so many nUSD pays for.
    """
    open_all(connection, fits.fresh)
    nusd, output_tokens = fits.nusd, ceiling(fits.nusd)
    if fits.most_tokens is not None:
        output_tokens = min(output_tokens, fits.most_tokens)
    try_id = new_id("y")
    connection.execute(
        _INSERT_TRY,
        {
            "id": try_id,
            "escalation_id": request.escalation_id,
            "number": request.number,
            "state": "sent",
            "sent_us": request.sent_us,
            "lease_us": request.lease_us,
            "owner": request.owner,
            "reserved_nusd": nusd,
            "price_source": request.price_source,
            "input_bound_tokens": request.input_bound_tokens,
            "output_ceiling_tokens": output_tokens,
            "asked_model": request.model,
        },
    )
    hold(connection, try_id, request, question)
    bound = request.input_bound_tokens + output_tokens
    add(connection, try_id, reserved=nusd, calls=1, reserved_tokens=bound)
    _move(connection, try_id, "reserve", nusd, request.sent_us)
    return Granted(try_id=try_id, nusd=nusd, output_tokens=output_tokens)


def settle(
    connection: Connection,
    try_id: str,
    *,
    cost_nusd: int,
    now_us: int,
    columns: dict[str, object],
) -> None:
    """
    Turn a reservation into its actual cost, in the windows where it was made.

    Of a try that was reconciled before, the money stays where it is: only what else
    is known now is added to its row.

    Raises:
        LedgerError: The try has been settled or released before.
    """
    closed = _close(connection, try_id, "settled", now_us, columns)
    if closed is None:
        _come_late(connection, try_id, now_us, columns)
        return
    _book(connection, try_id, closed, cost_nusd=cost_nusd, now_us=now_us)


def reconcile(
    connection: Connection,
    try_id: str,
    *,
    cost_nusd: int,
    now_us: int,
    columns: dict[str, object],
) -> bool:
    """
    Settle an unresolved try without its answer; return whether it was unresolved.

    Args:
        connection: A write transaction.
        try_id: The try.
        cost_nusd: What the provider's record says, or all that was set aside.
        now_us: The present.
        columns: What its row keeps of that, `reconciled` above all.
    """
    # It ended when it was given up: that time stays.
    closed = _closed(connection, try_id, "settled", columns, among=("unresolved",))
    if closed is None:
        return False
    _book(connection, try_id, closed, cost_nusd=cost_nusd, now_us=now_us)
    return True


def _book(
    connection: Connection,
    try_id: str,
    closed: Row[*tuple[Any, ...]],
    *,
    cost_nusd: int,
    now_us: int,
) -> None:
    add(
        connection,
        try_id,
        reserved=-closed.reserved_nusd,
        spent=cost_nusd,
        reserved_tokens=-closed.bound,
        tokens=closed.counted,
    )
    _move(connection, try_id, "settle", cost_nusd, now_us)


def release(
    connection: Connection, try_id: str, *, now_us: int, columns: dict[str, object]
) -> None:
    """
    Give a reservation back: surely nothing was billed.

    A try that was reconciled before keeps its cost.

    Raises:
        LedgerError: The try has been settled or released before.
    """
    closed = _close(connection, try_id, "released", now_us, columns)
    if closed is None:
        _come_late(connection, try_id, now_us, columns)
        return
    reserved = closed.reserved_nusd
    add(
        connection,
        try_id,
        reserved=-reserved,
        calls=-1,
        reserved_tokens=-closed.bound,
    )
    _move(connection, try_id, "release", reserved, now_us)


def leave_unresolved(
    connection: Connection, try_id: str, *, now_us: int, columns: dict[str, object]
) -> None:
    """
    Mark a try whose fate is unknown; its reservation stays counted in full.

    Of one that a sweep marked before, the true reason is kept.
    """
    connection.execute(
        update(tries)
        .where(tries.c.id == try_id, tries.c.state.in_(OPEN))
        .values(state="unresolved", ended_us=now_us, **_told(columns))
    )


def lost(
    connection: Connection, *, now_us: int, alive: Container[str] = ()
) -> list[Row[*tuple[Any, ...]]]:
    """Return (try id, question id, lease) of what a dead process left behind."""
    rows = connection.execute(
        select(tries.c.id, escalations.c.question_id, tries.c.lease_us, tries.c.owner)
        .join(escalations, escalations.c.id == tries.c.escalation_id)
        .where(tries.c.state == "sent")
    ).all()
    return [
        row
        for row in rows
        if row.id not in alive and (row.lease_us < now_us or is_dead(row.owner))
    ]


def sweep(
    connection: Connection, *, now_us: int, alive: Container[str] = ()
) -> list[str]:
    """
    Mark as unresolved what a dead owner or a lapsed lease left behind.

    Args:
        connection: A write transaction.
        now_us: The present.
        alive: Tries of this process that are on their way, whatever their lease:
            the machine may have slept.
    """
    rows = lost(connection, now_us=now_us, alive=alive)
    for row in rows:
        why = "its process ended" if row.lease_us >= now_us else "its lease lapsed"
        leave_unresolved(
            connection,
            row.id,
            now_us=now_us,
            # Nobody renews it any more: whoever reconciles may take it up at once.
            columns={
                "error": f"Unresolved: {why}.",
                "lease_us": min(row.lease_us, now_us - 1),
            },
        )
    end_pending(connection, [row.question_id for row in rows])
    return [row.id for row in rows]


def end_pending(connection: Connection, question_ids: Sequence[str]) -> None:
    """End questions whose call is lost; one that is answered is answered."""
    for question_id in question_ids:
        connection.execute(
            update(questions)
            .where(questions.c.id == question_id, questions.c.status == "pending")
            .values(status=case((_has_answer, "answered"), else_="unavailable"))
        )


_has_answer = (
    select(escalations.c.id)
    .where(
        escalations.c.question_id == questions.c.id,
        escalations.c.finish.is_not(None),
        escalations.c.finish.not_in(REFUSALS),
    )
    .correlate(questions)
    .exists()
)
"""One of a panel answered before the process died: that is an answer, too."""


def _close(
    connection: Connection,
    try_id: str,
    state: str,
    now_us: int,
    columns: dict[str, object],
) -> Row[*tuple[Any, ...]] | None:
    """Close an open try; None if it was reconciled before."""
    ended: dict[str, object] = {"ended_us": now_us, **columns}
    closed = _closed(connection, try_id, state, ended, among=OPEN)
    if closed is None and _reconciled(connection, try_id) is None:
        raise LedgerError(f"Try {try_id} has been settled or released before.")
    return closed


def _closed(
    connection: Connection,
    try_id: str,
    state: str,
    columns: dict[str, object],
    *,
    among: tuple[str, ...],
) -> Row[*tuple[Any, ...]] | None:
    return connection.execute(
        _close_among(among), {"this": try_id, "state": state, **_told(columns)}
    ).one_or_none()


@cache
def _close_among(states: tuple[str, ...]) -> Any:
    """Change a try in one of these states; it is given its new columns with its id."""
    return (
        update(tries)
        .where(
            tries.c.id == bindparam("this"),
            tries.c.state.in_([literal(each) for each in states]),
        )
        .returning(
            tries.c.reserved_nusd, BOUND.label("bound"), COUNTED.label("counted")
        )
    )


def _reconciled(connection: Connection, try_id: str) -> str | None:
    return connection.execute(
        select(tries.c.reconciled).where(tries.c.id == try_id)
    ).scalar_one_or_none()


def _come_late(
    connection: Connection, try_id: str, now_us: int, columns: dict[str, object]
) -> None:
    """
    Add to a reconciled try what its own process knows of it after all.

    What was booked stays: the cost, and the usage of a provider's own record.
    """
    row = connection.execute(select(tries).where(tries.c.id == try_id)).mappings().one()
    by = row["reconciled"]
    stay = {*_COST, *(_USAGE if by == "provider" else ())}
    new = {
        name: value
        for name, value in _told(columns).items()
        if name not in stay and row[name] is None
    }
    connection.execute(
        update(tries).where(tries.c.id == try_id).values({**new, "ended_us": now_us})
    )
    _log.warning(
        "a try ended after it was reconciled; its cost stays as it is",
        try_id=try_id,
        reconciled=by,
        booked_nusd=row["cost_nusd"],
        would_be_nusd=columns.get("cost_nusd"),
    )


def _told(columns: dict[str, object]) -> dict[str, object]:
    """Leave out what is not told, lest it blots out what is known already."""
    return {name: value for name, value in columns.items() if value is not None}


def _move(
    connection: Connection, try_id: str, kind: str, nusd: int, now_us: int
) -> None:
    connection.execute(
        _INSERT_MOVEMENT,
        {"try_id": try_id, "at_us": now_us, "kind": kind, "nusd": nusd},
    )
