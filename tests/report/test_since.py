from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.report import since

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        (" 2w ", NOW - timedelta(weeks=2)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T08:30", datetime(2026, 11, 1, 8, 30, tzinfo=UTC)),
        (
            "2026-11-01T08:30+02:00",
            datetime(2026, 11, 1, 8, 30, tzinfo=timezone(timedelta(hours=2))),
        ),
        ("2026-11-01T08:30Z", datetime(2026, 11, 1, 8, 30, tzinfo=UTC)),
        ("999999w", datetime(1970, 1, 1, tzinfo=UTC)),
        ("0001-01-01", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_lengths_dates_and_instants_are_read(text: str, moment: datetime) -> None:
    assert since.parse(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "7", "-7d", "7y", "2026-13-01"])
def test_anything_else_says_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match="24h, 7d"):
        since.parse(text, NOW)


@given(st.text(max_size=30) | st.from_regex(r"\d{1,8}[mhdw]", fullmatch=True))
def test_no_text_crashes_it_and_none_means_a_time_before_1970(text: str) -> None:
    with suppress(ValueError):
        assert since.parse(text, NOW) >= datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30m", NOW + timedelta(minutes=30)),
        (" 30d ", NOW + timedelta(days=30)),
        ("2026-12-31", datetime(2026, 12, 31, tzinfo=UTC)),
        ("2026-11-22T14:30+02:00", datetime(2026, 11, 22, 12, 30, tzinfo=UTC)),
    ],
)
def test_what_is_to_come_is_read(text: str, moment: datetime) -> None:
    assert since.ahead(text, NOW) == moment


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("0d", "not in the future"),
        ("2026-11-22T12:00", "not in the future"),
        ("2020-01-01", "not in the future"),
        ("999999w", "too far away"),
        ("9999-12-31T23:59-12:00", "too far away"),
        ("soon", "30m, 24h, 7d, 2w, a date"),
    ],
)
def test_what_is_not_to_come_is_refused(text: str, trouble: str) -> None:
    with pytest.raises(ValueError, match=trouble):
        since.ahead(text, NOW)


@given(st.text(max_size=30) | st.from_regex(r"\d{1,8}[mhdw]", fullmatch=True))
def test_nothing_else_is_to_come_and_no_text_crashes_it(text: str) -> None:
    with suppress(ValueError):
        assert since.ahead(text, NOW) > NOW
