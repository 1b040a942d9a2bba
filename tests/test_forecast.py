from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.budget import FOREVER_US, Cap, Room, from_us, to_us
from ask_expert.forecast import FEWEST_TRIES, Forecast, forecast, forecasts
from ask_expert.money import NANO
from ask_expert.periods import CALENDAR, window
from ask_expert.window_keys import key_of

BERLIN = ZoneInfo("Europe/Berlin")
APIA = ZoneInfo("Pacific/Apia")
MID_NOVEMBER = datetime(2026, 11, 16, tzinfo=UTC)
ENOUGH = FEWEST_TRIES


def room(
    scope: str,
    now: datetime,
    *,
    zone: tzinfo = UTC,
    cap: Mapping[str, Any] | None = None,
    **sums: Any,
) -> Room:
    start, end = window(scope, now, zone)
    fields: dict[str, Any] = {"start_us": start, "end_us": end, **(cap or {})}
    return Room(cap=Cap(scope=scope, **fields), **{"calls": ENOUGH, **sums})


def said(room: Room, now: datetime, zone: tzinfo = UTC) -> str | None:
    found = forecast(room, now)
    return None if found is None else found.sentence(zone)


def test_a_month_that_is_spent_too_fast_ends_on_a_day_before_it_renews() -> None:
    # Fifteen of thirty days are over, and $40.91 are gone: $60 last 22 days.
    month = room(
        "month", MID_NOVEMBER, cap={"nusd": 60 * NANO}, spent_nusd=40_910_000_000
    )

    assert said(month, MID_NOVEMBER) == (
        "At this rate the month budget of $60.00 is used up on 22 November, "
        "9 days before it renews."
    )


def test_a_budget_that_lasts_to_the_end_of_its_window_is_not_forecast() -> None:
    exactly = room("month", MID_NOVEMBER, cap={"nusd": 60}, spent_nusd=30)
    a_bit_more = room("month", MID_NOVEMBER, cap={"nusd": 60}, spent_nusd=31)

    assert forecast(exactly, MID_NOVEMBER) is None
    assert forecast(a_bit_more, MID_NOVEMBER) is not None


def test_the_unit_that_ends_first_counts() -> None:
    cap = {"nusd": 60 * NANO, "calls": 24, "tokens": 1_500_000}
    sums: dict[str, Any] = {"spent_nusd": 40 * NANO, "calls": 20, "tokens": 900_000}
    month = room("month", MID_NOVEMBER, cap=cap, **sums)

    assert said(month, MID_NOVEMBER) == (
        "At this rate the month budget of 24 calls is used up on 19 November, "
        "12 days before it renews."
    )


def test_tokens_are_forecast_too_and_the_owner_of_a_window_is_named() -> None:
    cap = {"tokens": 1_000_000, "key": key_of({"project": "/x"}), "expert": "flagship"}
    month = room("month", MID_NOVEMBER, cap=cap, tokens=900_000)

    assert said(month, MID_NOVEMBER) == (
        "At this rate the month budget of project /x and expert flagship, 1,000,000 "
        "tokens, is used up on 17 November, 14 days before it renews."
    )


def test_a_day_is_told_by_the_clock_of_its_zone() -> None:
    now = datetime(2026, 11, 22, 11, tzinfo=UTC)
    day = room("day", now, zone=BERLIN, cap={"nusd": 8}, spent_nusd=6)

    assert said(day, now, BERLIN) == (
        "At this rate the day budget of $0.000001 is used up at 16:00 CET, "
        "8 hours before it renews."
    )


def test_an_hour_that_nearly_lasts_is_told_without_counting_hours() -> None:
    now = datetime(2026, 11, 22, 11, 30, tzinfo=UTC)
    hour = room("hour", now, cap={"calls": 10}, calls=8)

    assert said(hour, now) == (
        "At this rate the hour budget of 10 calls is used up at 11:37 UTC, "
        "less than an hour before it renews."
    )


def test_what_is_set_aside_is_no_rate_and_is_not_gone_either() -> None:
    cap = {"nusd": 60}
    free = room("month", MID_NOVEMBER, cap=cap, spent_nusd=40)
    held = room("month", MID_NOVEMBER, cap=cap, spent_nusd=40, reserved_nusd=10)
    only_held = room("month", MID_NOVEMBER, cap=cap, reserved_nusd=50)

    found = [forecast(each, MID_NOVEMBER) for each in (free, held, only_held)]

    days = [each and (from_us(each.used_up_us) - MID_NOVEMBER).days for each in found]
    assert days == [7, 7, None]


