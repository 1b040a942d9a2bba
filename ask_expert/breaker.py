"""
The circuit breaker: when an expert is left alone for a while, and for how long.

Pure; the ledger keeps one breaker an expert, for all processes that share it. An
expert that fails several times in a row rests; then one try may look whether it is
back, and only that one.

Source:
    Nygard (2018), "Release It!", 2nd edition, chapter 5, "Circuit Breaker".
"""

from dataclasses import dataclass
from typing import Literal

from ask_expert.errors import (
    ExpertError,
    ExpertRejectedError,
    ExpertReplyError,
    ExpertUnavailableError,
)

FIRST_REST_US = 30_000_000
"""First rest, in microseconds; it doubles with every further failure."""

LONGEST_REST_US = 15 * 60_000_000
"""No rest is longer, in microseconds."""

LOOK_US = 60_000_000
"""While one try looks whether the expert is back, others wait so long for it."""

_PASSING = frozenset({402, 408, 409, 425, 429})
"""Statuses of a working provider that has no room for this very request."""

_NO_QUOTA = frozenset({402, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """
    What a breaker guards.

    Attributes:
        expert: Name of the expert.
        address: Where it is served, and by which model: a breaker does not outlive
            the settings that it was opened under.
        after: Failures in a row after which it rests; 0 is never.
    """

    expert: str
    address: str
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """
    How an expert has done of late.

    Attributes:
        failures: Failures in a row.
        until_us: Until when it rests, microseconds since 1970; 0 if it does not.
        reason: Its last failure.
        looker: The escalation that looks whether it is back.
    """

    failures: int = 0
    until_us: int = 0
    reason: str = ""
    looker: str | None = None

    def rests(self, now_us: int) -> bool:
        """
        Return whether the expert is left alone at this instant.

        An end that is further off than any rest was set by a clock that was wrong.
        """
        return 0 < self.until_us - now_us <= LONGEST_REST_US


Trouble = Literal["outage", "quota"]


def trouble(error: ExpertError) -> Trouble | None:
    """
    Return what a failure says of the expert; None if it says nothing of others.

    A request that is wrong in itself, or one too many at this moment, leaves the
    breaker as it is.
    """
    status = error.http_status
    if isinstance(error, ExpertRejectedError):
        return "quota" if status in _NO_QUOTA else None
    if isinstance(error, ExpertUnavailableError | ExpertReplyError):
        return None if status in _PASSING else "outage"
    return None


def after_failure(
    before: Breaker, what: Trouble, *, guarded: Guarded, reason: str, now_us: int
) -> Breaker:
    """
    Return the breaker after one more failure.

    A quota that is used up opens it at once: asking again cannot help.
    """
    failures = before.failures + 1
    allowed = 1 if what == "quota" else guarded.after
    if not guarded.after or failures < allowed:
        return Breaker(failures=failures, reason=reason)
    rest_us = FIRST_REST_US << min(failures - allowed, 10)
    return Breaker(
        failures=failures,
        until_us=now_us + min(rest_us, LONGEST_REST_US),
        reason=reason,
    )


def looking(before: Breaker, now_us: int, *, looker: str) -> Breaker:
    """Return the breaker while one escalation looks whether the expert is back."""
    return Breaker(
        failures=before.failures,
        until_us=now_us + LOOK_US,
        reason=before.reason,
        looker=looker,
    )
