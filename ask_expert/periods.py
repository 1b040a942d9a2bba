"""Calendar and rolling periods: where a budget's windows begin and end; pure."""

from datetime import UTC, datetime, timedelta, tzinfo

FOREVER_US = 2**62
"""End of a window that never ends, in microseconds since 1970."""

CALENDAR = ("hour", "day", "week", "month", "year")
"""Scopes whose windows follow one another on the calendar."""

BUCKETS = 24
"""A rolling period is counted in so many equal parts."""

_HOUR_US = 3_600_000_000
_ROLLING_US = {
    "hour": _HOUR_US,
    "day": 24 * _HOUR_US,
    "week": 7 * 24 * _HOUR_US,
    "month": 30 * 24 * _HOUR_US,
    "year": 365 * 24 * _HOUR_US,
}


def to_us(moment: datetime) -> int:
    """Return whole microseconds since 1970 UTC."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def from_us(us: int) -> datetime:
    """Return the UTC instant of whole microseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def window(scope: str, now: datetime, zone: tzinfo = UTC) -> tuple[int, int]:
    """
    Return start and end of the scope's window around `now`, in microseconds.

    Days and longer begin at local midnight in `zone`; a day with a clock change
    is 23 or 25 hours long. Hours begin where the clock shows a full hour, and an
    hour that the clock shows twice is two. Weeks begin on Monday (ISO 8601).
    """
    if scope not in CALENDAR:
        return 0, FOREVER_US
    if scope == "hour":
        return _hour(to_us(now), zone)
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


def rolling(scope: str, now_us: int) -> tuple[tuple[int, int], ...]:
    """
    Return the parts, oldest first, that together hold the period up to `now_us`.

    The period begins somewhere in the oldest part, which counts whole; so up to a
    24th of a period more is counted. A month has 30 days here, a year 365.
    """
    width = _ROLLING_US[scope] // BUCKETS
    last = now_us // width
    return tuple(
        (place * width, (place + 1) * width)
        for place in range(last - BUCKETS, last + 1)
    )


def _week(midnight: datetime) -> tuple[datetime, datetime]:
    monday = midnight - timedelta(days=midnight.weekday())
    return monday, monday + timedelta(days=7)


def _hour(now_us: int, zone: tzinfo) -> tuple[int, int]:
    """Return the hour around an instant; a change by half an hour cuts it in two."""
    shift = _shift(now_us, zone)
    start = (now_us + shift) // _HOUR_US * _HOUR_US - shift
    end = start + _HOUR_US
    if _shift(start, zone) != shift:
        start = _change(start, now_us, zone)
    if _shift(end - 1, zone) != shift:
        end = _change(now_us, end - 1, zone)
    return start, end


def _shift(us: int, zone: tzinfo) -> int:
    """Return by how much the zone's full hours differ from those of UTC."""
    offset = from_us(us).astimezone(zone).utcoffset() or timedelta()
    return offset // timedelta(microseconds=1) % _HOUR_US


def _change(before: int, after: int, zone: tzinfo) -> int:
    """Return the first instant in (before, after] with the shift of `after`."""
    late = _shift(after, zone)
    while after - before > 1:
        middle = (before + after) // 2
        if _shift(middle, zone) == late:
            after = middle
        else:
            before = middle
    return after
