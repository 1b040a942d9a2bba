"""Under mixed policies and time zones every window's running sums stay the truth."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ask_expert.budget import Cap, Denied
from ask_expert.ledger.check import check
from ask_expert.ledger.records import End, Granted
from ask_expert.ledger.store import Ledger
from ask_expert.reply import Usage
from ask_expert.window_keys import key_of
from tests.databases import emptied
from tests.ledger.support import (
    ANSWER,
    CALLER,
    HOUR,
    NOW,
    cap,
    charge,
    question,
    request,
    tokens,
)

TASK = key_of({"user": CALLER.user, "project": CALLER.project, "task": "t_1"})
HOUR_START = NOW // HOUR * HOUR
HOUR_END = HOUR_START + HOUR
POLICIES: list[list[Cap]] = [
    [cap(1000, scope="day", start_us=NOW - 20 * HOUR, end_us=NOW + 4 * HOUR)],
    [cap(1000, scope="day", start_us=NOW - 19 * HOUR, end_us=NOW + 5 * HOUR)],
    [cap(1000), cap(600, scope="session", key=key_of({"session": "s_1"}))],
    [cap(600, expert="flagship"), cap(600, expert="other")],
    [cap(800, scope="task", key=TASK), cap(900, scope="call")],
    [cap(700, scope="day", start_us=HOUR_START, end_us=HOUR_END, rolling=True)],
    [cap(900, scope="project", key=key_of({"project": CALLER.project}), tokens=900)],
    [
        cap(
            600,
            scope="total",
            key=key_of({"agent": CALLER.agent, "session": "s_1"}),
            expert="flagship",
            calls=9,
        )
    ],
    [],
]
STEPS = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=300),
        st.integers(min_value=0, max_value=len(POLICIES) - 1),
        st.sampled_from(["flagship", "other"]),
        st.sampled_from(["s_1", "s_2"]),
        st.sampled_from(["settle", "dear", "release", "unresolved", "open"]),
    ),
    max_size=20,
)


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_every_window_is_the_sum_of_its_tries(
    ledger: Ledger, steps: Sequence[tuple[int, int, str, str, str]]
) -> None:
    emptied(ledger)
    for want, policy, expert, session, fate in steps:
        caps = [each for each in POLICIES[policy] if each.expert in {"", expert}]
        granted = ledger.reserve(
            question(caller=replace(CALLER, session=session)),
            request(want, caps, least=want // 4, expert=expert),
            ceiling=tokens,
        )
        if isinstance(granted, Granted):
            meet(ledger, granted, fate)

    assert check(ledger) == []


def meet(ledger: Ledger, granted: Granted, fate: str) -> None:
    end = End(now_us=NOW)
    if fate in {"settle", "dear"}:
        factor = 3 if fate == "dear" else 1
        ledger.settle(granted.try_id, ANSWER, charge(factor * granted.nusd), end=end)
    if fate == "release":
        ledger.release(granted.try_id, None, end=end)
    if fate == "unresolved":
        ledger.leave_unresolved(granted.try_id, None, end=end)


def test_what_another_policy_spent_counts_when_the_first_one_is_back(
    ledger: Ledger,
) -> None:
    month, other = (
        cap(1000, scope="month"),
        cap(50_000, scope="month", expert="flagship"),
    )

    def ask(budget: Cap) -> Granted | Denied:
        verdict = ledger.reserve(question(), request(900, [budget]), ceiling=tokens)
        assert isinstance(verdict, Granted | Denied)
        return verdict

    first = ask(month)
    assert isinstance(first, Granted)
    ledger.settle(first.try_id, ANSWER, charge(1), end=End(now_us=NOW))
    meanwhile = ask(other)
    back = ask(month)

    assert isinstance(meanwhile, Granted)
    assert isinstance(back, Denied)
    assert back.room.reserved_nusd == 900


MOVES = st.lists(
    st.tuples(
        st.integers(min_value=-30 * HOUR, max_value=30 * HOUR),
        st.integers(min_value=0, max_value=400),
    ),
    max_size=15,
)


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(moves=MOVES)
def test_no_period_holds_more_than_a_rolling_cap_however_the_clock_jumps(
    ledger: Ledger, moves: Sequence[tuple[int, int]]
) -> None:
    emptied(ledger)
    now, sent = NOW, list[tuple[int, int]]()

    for jump, want in moves:
        now += jump
        granted = ledger.reserve(
            question(), request(want, [of_24_hours(now)], sent_us=now), ceiling=tokens
        )
        if isinstance(granted, Granted):
            sent.append((now, granted.nusd))

    assert check(ledger) == []
    for first, _ in sent:
        last = first + 24 * HOUR
        assert sum(nusd for at, nusd in sent if first <= at <= last) <= 1000


def of_24_hours(now_us: int, **more: object) -> Cap:
    start = now_us // HOUR * HOUR
    fields: dict[str, object] = {"start_us": start, "end_us": start + HOUR, **more}
    return cap(1000, scope="day", rolling=True, **fields)


def test_a_rolling_budget_has_room_again_when_what_was_spent_is_old(
    ledger: Ledger,
) -> None:
    def ask(at: int) -> Granted | Denied:
        verdict = ledger.reserve(
            question(), request(900, [of_24_hours(at)], sent_us=at), ceiling=tokens
        )
        assert isinstance(verdict, Granted | Denied)
        return verdict

    first, soon, later = ask(NOW), ask(NOW + 23 * HOUR), ask(NOW + 25 * HOUR)

    assert isinstance(first, Granted)
    assert isinstance(soon, Denied)
    assert isinstance(later, Granted)


def test_tokens_that_the_provider_does_not_tell_count_as_they_were_set_aside(
    ledger: Ledger,
) -> None:
    limit = cap(None, tokens=200)
    usages = [ANSWER.usage, Usage(input_tokens=1, output_tokens=2, source="estimated")]
    for usage in usages:
        granted = ledger.reserve(question(), request(50_000, [limit]), ceiling=tokens)
        assert isinstance(granted, Granted)
        answer = replace(ANSWER, usage=usage)
        ledger.settle(granted.try_id, answer, charge(1), end=End(now_us=NOW))

    (room,) = ledger.rooms([limit])

    # 100 + 20 told, then 10 of input and 50 of output set aside.
    assert (room.tokens, room.reserved_tokens) == (120 + 60, 0)


def test_people_are_warned_once_a_window_and_again_in_the_next(ledger: Ledger) -> None:
    today = cap(1000, scope="day", start_us=NOW, end_us=NOW + 24 * HOUR, mode="soft")
    tomorrow = replace(today, start_us=today.end_us, end_us=today.end_us + 24 * HOUR)
    rolling, later, old = (
        of_24_hours(NOW + hours * HOUR, mode="soft") for hours in (0, 3, 30)
    )

    said = [
        ledger.warn(each, now_us=NOW)
        for each in (today, today, tomorrow, rolling, later, old)
    ]

    assert said == [True, False, True, True, False, True]
