"""
Where a ledger is: the path of a file, or the address of a PostgreSQL database.

An address may hold a password only where it comes from a variable; it is never
shown again.
"""

from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

Where = Path | str
"""A SQLite file's path, or an address `postgresql://user@host:5432/database`."""

EXAMPLE = "postgresql://user@host:5432/database"

_SCHEMES = ("postgresql", "postgres")
_HIDDEN = {"password", "sslpassword"}


def is_server(where: Where) -> bool:
    """Return whether the ledger is in a database server."""
    return isinstance(where, str) and "://" in where


def check(address: str) -> None:
    """
    Check a server's address.

    Raises:
        ValueError: It cannot be used; the text says what is wrong and repeats
            nothing of it.
    """
    parts = _split(address)
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"must be a path or {EXAMPLE}")
    if not parts.path.strip("/"):
        raise ValueError(f"names no database; give {EXAMPLE}")
    names = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    if names & _HIDDEN:
        raise ValueError(
            "must hold no password behind its `?`; set PGPASSWORD or use ~/.pgpass"
        )


def password(where: Where) -> str | None:
    """Return the password in an address."""
    if not is_server(where):
        return None
    found = _split(str(where)).password
    return None if found is None else unquote(found)


def shown(where: Where) -> str:
    """Return a path or an address as it may be shown: without its password."""
    if not is_server(where):
        return str(where)
    try:
        parts = _split(str(where))
    except ValueError:
        return "postgresql://…"
    place = parts.netloc.rpartition("@")[2]
    user = f"{parts.username}@" if parts.username else ""
    return f"postgresql://{user}{place}{parts.path}"


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"is no address; give {EXAMPLE}") from error
    return parts
