from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from structlog.testing import capture_logs

from ask_expert import house as houses
from ask_expert.budget import Cap, Room
from ask_expert.budget_log import Forewarned
from ask_expert.escalation import Escalator
from ask_expert.house import House
from ask_expert.periods import window
from ask_expert.question import Caller, Question
from tests.end_to_end.support import always, expert, write_settings
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour

BERLIN = ZoneInfo("Europe/Berlin")
MID_NOVEMBER = datetime(2026, 11, 16, tzinfo=UTC)


def month(spent: int, *, now: datetime = MID_NOVEMBER, cap: int = 60) -> Room:
    start, end = window("month", now)
    began = f"{now:%Y-%m}-01"
    return Room(
        cap=Cap(scope="month", start_us=start, end_us=end, nusd=cap, began=began),
        spent_nusd=spent,
        calls=9,
    )


def logged(
    watch: Forewarned, rooms: Sequence[Room], now: datetime = MID_NOVEMBER
) -> list[Any]:
    with capture_logs() as lines:
        watch.look(rooms, now, BERLIN)
    return lines


def test_a_budget_that_will_not_last_is_a_warning_that_says_when() -> None:
    assert logged(Forewarned(), [month(10), month(40)]) == [
        {
            "event": "budget_forecast",
            "log_level": "warning",
            "budget": "month 2026-11-01",
            "unit": "usd",
            "used_up_at": "2026-11-23T12:00:00+00:00",
            "renews_at": "2026-12-01T00:00:00+00:00",
            "says": "At this rate the month budget of $0.000001 is used up on "
            "23 November, 8 days before it renews.",
        }
    ]


def test_a_window_is_warned_of_once() -> None:
    watch = Forewarned()
    later = MID_NOVEMBER + timedelta(days=3)

    assert len(logged(watch, [month(40)])) == 1
    assert logged(watch, [month(50)]) == []
    assert logged(watch, [month(55)], later) == []


def test_a_window_that_is_used_up_is_warned_of_once_more() -> None:
    watch = Forewarned()

    logged(watch, [month(40)])
    (used_up,) = logged(watch, [month(60)])

    assert used_up["says"] == "Nothing is left of the month budget of $0.000001."
    assert logged(watch, [month(60)]) == logged(watch, [month(59)]) == []


def test_money_that_was_only_set_aside_silences_no_later_warning() -> None:
    watch = Forewarned()

    held = logged(watch, [replace(month(5), reserved_nusd=55)])

    assert held == []
    assert len(logged(watch, [month(40)])) == 1


def test_the_next_window_and_another_cap_are_warned_of_anew() -> None:
    watch = Forewarned()
    december = MID_NOVEMBER + timedelta(days=30)

    logged(watch, [month(40)])

    assert len(logged(watch, [month(50, cap=70)])) == 1
    assert len(logged(watch, [month(40, now=december)], december)) == 1


def test_windows_that_are_over_are_forgotten() -> None:
    watch = Forewarned()
    december = MID_NOVEMBER + timedelta(days=30)

    logged(watch, [month(40)])
    logged(watch, [], december)

    # The clock went back: the same window counts as new.
    assert len(logged(watch, [month(40)])) == 1


class InMidNovember(House):
    """A house whose clock stands still."""

    def now(self) -> datetime:
        return MID_NOVEMBER


@pytest.mark.anyio
async def test_the_server_warns_when_an_answer_shows_that_a_budget_will_not_last(
    home: Path, tmp_path: Path
) -> None:
    # Half of November is over and six of eight calls are asked for.
    with Provider(Behaviour()) as provider:
        write_settings(
            home, expert(provider.url), policy=always({"scope": "month", "calls": 8})
        )
        built = houses.build(home, environ={})
        parts = {
            each.name: getattr(built, each.name) for each in fields(built) if each.init
        }
        house = InMidNovember(**parts)
        caller = Caller(session="s_1", project=str(tmp_path), user="me")
        with capture_logs() as lines:
            async with Escalator(house).open() as escalator:
                replies = [
                    await escalator.ask(Question(text=f"Why {number}?", caller=caller))
                    for number in range(6)
                ]

    assert {each.status for each in replies} == {"answered"}
    warnings = [each for each in lines if each["event"] == "budget_forecast"]
    # With the fifth call there is evidence enough.
    (warning,) = warnings
    assert warning["says"] == (
        "At this rate the month budget of 8 calls is used up on 25 November, "
        "6 days before it renews."
    )
