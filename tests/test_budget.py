from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.budget import (
    FOREVER_US,
    Cap,
    Denied,
    Room,
    buckets,
    caps,
    from_us,
    grant,
    left_nusd,
    most_output,
    to_us,
)
from ask_expert.limits import Mode
from ask_expert.periods import rolling, window
from ask_expert.question import Caller
from ask_expert.window_keys import dimensions, key_of, pairs_of, possible_keys

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
    tokens: int | None = None
    rolling: bool = False
    mode: Mode = "hard"


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
    st.sampled_from(["hour", "day", "week", "month", "year"]),
    st.sampled_from(
        [
            "UTC",
            "Europe/Berlin",
            "America/New_York",
            "Asia/Kolkata",
            "Australia/Lord_Howe",
        ]
    ),
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

    assert (cap.expert, cap.label) == (
        "flagship",
        "month 2026-11-01 of expert flagship",
    )


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


def test_what_is_left_is_that_of_the_experts_who_matter() -> None:
    def of(expert: str, left: int) -> Room:
        return Room(cap=Cap(scope="month", expert=expert, nusd=left))

    small, large, shared = of("small", 5), of("large", 900), room(1000, 400)

    assert left_nusd([small, large, shared], experts=["large"]) == 600
    assert left_nusd([small, large, shared], experts=["small"]) == 5
    assert left_nusd([small, large, shared], experts=["small", "large"]) == 5
    assert left_nusd([small, large, shared], experts=["free"]) == 600
    # Nobody was asked: whoever has most left could be.
    assert left_nusd([small, large, shared]) == 600
    assert left_nusd([small, large]) == 900


@pytest.mark.parametrize("minute", [0, 30, 59])
def test_an_hour_that_the_clock_shows_twice_is_two_hours(minute: int) -> None:
    first = window("hour", datetime(2026, 10, 25, 0, minute, tzinfo=UTC), BERLIN)
    second = window("hour", datetime(2026, 10, 25, 1, minute, tzinfo=UTC), BERLIN)

    assert first[1] == second[0]
    assert {end - start for start, end in (first, second)} == {3600 * 10**6}


def test_a_change_by_half_an_hour_cuts_an_hour_in_two() -> None:
    zone = ZoneInfo("Australia/Lord_Howe")
    before = datetime(2026, 4, 4, 14, 50, tzinfo=UTC)
    after = datetime(2026, 4, 4, 15, 10, tzinfo=UTC)

    assert span("hour", before, zone)[1] == "2026-04-04T15:00:00+00:00"
    assert span("hour", after, zone) == (
        "2026-04-04T15:00:00+00:00",
        "2026-04-04T15:30:00+00:00",
    )


@given(
    st.integers(min_value=0, max_value=4 * 10**15),
    st.sampled_from(["hour", "day", "week", "month", "year"]),
)
def test_a_rolling_period_is_covered_and_at_most_a_24th_too_much_is_counted(
    now_us: int, scope: str
) -> None:
    parts = rolling(scope, now_us)
    period = 24 * (parts[0][1] - parts[0][0])

    assert parts[-1][0] <= now_us < parts[-1][1]
    assert parts[0][0] <= now_us - period < parts[0][1]
    assert all(one[1] == two[0] for one, two in pairwise(parts))


VALUES = st.text(alphabet=st.sampled_from("a=%1F25\x1f/é "), max_size=8)


@given(st.dictionaries(st.sampled_from(["project", "session", "user"]), VALUES))
def test_a_key_says_whose_window_it_is_whatever_the_values_hold(
    pairs: dict[str, str],
) -> None:
    assert pairs_of(key_of(pairs)) == pairs


def test_every_key_that_a_budget_can_have_is_looked_for() -> None:
    names = ["task", "session", "thread", "agent", "user", "project", "expert"]
    lines = [
        Line(scope, calls=1, per=per)
        for scope in ("day", "total", *names)
        for per in ([], *([name] for name in names), names[:3], names)
    ]
    pairs = dimensions(CALLER, task="t", thread="c_1")

    found = caps(lines, caller=CALLER, task="t", thread="c_1", expert="e", now=NOON)

    assert {cap.key for cap in found} <= {*possible_keys(pairs)}


