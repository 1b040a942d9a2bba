"""
Budgets: scopes, windows, and the rule that decides whether a reservation fits.

Pure: the ledger hands in the running sums and asks inside its own transaction,
so the answer cannot be out of date by the time it is used.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Literal

from ask_expert.limits import Limit, Mode
from ask_expert.money import nusd, show
from ask_expert.periods import (
    CALENDAR,
    FOREVER_US,
    from_us,
    rolling,
    to_us,
    window,
)
from ask_expert.question import Caller
from ask_expert.window_keys import OWN, dimensions, key_of, pairs_of, told_apart_by

__all__ = [
    "FOREVER_US",
    "Cap",
    "Denied",
    "Room",
    "buckets",
    "caps",
    "for_expert",
    "from_us",
    "grant",
    "left_nusd",
    "most_output",
    "to_us",
]

_ROLLING = "rolling "


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """
    One budget in one window.

    Attributes:
        scope: `day`, `task` …
        key: Whose window it is, as `key_of` writes it; empty for everybody's.
        expert: The expert it is for, or empty for all of them.
        start_us: First instant of the window, microseconds since 1970 UTC.
        end_us: First instant after it.
        nusd: Most that may be spent, in nano-dollars; None is no limit.
        calls: Most tries that may be sent; None is no limit.
        tokens: Most tokens, input and output together; None is no limit.
        mode: What happens to a question that it has no room for.
        rolling: Whether it counts the period that ends now; its window is then the
            last of the parts that `buckets` returns.
        began: Local time of a calendar window's first instant, for people.
    """

    scope: str
    key: str = ""
    expert: str = ""
    start_us: int = 0
    end_us: int = FOREVER_US
    nusd: int | None = None
    calls: int | None = None
    tokens: int | None = None
    mode: Mode = "hard"
    rolling: bool = False
    began: str = ""

    @property
    def when(self) -> str:
        """The window without its owner, e.g. `day 2026-11-22` or `task t_1`."""
        if self.rolling:
            return f"rolling {self.scope}"
        if self.scope in CALENDAR:
            return f"{self.scope} {self.began}".rstrip()
        if self.scope == "expert":
            return f"expert {self.expert}".rstrip()
        name = pairs_of(self.key).get(self.scope, "")
        return f"{self.scope} {name}".rstrip()

    @property
    def whose(self) -> str:
        """Whose window it is beside its scope, e.g. `project /x and expert flagship`."""
        pairs = pairs_of(self.key)
        known = {*OWN.get(self.scope, ())}
        if "task" in pairs:
            known |= {"project", "user"}
        parts = [
            f"{name} {value or 'none'}"
            for name, value in pairs.items()
            if name not in known
        ]
        if self.expert and self.scope != "expert":
            parts.append(f"expert {self.expert}")
        return " and ".join(parts)

    @property
    def label(self) -> str:
        """Name of the window for people, e.g. `day 2026-11-22 of expert flagship`."""
        return f"{self.when} of {self.whose}" if self.whose else self.when


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A cap with the running sums of its window at one instant."""

    cap: Cap
    spent_nusd: int = 0
    reserved_nusd: int = 0
    calls: int = 0
    tokens: int = 0
    reserved_tokens: int = 0

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

    @property
    def tokens_left(self) -> int | None:
        """Tokens a new reservation may take; None is no limit."""
        if self.cap.tokens is None:
            return None
        return max(0, self.cap.tokens - self.tokens - self.reserved_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """
    A reservation that does not fit, and the budget it does not fit into.

    Attributes:
        room: The budget.
        needed_nusd: The least that the try would have to set aside.
        needed_tokens: The fewest tokens that it would have to set aside.
        unit: What there is too little of.
    """

    room: Room
    needed_nusd: int
    needed_tokens: int = 0
    unit: Literal["usd", "calls", "tokens"] = "usd"

    @property
    def asks_person(self) -> bool:
        """Whether a person may say yes although there is no room."""
        return self.room.cap.mode == "soft"

    @property
    def degrades(self) -> bool:
        """Whether the next cheaper expert is asked instead."""
        return self.room.cap.mode == "degrade"

    @property
    def renews_at(self) -> datetime | None:
        """When the window ends; None when it never does, or bit by bit."""
        if self.room.cap.rolling or self.room.cap.end_us >= FOREVER_US:
            return None
        return from_us(self.room.cap.end_us)

    @property
    def reason(self) -> str:
        """One sentence: which budget, what is left, when it renews."""
        cap = self.room.cap
        of = f" of {cap.whose}" if cap.whose else ""
        if self.unit == "calls":
            what = f"all {cap.calls} calls of the {cap.when} budget{of} are used"
        elif self.unit == "tokens":
            what = (
                f"the {cap.when} budget{of}, {cap.tokens:,} tokens, has "
                f"{self.room.tokens_left:,} left and this needs up to "
                f"{self.needed_tokens:,}"
            )
        else:
            total = show(cap.nusd or 0)
            of = f"{of}, {total}," if of else f" of {total}"
            what = (
                f"the {cap.when} budget{of} has {show(self.room.left_nusd or 0)} left "
                f"and this needs up to {show(self.needed_nusd)}"
            )
        return f"{what[0].upper()}{what[1:]}; {self._renewal}."

    @property
    def _renewal(self) -> str:
        cap = self.room.cap
        if cap.rolling:
            return (
                f"it frees room bit by bit as calls get older than a {cap.scope}, and "
                "when there will be enough is not known"
            )
        if self.renews_at is not None:
            return f"it renews at {self.renews_at:%Y-%m-%dT%H:%M:%SZ}"
        return {
            "call": "it bounds every single call and does not renew",
            "task": "it renews with the next task",
            "session": "it renews with the next session",
            "thread": "it renews with the next thread",
        }.get(cap.scope, "it does not renew by itself")


def caps(
    limits: Iterable[Limit],
    *,
    caller: Caller,
    task: str,
    expert: str,
    now: datetime,
    thread: str | None = None,
    zone: tzinfo = UTC,
) -> tuple[Cap, ...]:
    """Return every cap that a try of `expert` for this caller has to fit into."""
    pairs = dimensions(caller, task=task, thread=thread)
    return tuple(
        _cap(limit, pairs=pairs, expert=expert, now=now, zone=zone) for limit in limits
    )


def _cap(
    limit: Limit, *, pairs: Mapping[str, str], expert: str, now: datetime, zone: tzinfo
) -> Cap:
    names = told_apart_by(limit.scope, limit.per)
    start, end, began = _span(limit.scope, now, zone, is_rolling=limit.rolling)
    return Cap(
        scope=limit.scope,
        key=key_of({name: pairs[name] for name in names - {"expert"}}),
        expert=expert if "expert" in names else "",
        start_us=start,
        end_us=end,
        nusd=None if limit.usd is None else nusd(limit.usd),
        calls=limit.calls,
        tokens=limit.tokens,
        mode=limit.mode,
        rolling=limit.rolling,
        began=began,
    )


@lru_cache(maxsize=64)
def _span(
    scope: str, now: datetime, zone: tzinfo, *, is_rolling: bool
) -> tuple[int, int, str]:
    """Return a window's start and end, and its beginning for people."""
    if is_rolling:
        start, end = rolling(scope, to_us(now))[-1]
    else:
        start, end = window(scope, now, zone)
    form = "%Y-%m-%dT%H:%M" if scope == "hour" else "%Y-%m-%d"
    return start, end, f"{from_us(start).astimezone(zone):{form}}" if start else ""


def buckets(cap: Cap) -> tuple[Cap, ...]:
    """Return the windows, oldest first, whose sums a rolling budget adds up."""
    return tuple(
        replace(
            cap,
            scope=_ROLLING + cap.scope,
            rolling=False,
            start_us=start,
            end_us=end,
        )
        for start, end in rolling(cap.scope, cap.start_us)
    )


def grant(
    rooms: Iterable[Room],
    *,
    want_nusd: int,
    least_nusd: int,
    least_tokens: int = 0,
    approved: bool = False,
) -> int | Denied:
    """
    Return the nano-dollars to set aside, or the room that is too small.

    Args:
        rooms: Every cap the try has to fit into, with its running sums.
        want_nusd: The worst case at the full output ceiling.
        least_nusd: The worst case at the smallest useful output ceiling.
        least_tokens: The tokens, input included, at that ceiling.
        approved: A person said yes, so soft budgets do not bind.

    Returns:
        Between `least_nusd` and `want_nusd`, or a denial naming the tightest room:
        of a hard budget if there is one, and of a soft one last.
    """
    binding = _binding(rooms, approved=approved)
    denials = [
        denied
        for room in binding
        if (denied := _too_small(room, least_nusd, least_tokens)) is not None
    ]
    if denials:
        return min(denials, key=_first_named)
    lefts = (room.left_nusd for room in binding)
    return min([want_nusd, *(left for left in lefts if left is not None)])


def most_output(
    rooms: Iterable[Room], *, input_tokens: int, approved: bool = False
) -> int | None:
    """Return the output tokens that budgets in tokens have room for; None is no limit."""
    lefts = [room.tokens_left for room in _binding(rooms, approved=approved)]
    found = [left for left in lefts if left is not None]
    return max(0, min(found) - input_tokens) if found else None


def _binding(rooms: Iterable[Room], *, approved: bool) -> list[Room]:
    return [room for room in rooms if not (approved and room.cap.mode == "soft")]


def _too_small(room: Room, least_nusd: int, least_tokens: int) -> Denied | None:
    denied = Denied(room=room, needed_nusd=least_nusd, needed_tokens=least_tokens)
    if room.calls_left == 0:
        return replace(denied, unit="calls")
    if room.tokens_left is not None and room.tokens_left < least_tokens:
        return replace(denied, unit="tokens")
    if room.left_nusd is not None and room.left_nusd < least_nusd:
        return denied
    return None


def _first_named(denied: Denied) -> tuple[int, int, int]:
    """Return what orders denials: by mode, by unit, by what is left."""
    room = denied.room
    left = room.left_nusd if denied.unit == "usd" else room.tokens_left
    return (
        ("hard", "degrade", "soft").index(room.cap.mode),
        ("calls", "tokens", "usd").index(denied.unit),
        left or 0,
    )


def left_nusd(rooms: Iterable[Room], *, experts: Collection[str] = ()) -> int | None:
    """
    Return the smallest room left; None when no cap is in USD.

    What bounds a single call is no stock that runs down, and does not count.

    Args:
        rooms: Every budget of the caller, of whichever expert.
        experts: Whose budgets count beside those of all experts together. Where none
            is named, those of the expert count that has most left: it could be asked.
    """
    lefts: dict[str, list[int]] = {}
    for room in rooms:
        if room.cap.scope != "call" and room.left_nusd is not None:
            lefts.setdefault(room.cap.expert, []).append(room.left_nusd)
    shared = lefts.pop("", [])
    own = [min(found) for name, found in lefts.items() if name in experts]
    if not experts and lefts:
        own = [max(min(found) for found in lefts.values())]
    return min([*shared, *own], default=None)


def for_expert(rooms: Iterable[Room], expert: str) -> list[Room]:
    """Return the budgets that a try of this expert has to fit into."""
    return [room for room in rooms if room.cap.expert in {"", expert}]
