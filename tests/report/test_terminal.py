from dataclasses import replace
from datetime import datetime
from typing import cast
from zoneinfo import ZoneInfo

from inline_snapshot import snapshot

from ask_expert.budget import Cap, Room, to_us
from ask_expert.ledger.store import Ledger
from ask_expert.report.json_form import as_json
from ask_expert.report.summary import Summary, summarize
from ask_expert.report.terminal import blocks
from tests.report.ledgers import NOON_US, Paid, answered, decided, told


def test_the_report_for_people(ledger: Ledger) -> None:
    answered(ledger, "q_1", Paid(served="model-1-turbo"))
    told(ledger, "q_1", "helped", solved=True)
    decided(ledger, "q_2", "stay_local")
    day = Room(
        cap=Cap(
            scope="day",
            start_us=NOON_US,
            end_us=NOON_US + 1,
            nusd=1_000_000_000,
            calls=9,
        ),
        spent_nusd=4_000_000,
        reserved_nusd=1_000_000,
        calls=2,
    )

    found = summarize(ledger, until_us=NOON_US, since_us=NOON_US, rooms=[day])

    assert list(blocks(found)) == snapshot(
        [
            (
                "Questions since 2026-11-22 12:00 UTC",
                [
                    ("questions", "2"),
                    ("sent to an expert", "1", "50%"),
                    ("  answered", "1"),
                    ("  stayed local", "1"),
                ],
            ),
            (
                "What it cost",
                [
                    ("paid", "$0.004"),
                    ("  flagship", "$0.004"),
                    ("  flagship", "asked model-1", "served model-1-turbo (1×)"),
                    ("tokens in", "120", "20 from a cache"),
                    ("tokens out", "50", "30 of them reasoning"),
                    ("prices from", "settings (1)"),
                ],
            ),
            (
                "What came of it",
                [
                    ("helped", "1", ""),
                    ("no difference", "0"),
                    ("harmed", "0"),
                    ("unknown", "0"),
                    ("solved after asking", "100%", "1 of 1 that tell"),
                ],
            ),
            (
                "Budgets now",
                [
                    (
                        "day 2026-11-22",
                        "$0.995 of $1.00 left; 7 of 9 calls left",
                        "$0.004 spent, $0.001 reserved",
                    )
                ],
            ),
        ]
    )


def test_an_empty_report_is_two_lines(ledger: Ledger) -> None:
    found = summarize(ledger, until_us=NOON_US)

    assert list(blocks(found)) == [("Questions", [("questions", "0")])]


def test_a_window_is_named_by_its_day_in_the_zone_of_the_budgets() -> None:
    zone = ZoneInfo("Asia/Tokyo")
    start = to_us(datetime(2026, 11, 22, tzinfo=zone))
    room = Room(cap=Cap(scope="day", start_us=start, end_us=start + 1))

    found = as_json(Summary(since_us=0, until_us=NOON_US, rooms=(room,), zone=zone))[
        "budgets"
    ]

    assert isinstance(found, list)
    assert found[0]["window"] == "2026-11-22"


def test_budgets_that_will_not_last_are_said_below_the_budgets() -> None:
    zone = ZoneInfo("Europe/Berlin")
    now = datetime(2026, 11, 16, tzinfo=zone)
    month = Room(
        cap=Cap(
            scope="month",
            start_us=to_us(datetime(2026, 11, 1, tzinfo=zone)),
            end_us=to_us(datetime(2026, 12, 1, tzinfo=zone)),
            nusd=60_000_000_000,
        ),
        spent_nusd=40_000_000_000,
        calls=5,
    )
    idle = replace(month, spent_nusd=0)

    def found(*rooms: Room) -> Summary:
        return Summary(since_us=0, until_us=to_us(now), rooms=rooms, zone=zone)

    says = (
        "At this rate the month budget of $60.00 is used up on 23 November, 8 days "
        "before it renews."
    )
    assert list(blocks(found(idle, month)))[-1] == (
        "Budgets that will not last",
        [(says,)],
    )
    assert [title for title, _ in blocks(found(idle))] == ["Questions", "Budgets now"]
    budgets = cast("list[dict[str, object]]", as_json(found(idle, month))["budgets"])
    assert [each["forecast"] for each in budgets] == [
        None,
        {"used_up_at": "2026-11-23T11:00:00.000000Z", "unit": "usd", "says": says},
    ]