def test_a_budget_that_is_all_set_aside_for_the_moment_is_not_used_up() -> None:
    cap = {"nusd": 1000, "tokens": 1000}
    all_held: dict[str, Any] = {
        "spent_nusd": 50,
        "reserved_nusd": 950,
        "tokens": 50,
        "reserved_tokens": 950,
    }

    assert (
        forecast(room("month", MID_NOVEMBER, cap=cap, **all_held), MID_NOVEMBER) is None
    )


@pytest.mark.parametrize("sums", [{"spent_nusd": 60}, {"spent_nusd": 90}])
def test_a_budget_that_is_used_up_is_said_to_be_so(sums: dict[str, Any]) -> None:
    month = room("month", MID_NOVEMBER, cap={"nusd": 60}, **sums)

    found = forecast(month, MID_NOVEMBER)

    assert found is not None
    assert found.used_up_us == to_us(MID_NOVEMBER)
    assert found.sentence() == "Nothing is left of the month budget of $0.000001."


@pytest.mark.parametrize(
    ("calls", "elapsed", "is_forecast"),
    [(4, "3.0", False), (5, "2.99", False), (5, "3.0", True)],
)
def test_there_is_no_forecast_without_five_tries_and_a_tenth_of_the_window(
    calls: int, elapsed: str, *, is_forecast: bool
) -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=float(elapsed))
    month = room("month", now, cap={"nusd": 60}, spent_nusd=50, calls=calls)

    assert (forecast(month, now) is not None) is is_forecast


@pytest.mark.parametrize(
    "cap",
    [
        Cap(scope="total", nusd=60),
        Cap(scope="task", nusd=60, key=key_of({"task": "t"})),
        Cap(scope="call", nusd=60),
        Cap(scope="expert", nusd=60, expert="flagship"),
        Cap(
            scope="month",
            nusd=60,
            rolling=True,
            start_us=to_us(MID_NOVEMBER) - 10,
            end_us=to_us(MID_NOVEMBER) + 10,
        ),
    ],
    ids=lambda cap: f"{cap.scope} {cap.rolling}",
)
def test_a_window_that_does_not_renew_at_a_time_is_not_forecast(cap: Cap) -> None:
    assert forecast(Room(cap=cap, spent_nusd=59, calls=50), MID_NOVEMBER) is None


@pytest.mark.parametrize("days", [-16, -15, 15, 16])
def test_a_clock_outside_of_the_window_forecasts_nothing(days: int) -> None:
    month = room("month", MID_NOVEMBER, cap={"nusd": 60}, spent_nusd=59, calls=50)

    assert forecast(month, MID_NOVEMBER + timedelta(days=days)) is None


