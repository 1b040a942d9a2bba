"""Columns and sums that mean the same in SQLite and in PostgreSQL."""

import json
from typing import Any, cast

from sqlalchemy import BigInteger, ColumnElement, Dialect, Text, func
from sqlalchemy import cast as sql_cast
from sqlalchemy.types import TypeDecorator, TypeEngine


class Words(TypeDecorator[str]):
    """
    Text that both databases can hold, and compare and order byte by byte.

    PostgreSQL takes no NUL, neither takes half a surrogate pair, and an answer that
    was paid for may hold either: what cannot be stored becomes U+FFFD. Without the
    collation, PostgreSQL would order by the rules of the server's language.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the database's own type."""
        collation = "C" if dialect.name == "postgresql" else None
        return dialect.type_descriptor(Text(collation=collation))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # its signature is given
        """Return what is stored of a text."""
        return None if value is None else storable(value)


def storable(text: str) -> str:
    """Return a text with what no database takes replaced."""
    if text.isascii():
        return text.replace("\0", "\ufffd")
    halves = text.encode("utf-16-le", "surrogatepass")
    return halves.decode("utf-16-le", "replace").replace("\0", "\ufffd")


def as_json(value: object) -> str:
    """Return a JSON document that both databases can store and read in."""
    text = json.dumps(value)
    if r"\u0000" in text or r"\ud" in text:
        text = json.dumps(clean(value))
    return text


def clean(value: object) -> object:
    """Return a value for JSON with what no database takes replaced in its texts."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        items = cast("dict[object, object]", value).items()
        return {clean(name): clean(each) for name, each in items}
    if isinstance(value, list | tuple):
        return [clean(each) for each in cast("list[object]", value)]
    return value


def total(
    column: ColumnElement[Any], *, where: ColumnElement[bool] | None = None
) -> ColumnElement[int]:
    """Return the sum of a column of whole numbers, as one; 0 of none."""
    found: ColumnElement[Any] = func.sum(column)
    if where is not None:
        found = func.sum(column).filter(where)
    # PostgreSQL sums whole numbers of 64 bits to `numeric`, which Python reads as
    # a Decimal.
    return sql_cast(func.coalesce(found, 0), BigInteger)
