from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.budget import (
    FOREVER_US,
    Cap,
    Denied,
    Room,
    caps,
    from_us,
    grant,
    left_nusd,
    to_us,
    window,
)
from ask_expert.question import Caller

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
CALLER = Caller(session="s_1", project="/work", user="ada", agent="test")
BERLIN = ZoneInfo("Europe/Berlin")
AMOUNTS = st.integers(min_value=0, max_value=10**12)


@dataclass(frozen=True)
class Line:
    scope: str
    usd: Decimal | None = None
    calls: int | None = None
    per: Sequence[str] = ()


def span(scope: str, at: datetime, zone: ZoneInfo | None = None) -> tuple[str, str]:
    start, end = window(scope, at, zone or UTC)
    return from_us(start).isoformat(), from_us(end).isoformat()


def test_a_day_begins_at_midnight_utc_unless_told_otherwise() -> None:
    assert span("day", NOON) == (
        "2026-11-22T00:00:00+00:00",
        "2026-11-23T00:00:00+00:00",
    )


def test_a_day_in_berlin_begins_an_hour_before_utc_in_winter() -> None:
    assert span("day", NOON, BERLIN) == (
        "2026-11-21T23:00:00+00:00",
        "2026-11-22T23:00:00+00:00",
    )


def test_the_day_of_the_clock_change_is_25_hours_long() -> None:
    start, end = window("day", datetime(2026, 10, 25, 12, tzinfo=UTC), BERLIN)

    assert (end - start) == 25 * 3600 * 10**6


def test_the_spring_day_is_23_hours_long() -> None:
    start, end = window("day", datetime(2026, 3, 29, 12, tzinfo=UTC), BERLIN)

    assert (end - start) == 23 * 3600 * 10**6


def test_a_week_begins_on_monday() -> None:
    assert span("week", NOON) == (
        "2026-11-16T00:00:00+00:00",
        "2026-11-23T00:00:00+00:00",
    )


@pytest.mark.parametrize(
    ("day", "end"),
    [((2026, 12, 31), "2027-01-01"), ((2028, 2, 29), "2028-03-01")],
)
def test_a_month_ends_where_the_next_begins(
    day: tuple[int, int, int], end: str
) -> None:
    assert span("month", datetime(*day, tzinfo=UTC))[1].startswith(end)


def test_a_year_covers_its_leap_day() -> None:
    assert span("year", datetime(2028, 2, 29, tzinfo=UTC)) == (
        "2028-01-01T00:00:00+00:00",
        "2029-01-01T00:00:00+00:00",
    )


def test_task_session_and_total_never_end() -> None:
    assert {window(scope, NOON) for scope in ("task", "session", "total", "call")} == {
        (0, FOREVER_US)
    }


@given(
    st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2090, 1, 1)),  # noqa: DTZ001
    st.sampled_from(["day", "week", "month", "year"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
)
def test_every_instant_lies_in_its_window_and_windows_do_not_overlap(
    naive: datetime, scope: str, zone: str
) -> None:
    at = naive.replace(tzinfo=UTC)

    start, end = window(scope, at, ZoneInfo(zone))

    assert start <= to_us(at) < end
    assert window(scope, from_us(end), ZoneInfo(zone))[0] == end
    assert window(scope, from_us(end - 1), ZoneInfo(zone)) == (start, end)


def test_a_task_of_another_project_has_another_window() -> None:
    other = Caller(session="s_1", project="/elsewhere", user="ada")
    line = [Line("task", usd=Decimal(1))]

    def key(caller: Caller) -> str:
        (cap,) = caps(line, caller=caller, task="t", expert="e", now=NOON)
        return cap.key

    assert key(CALLER) != key(other)


def test_a_budget_per_expert_is_one_window_an_expert() -> None:
    line = [Line("month", usd=Decimal(60), per=("expert",))]

    (cap,) = caps(line, caller=CALLER, task="t", expert="flagship", now=NOON)

    assert (cap.expert, cap.label) == ("flagship", "month 2026-11-01 of flagship")


def room(cap_nusd: int | None, used: int = 0, *, calls: int | None = None) -> Room:
    return Room(
        cap=Cap(
            scope="day",
            nusd=cap_nusd,
            calls=calls,
            end_us=to_us(NOON),
            began="2026-11-21",
        ),
        spent_nusd=used,
        calls=3,
    )


def test_a_reservation_shrinks_to_the_room_that_is_left() -> None:
    rooms = [room(1000, 400), room(None), room(5000)]

    assert grant(rooms, want_nusd=900, least_nusd=100) == 600


def test_a_reservation_below_its_floor_is_denied_by_the_tightest_budget() -> None:
    rooms = [room(1000, 950), room(1000, 990)]

    verdict = grant(rooms, want_nusd=900, least_nusd=100)

    assert verdict == Denied(room=rooms[1], needed_nusd=100)


def test_a_used_up_number_of_calls_denies() -> None:
    verdict = grant([room(None, calls=3)], want_nusd=0, least_nusd=0)

    assert isinstance(verdict, Denied)
    assert verdict.reason == (
        "All 3 calls of the day 2026-11-21 budget are used; "
        "it renews at 2026-11-22T12:00:00Z."
    )


def test_a_denial_says_which_budget_what_is_left_and_when_it_renews() -> None:
    (cap,) = caps(
        [Line("day", usd=Decimal(1))],
        caller=CALLER,
        task="t",
        expert="e",
        now=NOON,
        zone=ZoneInfo("Asia/Tokyo"),
    )
    full = Room(cap=cap, spent_nusd=9 * 10**8, reserved_nusd=95 * 10**6)

    verdict = Denied(room=full, needed_nusd=10**7)

    assert verdict.reason == (
        "The day 2026-11-22 budget of $1.00 has $0.005 left and this needs up to "
        "$0.01; it renews at 2026-11-22T15:00:00Z."
    )


@given(
    st.lists(st.tuples(AMOUNTS, AMOUNTS), max_size=6),
    AMOUNTS,
    AMOUNTS,
)
def test_what_is_granted_fits_into_every_room(
    rooms: list[tuple[int, int]], want: int, less: int
) -> None:
    least = min(want, less)
    found = [room(cap, used) for cap, used in rooms]

    verdict = grant(found, want_nusd=want, least_nusd=least)

    if isinstance(verdict, Denied):
        assert any((each.left_nusd or 0) < least for each in found)
    else:
        assert least <= verdict <= want
        assert all(verdict <= (each.left_nusd or 0) for each in found)


def test_the_smallest_room_is_what_is_left() -> None:
    assert left_nusd([room(1000, 300), room(None), room(800)]) == 700
    assert left_nusd([room(None)]) is None
