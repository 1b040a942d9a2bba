"""
Budgets: scopes, windows, and the rule that decides whether a reservation fits.

Pure: the ledger hands in the running sums and asks inside its own transaction,
so the answer cannot be out of date by the time it is used.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Protocol

from ask_expert.money import nusd, show
from ask_expert.question import Caller

FOREVER_US = 2**62
"""End of a window that never ends, in microseconds since 1970."""

_CALENDAR = ("day", "week", "month", "year")


class Limit(Protocol):
    """One line of a policy's `budgets`."""

    @property
    def scope(self) -> str:
        """`call`, `task`, `session`, `day`, `week`, `month`, `year` or `total`."""
        ...

    @property
    def usd(self) -> Decimal | None:
        """Most that may be spent in a window, in USD; None is no limit."""
        ...

    @property
    def calls(self) -> int | None:
        """Most tries that may be sent in a window; None is no limit."""
        ...

    @property
    def per(self) -> Sequence[str]:
        """What gets a window of its own, e.g. `expert`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """
    One budget in one window.

    Attributes:
        scope: `day`, `task` …
        key: Which task or session; empty for calendar scopes and `total`.
        expert: The expert it is for, or empty for all of them.
        start_us: First instant of the window, microseconds since 1970 UTC.
        end_us: First instant after it.
        nusd: Most that may be spent, in nano-dollars; None is no limit.
        calls: Most tries that may be sent; None is no limit.
        began: Local date of a calendar window's first instant, for people.
    """

    scope: str
    key: str = ""
    expert: str = ""
    start_us: int = 0
    end_us: int = FOREVER_US
    nusd: int | None = None
    calls: int | None = None
    began: str = ""

    @property
    def label(self) -> str:
        """Name of the window for people, e.g. `day 2026-11-22`."""
        of = f" of {self.expert}" if self.expert else ""
        if self.scope in _CALENDAR:
            return f"{self.scope} {self.began}{of}"
        key = self.key.rpartition("\x1f")[2]
        return f"{self.scope} {key}{of}".replace("  ", " ").rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A cap with the running sums of its window at one instant."""

    cap: Cap
    spent_nusd: int = 0
    reserved_nusd: int = 0
    calls: int = 0

    @property
    def left_nusd(self) -> int | None:
        """Nano-dollars a new reservation may take; None is no limit."""
        if self.cap.nusd is None:
            return None
        return max(0, self.cap.nusd - self.spent_nusd - self.reserved_nusd)

    @property
    def calls_left(self) -> int | None:
        """Tries that may still be sent; None is no limit."""
        if self.cap.calls is None:
            return None
        return max(0, self.cap.calls - self.calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """A reservation that does not fit, and the budget it does not fit into."""

    room: Room
    needed_nusd: int

    @property
    def renews_at(self) -> datetime | None:
        """When the window ends; None when it never does."""
        if self.room.cap.end_us >= FOREVER_US:
            return None
        return from_us(self.room.cap.end_us)

    @property
    def reason(self) -> str:
        """One sentence: which budget, what is left, when it renews."""
        cap = self.room.cap
        if self.room.calls_left == 0:
            what = f"all {cap.calls} calls of the {cap.label} budget are used"
        else:
            what = (
                f"the {cap.label} budget of {show(cap.nusd or 0)} has "
                f"{show(self.room.left_nusd or 0)} left and this needs up to "
                f"{show(self.needed_nusd)}"
            )
        return f"{what[0].upper()}{what[1:]}; {self._renewal}."

    @property
    def _renewal(self) -> str:
        if self.renews_at is not None:
            return f"it renews at {self.renews_at:%Y-%m-%dT%H:%M:%SZ}"
        return {
            "call": "it bounds every single call and does not renew",
            "task": "it renews with the next task",
            "session": "it renews with the next session",
        }.get(self.room.cap.scope, "it does not renew by itself")


def to_us(moment: datetime) -> int:
    """Return whole microseconds since 1970 UTC."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def from_us(us: int) -> datetime:
    """Return the UTC instant of whole microseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def caps(
    limits: Iterable[Limit],
    *,
    caller: Caller,
    task: str,
    expert: str,
    now: datetime,
    zone: tzinfo = UTC,
) -> tuple[Cap, ...]:
    """Return every cap that a try of `expert` for this caller has to fit into."""
    return tuple(
        _cap(limit, caller=caller, task=task, expert=expert, now=now, zone=zone)
        for limit in limits
    )


def task_key(caller: Caller, task: str) -> str:
    """Return the key of a task: its name means nothing outside user and project."""
    return f"{caller.user}\x1f{caller.project}\x1f{task}"


def _cap(
    limit: Limit,
    *,
    caller: Caller,
    task: str,
    expert: str,
    now: datetime,
    zone: tzinfo,
) -> Cap:
    keys = {"task": task_key(caller, task), "session": caller.session}
    start, end = window(limit.scope, now, zone)
    return Cap(
        scope=limit.scope,
        key=keys.get(limit.scope, ""),
        expert=expert if "expert" in limit.per else "",
        start_us=start,
        end_us=end,
        nusd=None if limit.usd is None else nusd(limit.usd),
        calls=limit.calls,
        began=f"{from_us(start).astimezone(zone):%Y-%m-%d}" if start else "",
    )


def window(scope: str, now: datetime, zone: tzinfo = UTC) -> tuple[int, int]:
    """
    Return start and end of the scope's window around `now`, in microseconds.

    Calendar windows begin at local midnight in `zone`; a day with a clock change
    is 23 or 25 hours long. Weeks begin on Monday (ISO 8601).
    """
    if scope not in _CALENDAR:
        return 0, FOREVER_US
    local = now.astimezone(zone)
    midnight = datetime(local.year, local.month, local.day)  # noqa: DTZ001  # a wall time
    first, after = {
        "day": (midnight, midnight + timedelta(days=1)),
        "week": _week(midnight),
        "month": (
            midnight.replace(day=1),
            (midnight.replace(day=28) + timedelta(days=4)).replace(day=1),
        ),
        "year": (
            midnight.replace(month=1, day=1),
            midnight.replace(year=midnight.year + 1, month=1, day=1),
        ),
    }[scope]
    return to_us(first.replace(tzinfo=zone)), to_us(after.replace(tzinfo=zone))


def _week(midnight: datetime) -> tuple[datetime, datetime]:
    monday = midnight - timedelta(days=midnight.weekday())
    return monday, monday + timedelta(days=7)


def grant(rooms: Iterable[Room], *, want_nusd: int, least_nusd: int) -> int | Denied:
    """
    Return the nano-dollars to set aside, or the room that is too small.

    Args:
        rooms: Every cap the try has to fit into, with its running sums.
        want_nusd: The worst case at the full output ceiling.
        least_nusd: The worst case at the smallest useful output ceiling.

    Returns:
        Between `least_nusd` and `want_nusd`, or a denial naming the tightest room.
    """
    granted = want_nusd
    denied: Room | None = None
    for room in rooms:
        if room.calls_left == 0:
            return Denied(room=room, needed_nusd=least_nusd)
        left = room.left_nusd
        if left is not None and left < granted:
            granted = left
            denied = room if left < least_nusd else denied
    if denied is not None:
        return Denied(room=denied, needed_nusd=least_nusd)
    return granted


def left_nusd(rooms: Iterable[Room]) -> int | None:
    """
    Return the smallest room left; None when no cap is in USD.

    What bounds a single call is no stock that runs down, and does not count.
    """
    return min(
        (
            room.left_nusd
            for room in rooms
            if room.left_nusd is not None and room.cap.scope != "call"
        ),
        default=None,
    )
