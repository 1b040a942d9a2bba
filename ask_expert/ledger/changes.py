"""Who changed a token, a policy or a cap, and when: rows that are only ever appended."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

from sqlalchemy import Connection, insert, select

from ask_expert.access import window_of
from ask_expert.ledger.engine import reading, translated_errors, writing
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import changes

Kind = Literal["token", "policy", "cap"]
State = Mapping[str, object]
"""What something was like before or after a change, as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    One change.

    Attributes:
        id: Changes are numbered in their order.
        at_us: When, microseconds since 1970 UTC.
        by: Who made it.
        kind: What was changed.
        name: The token's or the policy's name.
        old: What was before; None for what is new.
        new: What is now; None for what is gone.
    """

    id: int
    at_us: int
    by: str
    kind: Kind
    name: str
    old: State | None
    new: State | None


def record(
    connection: Connection,
    *,
    kind: Kind,
    name: str,
    old: State | None,
    new: State | None,
    by: str,
    at_us: int,
) -> None:
    """Append one change, in the transaction that makes it."""
    connection.execute(
        insert(changes).values(
            at_us=at_us, by=by, kind=kind, name=name, old=old, new=new
        )
    )


def latest(ledger: Ledger, limit: int) -> tuple[Change, ...]:
    """
    Return the latest changes, newest first.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        rows = connection.execute(
            select(changes).order_by(changes.c.id.desc()).limit(limit)
        ).mappings()
        return tuple(Change(**dict(row)) for row in rows)


def note_policy(
    ledger: Ledger, *, name: str, document: State, policy_hash: str, by: str, at_us: int
) -> bool:
    """
    Put on record that a policy, and which of its caps, is not what it was.

    Nothing is written, and no write lock is taken, where it is what the last row of
    its name says. Where two homes that share a ledger have different policies of one
    name, each change from one to the other is on record.

    Args:
        ledger: The ledger.
        name: The policy's name.
        document: The policy as JSON, without what is absent.
        policy_hash: What tells its documents apart.
        by: Who uses it now.
        at_us: Now, microseconds since 1970 UTC.

    Returns:
        Whether anything was written.

    Raises:
        LedgerError: The ledger cannot be read or written.
    """
    new: State = {"hash": policy_hash, "document": document}
    with translated_errors(ledger.path):
        with reading(ledger.engine) as connection:
            if _is_known(_policy(connection, name), new):
                return False
        with writing(ledger.engine) as connection:
            # Looked at again behind the lock: another process may have written it.
            old = _policy(connection, name)
            if _is_known(old, new):
                return False
            note = partial(record, connection, by=by, at_us=at_us)
            note(kind="policy", name=name, old=old, new=new)
            for before, after in differences(_budgets(old), _budgets(new)):
                whose = window_of(after or before or {})
                note(kind="cap", name=f"{name}: {whose}", old=before, new=after)
    return True


def _policy(connection: Connection, name: str) -> State | None:
    """Return what the last row of a policy says; one read along an index."""
    return connection.execute(
        select(changes.c.new)
        .where(changes.c.kind == "policy", changes.c.name == name)
        .order_by(changes.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()


def _is_known(old: State | None, new: State) -> bool:
    return old is not None and old["hash"] == new["hash"]


def _budgets(policy: State | None) -> Sequence[State]:
    if policy is None:
        return ()
    return cast("Sequence[State]", cast("State", policy["document"]).get("budgets", ()))


def differences(
    old: Sequence[State], new: Sequence[State]
) -> Iterator[tuple[State | None, State | None]]:
    """Yield what was and is of every budget that is changed, gone or new."""
    gone, come = [*old], [*new]
    alike: tuple[Callable[[State], object], ...] = (
        lambda line: line,
        lambda line: (_whose(line), line.get("mode", "hard")),
        _whose,
    )
    for shape in alike:
        for before in [*gone]:
            after = next((each for each in come if shape(each) == shape(before)), None)
            if after is None:
                continue
            gone.remove(before)
            come.remove(after)
            if before != after:
                yield before, after
    yield from ((before, None) for before in gone)
    yield from ((None, after) for after in come)


def _whose(line: State) -> object:
    """Return what tells the windows of a budget from those of another."""
    per = sorted(cast("Sequence[str]", line.get("per", ())))
    return line["scope"], per, bool(line.get("rolling"))
