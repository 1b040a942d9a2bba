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