def test_a_budget_names_whose_it_is_in_words() -> None:
    lines = [
        Line("month", usd=Decimal(20), per=("project", "expert")),
        Line("task", calls=2, per=("expert",)),
        Line("day", tokens=5, rolling=True),
        Line("hour", calls=2, per=("task",)),
        Line("expert", calls=2),
        Line("thread", calls=2),
    ]

    found = caps(lines, caller=CALLER, task="t", thread="c_1", expert="e", now=NOON)

    assert [cap.label for cap in found] == [
        "month 2026-11-01 of project /work and expert e",
        "task t of expert e",
        "rolling day",
        "hour 2026-11-22T12:00 of task t",
        "expert e",
        "thread c_1",
    ]


def test_a_denial_by_tokens_says_how_many_are_left() -> None:
    cap = Cap(scope="user", key=key_of({"user": "ada"}), tokens=5000)
    full = Room(cap=cap, tokens=1000, reserved_tokens=2500)

    verdict = grant([full], want_nusd=9, least_nusd=1, least_tokens=2000)

    assert isinstance(verdict, Denied)
    assert verdict.reason == (
        "The user ada budget, 5,000 tokens, has 1,500 left and this needs up to "
        "2,000; it does not renew by itself."
    )


def test_the_output_ceiling_is_what_the_tightest_budget_in_tokens_has_room_for() -> (
    None
):
    wide = Room(cap=Cap(scope="day", tokens=9000), tokens=1000)
    tight = Room(cap=Cap(scope="total", tokens=5000), reserved_tokens=1000)
    soft = Room(cap=Cap(scope="week", tokens=100, mode="soft"))

    assert most_output([wide, tight], input_tokens=500) == 3500
    assert most_output([wide, soft], input_tokens=500) == 0
    assert most_output([wide, soft], input_tokens=500, approved=True) == 7500
    assert most_output([room(1000)], input_tokens=500) is None


def moded(mode: Mode, nusd: int) -> Room:
    return Room(cap=Cap(scope="day", nusd=nusd, mode=mode))


def test_of_several_full_budgets_a_hard_one_is_named_and_a_soft_one_last() -> None:
    soft, degrade, hard = moded("soft", 1), moded("degrade", 3), moded("hard", 5)

    def named(*rooms: Room) -> Room:
        verdict = grant(rooms, want_nusd=9, least_nusd=9)
        assert isinstance(verdict, Denied)
        return verdict.room

    assert named(soft, degrade, hard) == hard
    assert named(soft, degrade) == degrade
    assert named(soft) == soft


def test_a_person_s_yes_opens_a_soft_budget_and_no_other() -> None:
    soft, hard = moded("soft", 1), moded("hard", 5)

    assert grant([soft, hard], want_nusd=4, least_nusd=4, approved=True) == 4
    assert isinstance(grant([hard], want_nusd=9, least_nusd=9, approved=True), Denied)


def test_a_cap_of_nothing_denies_whatever_costs() -> None:
    nothing = Room(cap=Cap(scope="day", nusd=0, tokens=0))

    verdict = grant([nothing], want_nusd=1, least_nusd=1, least_tokens=1)

    assert isinstance(verdict, Denied)


def test_a_cap_below_what_is_spent_has_no_room_and_no_negative_one() -> None:
    lowered = Room(
        cap=Cap(scope="day", nusd=5, calls=1, tokens=5),
        spent_nusd=9,
        calls=3,
        tokens=9,
    )

    assert (lowered.left_nusd, lowered.calls_left, lowered.tokens_left) == (0, 0, 0)


def test_the_parts_of_a_rolling_budget_are_windows_of_the_same_owner() -> None:
    line = Line("day", usd=Decimal(1), per=("project",), rolling=True)
    (cap,) = caps([line], caller=CALLER, task="t", expert="e", now=NOON)

    parts = buckets(cap)

    assert len(parts) == 25
    assert {(part.scope, part.key) for part in parts} == {
        ("rolling day", "project=/work")
    }
    assert parts[-1].start_us <= to_us(NOON) < parts[-1].end_us
