"""Access tokens of a team's server: who they are for, and what each role may do."""

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, cast

from ask_expert.periods import from_us

Role = Literal["owner", "lead", "member"]
"""What a token may do beside asking."""

Action = Literal["ask", "see", "approve", "issue", "manage"]
"""
What a token may want to do.

`ask` is to ask, to read its own answers and to report outcomes; `see` and `approve`
are about everybody's questions of a project; `issue` is to make and to revoke a
member's token; `manage` is everything else, such as caps, policies and other tokens.
"""

BudgetLine = Mapping[str, object]
"""One line of a policy's `budgets`, as JSON; an amount in USD is decimal text."""

PREFIX = "aes_"
"""What every secret begins with, so that it is masked wherever it turns up."""

_SECRET_BYTES = 32

_MAY: Mapping[Role, frozenset[Action]] = {
    "owner": frozenset(("ask", "see", "approve", "issue", "manage")),
    "lead": frozenset(("ask", "see", "approve", "issue")),
    "member": frozenset(("ask",)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """
    One token; its secret is nowhere, and the ledger keeps no more than its digest.

    Attributes:
        id: Also the session of the questions that are asked with it.
        name: What people call it; one token in use has it.
        user: Whose questions they are.
        project: The project that its questions belong to.
        role: What it may do beside asking.
        policy: Preset name or path; the server's own policy when None.
        budgets: Hold beside the policy's budgets; all must have room.
        created_us: Microseconds since 1970 UTC.
        by: Who made it.
        expires_us: From when on it is no longer good; None never ends.
        revoked_us: When it was revoked.
    """

    id: str
    name: str
    user: str
    project: str
    role: Role
    policy: str | None = None
    budgets: tuple[BudgetLine, ...] = ()
    created_us: int
    by: str
    expires_us: int | None = None
    revoked_us: int | None = None

    def trouble(self, now_us: int) -> str | None:
        """Return why it is no longer good, for whoever came with it; None if it is."""
        if self.revoked_us is not None:
            return _ended(self.name, "was revoked", self.revoked_us)
        if self.expires_us is not None and self.expires_us <= now_us:
            return _ended(self.name, "expired", self.expires_us)
        return None


def _ended(name: str, how: str, at_us: int) -> str:
    return (
        f"The access token {name!r} {how} at {from_us(at_us):%Y-%m-%dT%H:%M:%SZ}; "
        "ask whoever runs this server for a new one."
    )


def said_by(token: AccessToken) -> str:
    """Return who did something with a token, for the ledger."""
    return f"token {token.name}"


def masked_trouble(token: AccessToken, scrub: Callable[[str], str]) -> str | None:
    """
    Return why a token's questions would not be found by its names; None if they are.

    Questions are stored masked: a name that looks like a secret is another one there.
    """
    for what, name in (("user", token.user), ("project", token.project)):
        if scrub(name) != name:
            return (
                f"The {what} looks like a secret, and would be masked in each of its "
                "questions: take another name."
            )
    return None


def new_secret(draw: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Return a new secret of 256 random bits, which `draw` returns by their bytes."""
    random = base64.urlsafe_b64encode(draw(_SECRET_BYTES)).decode().rstrip("=")
    return f"{PREFIX}{random}"


def digest(secret: str) -> str:
    """
    Return what the ledger keeps of a secret: its SHA-256, in hex.

    Passwords need a slow hash because they can be guessed; 256 random bits cannot.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def may(token: AccessToken, action: Action, project: str) -> bool:
    """
    Return whether a token's role lets it do something in a project.

    An owner may do everything everywhere; anybody else stays in the own project.
    """
    if token.role != "owner" and token.project != project:
        return False
    return action in _MAY[token.role]


def issue_trouble(by: AccessToken, new: AccessToken) -> str | None:
    """
    Return why one token may not issue another; None if it may.

    A lead issues members' tokens for its own project, with its own policy, that have
    at least its own budgets and end no later than it does. Each token has windows of
    its own, and a lead may issue any number, so its budgets bound each of them and not
    all together.
    """
    if by.role == "owner":
        return None
    if not may(by, "issue", new.project):
        return f"A {by.role}'s token issues none for the project {new.project}."
    if new.role != "member":
        return f"A lead issues tokens of members only, and this one is of a {new.role}."
    if new.policy != by.policy:
        return "A token that a lead issues has the lead's own policy."
    if _outlives(new, by):
        return "A token that a lead issues ends no later than the lead's own."
    wider = [own for own in by.budgets if not _is_held(own, new.budgets)]
    return f"A lead issues no more than its own {words(wider[0])}." if wider else None


def _outlives(new: AccessToken, by: AccessToken) -> bool:
    if by.expires_us is None:
        return False
    return new.expires_us is None or new.expires_us > by.expires_us


def words(line: BudgetLine) -> str:
    """Return a budget for people, e.g. `$5 and 100 calls per day and session`."""
    forms = (("usd", "${}"), ("calls", "{} calls"), ("tokens", "{} tokens"))
    amounts = [
        form.format(line[unit]) for unit, form in forms if line.get(unit) is not None
    ]
    mode = line.get("mode", "hard")
    soft = "" if mode == "hard" else f", {mode}"
    return f"{' and '.join(amounts)} per {window_of(line)}{soft}"


def window_of(line: BudgetLine) -> str:
    """Return what a budget is counted over, e.g. `rolling day and project`."""
    rolling = "rolling " if line.get("rolling") else ""
    return " and ".join([f"{rolling}{line['scope']}", *_per(line)])


def _per(line: BudgetLine) -> list[str]:
    return sorted(cast("Iterable[str]", line.get("per", ())))


def _is_held(own: BudgetLine, budgets: Iterable[BudgetLine]) -> bool:
    """Return whether one of the budgets is as tight as another token's own."""
    return any(_is_within(each, own) for each in budgets)


def _is_within(new: BudgetLine, own: BudgetLine) -> bool:
    same = (
        new["scope"] == own["scope"]
        and _per(new) == _per(own)
        and bool(new.get("rolling")) == bool(own.get("rolling"))
        and new.get("mode", "hard") in {"hard", own.get("mode", "hard")}
    )
    return same and all(
        new.get(unit) is not None and _amount(new[unit]) <= _amount(own[unit])
        for unit in ("usd", "calls", "tokens")
        if own.get(unit) is not None
    )


def _amount(value: object) -> Decimal:
    return Decimal(str(value))
