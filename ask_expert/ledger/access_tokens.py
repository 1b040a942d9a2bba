"""The access tokens of a team's server; each change of one is on record."""

from dataclasses import replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    insert,
    select,
    update,
)

from ask_expert.access import AccessToken, said_by
from ask_expert.errors import LedgerError, NameTakenError
from ask_expert.ledger import changes
from ask_expert.ledger.engine import reading, translated_errors, writing
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import access_tokens

_COLUMNS = tuple(each for each in access_tokens.c if each.name != "digest")


def add(
    ledger: Ledger,
    token: AccessToken,
    *,
    digest: str,
    at_us: int,
    by: str,
    issuer: str | None = None,
) -> None:
    """
    Keep a new token by the digest of its secret.

    Args:
        ledger: The ledger.
        token: The token.
        digest: Of its secret.
        at_us: Microseconds since 1970 UTC.
        by: Who issues it.
        issuer: Id of the token by which it is issued, which must be good still.

    Raises:
        NameTakenError: A token in use has its name.
        LedgerError: The issuer ended, or the ledger cannot be written.
    """
    with translated_errors(ledger.path), writing(ledger.engine) as connection:
        # Asked inside the write lock: what a token issued ends with it.
        if issuer is not None:
            issuing = _one(connection, access_tokens.c.id == issuer)
            trouble = issuing and issuing.trouble(at_us)
            if trouble:
                raise LedgerError(trouble)
        taken = _one(connection, access_tokens.c.name == token.name, _in_use())
        if taken is not None:
            ended = taken.trouble(at_us)
            raise NameTakenError(
                f"There is a token {token.name!r} already"
                f"{', although it expired' if ended else ''}: "
                "revoke it, or take another name."
            )
        connection.execute(
            insert(access_tokens).values(
                **{each.name: getattr(token, each.name) for each in _COLUMNS},
                digest=digest,
            )
        )
        changes.record(
            connection,
            kind="token",
            name=token.name,
            old=None,
            new=_described(token),
            by=by,
            at_us=at_us,
        )


def find(ledger: Ledger, digest: str) -> AccessToken | None:
    """
    Return the token whose secret has this digest, also one that is no longer good.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        return _one(connection, access_tokens.c.digest == digest)


def named(ledger: Ledger, name: str) -> AccessToken | None:
    """
    Return the token of a name that is in use, else the last one that was.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        return _last(connection, name)


def every(ledger: Ledger) -> tuple[AccessToken, ...]:
    """
    Return all tokens that ever were, oldest first.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        query = _tokens().order_by(access_tokens.c.created_us, access_tokens.c.id)
        return tuple(_token(row) for row in connection.execute(query).mappings())


def revoke(
    ledger: Ledger, name: str, *, at_us: int, by: str
) -> tuple[AccessToken, ...]:
    """
    End a token for good, and with a lead's all that it issued; the names are free again.

    Returns:
        The token as it is now, and then those that ended with it. It was revoked before
        `at_us` if it was already, which changes nothing. Empty when there never was one
        of this name.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    with translated_errors(ledger.path), writing(ledger.engine) as connection:
        old = _last(connection, name)
        if old is None or old.revoked_us is not None:
            return () if old is None else (old,)
        ended = (old, *(_issued(connection, old) if old.role == "lead" else ()))
        return tuple(_end(connection, each, at_us=at_us, by=by) for each in ended)


def _issued(connection: Connection, lead: AccessToken) -> list[AccessToken]:
    # A name leads to one token in use, and what an earlier one of this name issued
    # ended with that one.
    query = (
        _tokens()
        .where(_in_use(), access_tokens.c.by == said_by(lead))
        .order_by(access_tokens.c.created_us, access_tokens.c.id)
    )
    return [_token(row) for row in connection.execute(query).mappings()]


def _end(
    connection: Connection, old: AccessToken, *, at_us: int, by: str
) -> AccessToken:
    new = replace(old, revoked_us=at_us)
    connection.execute(
        update(access_tokens)
        .where(access_tokens.c.id == old.id)
        .values(revoked_us=at_us)
    )
    changes.record(
        connection,
        kind="token",
        name=old.name,
        old=_described(old),
        new=_described(new),
        by=by,
        at_us=at_us,
    )
    return new


def _in_use() -> ColumnElement[bool]:
    return access_tokens.c.revoked_us.is_(None)


def _tokens() -> Select[*tuple[Any, ...]]:
    return select(*_COLUMNS)


def _one(
    connection: Connection, *conditions: ColumnElement[bool]
) -> AccessToken | None:
    query = _tokens().where(*conditions)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _token(row)


def _last(connection: Connection, name: str) -> AccessToken | None:
    query = (
        _tokens()
        .where(access_tokens.c.name == name)
        .order_by(
            _in_use().desc(),
            access_tokens.c.revoked_us.desc(),
            access_tokens.c.created_us.desc(),
        )
        .limit(1)
    )
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _token(row)


def _token(row: RowMapping) -> AccessToken:
    fields: dict[str, Any] = {str(name): value for name, value in row.items()}
    fields["budgets"] = tuple(fields["budgets"])
    return AccessToken(**fields)


def _described(token: AccessToken) -> dict[str, object]:
    """Return what a change says of a token, without what is absent."""
    found = {each.name: getattr(token, each.name) for each in _COLUMNS}
    del found["name"]
    return {name: value for name, value in found.items() if value is not None}
