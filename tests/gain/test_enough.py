from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from ask_expert.gain.enough import LEAST_PER_ARM, shortage
from ask_expert.gain.headline import headline
from tests.gain.rows import LAW, arm

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def test_it_says_how_many_more_and_when_at_this_rate() -> None:
    rows = [
        *arm(30, 45, treated=True, propensity=0.9),
        *arm(1, 5, treated=False, propensity=0.9),
    ]

    lacking = shortage(rows)

    assert lacking is not None
    assert lacking.more_tasks == 51  # five more at one in ten, rounded up
    assert lacking.sentence() == (
        "Not enough data: 45 escalated and 5 held-out tasks of known outcome, and 10 "
        "of each are needed. About 51 more tasks have to be drawn."
    )
    assert lacking.sentence(NOW, tasks_per_day=10).endswith(
        "; at this rate that is on 27 November 2026."
    )


def test_unknown_outcomes_make_it_take_longer() -> None:
    rows = [
        *arm(30, 40, treated=True, propensity=0.5),
        *arm(1, 5, treated=False, propensity=0.5, unknown=45),
    ]

    lacking = shortage(rows)

    assert lacking is not None
    assert lacking.more_tasks == 20  # ten, of which half will be unknown


def test_no_rate_and_no_draw_foresee_no_day() -> None:
    none = shortage([])
    some = shortage(arm(1, 1, treated=True))

    assert none is not None
    assert none.more_tasks is None
    assert none.sentence(NOW, tasks_per_day=10).endswith("are needed.")
    assert some is not None
    assert some.ready_at(NOW, tasks_per_day=0) is None
    assert some.ready_at(NOW, tasks_per_day=0.001) is None


@LAW
@given(st.integers(0, 20), st.integers(0, 20))
def test_there_is_an_estimate_from_ten_known_outcomes_in_each_arm_on(
    treated: int, control: int
) -> None:
    rows = [*arm(treated, treated, treated=True), *arm(0, control, treated=False)]

    enough = min(treated, control) >= LEAST_PER_ARM

    assert (shortage(rows) is None) == enough
    assert (headline(rows).value is not None) == enough
