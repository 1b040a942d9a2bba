"""
Forecasts: when a budget's window is used up if spending goes on as so far; pure.

A forecast is a straight line through the window's beginning and the present. It is a
warning for people; nothing is refused because of it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Literal

from ask_expert.budget import Cap, Room, from_us, to_us
from ask_expert.money import show
from ask_expert.periods import CALENDAR

Unit = Literal["usd", "calls", "tokens"]

FEWEST_TRIES = 5
"""Fewer tries than this in the window are no rate."""

LEAST_SHARE = 10
"""One part in so many of the window has to be over before its rate counts."""

_BY_THE_CLOCK = ("hour", "day")
_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """
    A budget that will not last to the end of its window.

    Attributes:
        cap: The budget.
        unit: What of it there is too little of.
        used_up_us: When it is used up, microseconds since 1970; the present where
            that has happened.
        is_used_up: Nothing is left of it: all of it is settled.
    """

    cap: Cap
    unit: Unit
    used_up_us: int
    is_used_up: bool = False

    def sentence(self, zone: tzinfo = UTC) -> str:
        """Return the forecast for people, with the days and hours of a time zone."""
        cap = self.cap
        size = {
            "usd": show(cap.nusd or 0),
            "calls": f"{cap.calls:,} calls" if cap.calls is not None else "",
            "tokens": f"{cap.tokens:,} tokens" if cap.tokens is not None else "",
        }[self.unit]
        of = f" of {cap.whose}, {size}," if cap.whose else f" of {size}"
        what = f"the {cap.scope} budget{of}"
        if self.is_used_up:
            return f"Nothing is left of {what.rstrip(',')}."
        return f"At this rate {what} is used up {self._when(zone)}."

    def _when(self, zone: tzinfo) -> str:
        at = from_us(self.used_up_us).astimezone(zone)
        end = from_us(self.cap.end_us).astimezone(zone)
        days = (end.date() - at.date()).days
        if self.cap.scope not in _BY_THE_CLOCK and days:
            return f"on {at.day} {at:%B}, {_count(days, 'day')} before it renews"
        hours = (self.cap.end_us - self.used_up_us) // _HOUR_US
        early = _count(hours, "hour") if hours else "less than an hour"
        return f"at {at:%H:%M %Z}, {early} before it renews"


def forecast(room: Room, now: datetime) -> Forecast | None:
    """
    Return when a window's budget is used up; None where it lasts or nobody can know.

    Settled spending makes the rate, and what it leaves of the cap is left: most of
    what is set aside comes back. The unit that ends first counts.

    Only windows of the calendar are forecast: a task or a total has no end to last
    to, and a rolling budget frees room as it goes. It takes `FEWEST_TRIES` tries,
    since one dear question is no habit, and a tenth of the window, since the first
    morning of a month says nothing of its nights and weekends. Time before the first
    try of a window counts as well, so whoever begins in the middle of a month is
    warned late rather than falsely.

    Args:
        room: A budget with its running sums.
        now: The present.
    """
    cap = room.cap
    now_us = to_us(now)
    over_us = now_us - cap.start_us
    whole_us = cap.end_us - cap.start_us
    if cap.rolling or cap.scope not in CALENDAR or not 0 < over_us < whole_us:
        return None
    if room.calls < FEWEST_TRIES or over_us * LEAST_SHARE < whole_us:
        return None
    ends: list[tuple[int, Unit, bool]] = []
    for unit, used, left in _stock(room):
        if left == 0:
            ends.append((now_us, unit, True))
        elif left is not None and used:
            # Rounded up: at that instant it is used up, a moment before it was not.
            at_us = now_us - (-left * over_us // used)
            ends.append((at_us, unit, False))
    soonest = min(ends, default=None)
    if soonest is None or soonest[0] >= cap.end_us:
        return None
    at_us, unit, is_used_up = soonest
    return Forecast(cap=cap, unit=unit, used_up_us=at_us, is_used_up=is_used_up)


def forecasts(rooms: Iterable[Room], now: datetime) -> Iterator[Forecast]:
    """Yield a forecast for every budget that will not last."""
    for room in rooms:
        found = forecast(room, now)
        if found is not None:
            yield found


def _stock(room: Room) -> Iterator[tuple[Unit, int, int | None]]:
    settled = replace(room, reserved_nusd=0, reserved_tokens=0)
    yield "usd", settled.spent_nusd, settled.left_nusd
    yield "calls", settled.calls, settled.calls_left
    yield "tokens", settled.tokens, settled.tokens_left


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