@pytest.mark.parametrize(
    ("now", "zone", "hours"),
    [
        (datetime(2026, 10, 25, 12, tzinfo=UTC), BERLIN, 25),
        (datetime(2026, 3, 29, 12, tzinfo=UTC), BERLIN, 23),
    ],
)
def test_a_day_with_a_clock_change_is_as_long_as_it_is(
    now: datetime, zone: ZoneInfo, hours: int
) -> None:
    start, end = window("day", now, zone)
    middle = from_us((start + end) // 2)
    lasts = room("day", middle, zone=zone, cap={"nusd": 100}, spent_nusd=50)
    ends = room("day", middle, zone=zone, cap={"nusd": 100}, spent_nusd=51)

    assert end - start == hours * 3_600_000_000
    assert forecast(lasts, middle) is None
    assert forecast(ends, middle) is not None


def test_days_before_the_renewal_are_those_of_the_calendar_over_a_clock_change() -> (
    None
):
    now = datetime(2026, 10, 16, tzinfo=BERLIN)
    month = room("month", now, zone=BERLIN, cap={"nusd": 1000}, spent_nusd=625)

    # 15 days for 625, so 9 days for the rest: 25 October, the day of the change.
    assert said(month, now, BERLIN) == (
        "At this rate the month budget of $0.000001 is used up on 25 October, "
        "7 days before it renews."
    )


@pytest.mark.parametrize(
    ("now", "spent", "when"),
    [
        (datetime(2028, 2, 15, tzinfo=UTC), 14 * 1000 // 28, "29 February, 1 day"),
        (datetime(2027, 2, 15, tzinfo=UTC), 14 * 1000 // 27, "28 February, 1 day"),
        (datetime(2026, 12, 16, tzinfo=UTC), 15 * 1000 // 30, "31 December, 1 day"),
    ],
)
def test_the_last_day_of_a_month_is_a_day_before_it_renews(
    now: datetime, spent: int, when: str
) -> None:
    month = room("month", now, cap={"nusd": 1000}, spent_nusd=spent)

    assert f"is used up on {when} before it renews." in (said(month, now) or "")


def test_the_end_of_a_month_is_a_date_of_the_budgets_zone() -> None:
    now = datetime(2026, 11, 16, tzinfo=APIA)
    month = room("month", now, zone=APIA, cap={"nusd": 1000}, spent_nusd=680)

    found = forecast(month, now)

    assert found is not None
    assert "on 23 November, 8 days" in found.sentence(APIA)
    assert "on 22 November, 8 days" in found.sentence(UTC)


def test_only_budgets_that_do_not_last_are_forecast() -> None:
    rooms = [
        room("month", MID_NOVEMBER, cap={"nusd": 100}, spent_nusd=spent)
        for spent in (10, 90, 20, 80)
    ]

    found = [*forecasts(rooms, MID_NOVEMBER)]

    assert found == [forecast(rooms[1], MID_NOVEMBER), forecast(rooms[3], MID_NOVEMBER)]


INSTANTS = st.datetimes(
    min_value=datetime(2020, 1, 1),  # noqa: DTZ001  # the zone is drawn beside it
    max_value=datetime(2030, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
UNITS = ("spent_nusd", "reserved_nusd", "calls", "tokens", "reserved_tokens")
SUMS = st.fixed_dictionaries({name: st.integers(0, 2_000) for name in UNITS})
CAPS = st.fixed_dictionaries(
    {
        "nusd": st.none() | st.integers(0, 1_500),
        "calls": st.none() | st.integers(1, 50),
        "tokens": st.none() | st.integers(1, 2_000),
    }
)
SCOPES = st.sampled_from(CALENDAR)
ZONES = st.sampled_from([UTC, BERLIN, APIA, ZoneInfo("America/St_Johns")])


def ending(found: Forecast | None) -> int:
    return FOREVER_US if found is None else found.used_up_us


@given(scope=SCOPES, now=INSTANTS, zone=ZONES, cap=CAPS, sums=SUMS)
def test_a_forecast_is_never_in_the_past_nor_after_the_window(
    scope: str,
    now: datetime,
    zone: tzinfo,
    cap: dict[str, int | None],
    sums: dict[str, Any],
) -> None:
    some = room(scope, now, zone=zone, cap=cap, **sums)

    found = forecast(some, now)

    if found is not None:
        assert to_us(now) <= found.used_up_us < some.cap.end_us
        assert found.is_used_up == (found.used_up_us == to_us(now))
        assert found.sentence(zone).endswith(".")


@given(
    scope=SCOPES,
    now=INSTANTS,
    cap=CAPS,
    sums=SUMS,
    unit=st.sampled_from(UNITS),
    more=st.integers(1, 500),
)
def test_whoever_used_more_is_told_an_earlier_end_or_the_same(
    scope: str,
    now: datetime,
    cap: dict[str, int | None],
    sums: dict[str, Any],
    unit: str,
    more: int,
) -> None:
    before = forecast(room(scope, now, cap=cap, **sums), now)
    after = forecast(
        room(scope, now, cap=cap, **{**sums, unit: sums[unit] + more}), now
    )

    assert ending(after) <= ending(before)


@given(now=INSTANTS, spent=st.integers(1, 10**15), cap=st.integers(1, 10**15))
def test_at_the_forecast_instant_the_line_reaches_the_cap_and_not_before(
    now: datetime, spent: int, cap: int
) -> None:
    some = room("month", now, cap={"nusd": cap}, spent_nusd=spent)
    over_us = to_us(now) - some.cap.start_us

    found = forecast(some, now)

    if found is not None and not found.is_used_up:
        at_us = found.used_up_us - some.cap.start_us
        assert spent * at_us >= cap * over_us
        assert spent * (at_us - 1) < cap * over_us
