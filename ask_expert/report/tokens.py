"""Access tokens for people; their secrets are nowhere to be shown."""

from ask_expert.access import AccessToken, words
from ask_expert.errors import LedgerError
from ask_expert.ledger import access_tokens
from ask_expert.ledger.export import moment
from ask_expert.ledger.store import Ledger

HEAD = ("name", "user", "project", "role", "policy", "budgets", "state")
"""Names of the cells of a token."""

_SERVERS_OWN = "the server's own"


def cells(token: AccessToken, now_us: int) -> tuple[str, ...]:
    """Return a token as a table shows it."""
    return (
        token.name,
        token.user,
        token.project,
        token.role,
        token.policy or _SERVERS_OWN,
        "; ".join(words(each) for each in token.budgets),
        state(token, now_us),
    )


def state(token: AccessToken, now_us: int) -> str:
    """Return whether a token is good, and until when."""
    if token.revoked_us is not None:
        return f"revoked {_second(token.revoked_us)}"
    if token.expires_us is None:
        return "in use"
    ended = token.expires_us <= now_us
    when = _second(token.expires_us)
    return f"expired {when}" if ended else f"in use until {when}"


def as_json(token: AccessToken, now_us: int) -> dict[str, object]:
    """Return a token as JSON can carry it."""
    return {
        "id": token.id,
        "name": token.name,
        "user": token.user,
        "project": token.project,
        "role": token.role,
        "policy": token.policy,
        "budgets": [dict(each) for each in token.budgets],
        "good": token.trouble(now_us) is None,
        "created_at": moment(token.created_us),
        "by": token.by,
        "expires_at": _moment(token.expires_us),
        "revoked_at": _moment(token.revoked_us),
    }


def for_people(token: AccessToken, now_us: int) -> dict[str, object]:
    """Return a token as an outline shows it."""
    return {
        **as_json(token, now_us),
        "policy": token.policy or _SERVERS_OWN,
        "budgets": "; ".join(words(each) for each in token.budgets),
        "good": state(token, now_us),
    }


def named(ledger: Ledger, name: str) -> AccessToken:
    """
    Return the token of a name that is in use, else the last one that was.

    Raises:
        LedgerError: There is none.
    """
    found = access_tokens.named(ledger, name)
    if found is None:
        raise _unknown(name)
    return found


def revoke(ledger: Ledger, name: str, *, now_us: int, by: str) -> str:
    """
    End a token for good, and with a lead's all that it issued; say so in a sentence.

    Raises:
        LedgerError: There is none, or the ledger cannot be written.
    """
    found = access_tokens.revoke(ledger, name, at_us=now_us, by=by)
    if not found:
        raise _unknown(name)
    revoked_us = found[0].revoked_us or now_us
    if revoked_us != now_us:
        return f"The token {name} was revoked at {_second(revoked_us)} already."
    if len(found) == 1:
        return f"The token {name} is revoked: every server refuses it from now on."
    issued = ", ".join(each.name for each in found[1:])
    return (
        f"The token {name} is revoked, and with it those that it issued ({issued}): "
        "every server refuses them from now on."
    )


def _unknown(name: str) -> LedgerError:
    return LedgerError(
        f"There is no token {name[:80]!r}; `ask-expert token list` shows those there are."
    )


def _second(us: int) -> str:
    return moment(us)[:19] + "Z"


def _moment(us: int | None) -> str | None:
    return None if us is None else moment(us)
