from hypothesis import given
from hypothesis import strategies as st

from ask_expert.breaker import (
    FIRST_REST_US,
    LONGEST_REST_US,
    LOOK_US,
    Breaker,
    Guarded,
    after_failure,
    looking,
    trouble,
)
from ask_expert.errors import (
    ExpertRejectedError,
    ExpertReplyError,
    ExpertUnavailableError,
)

GUARDED = Guarded(expert="flagship", address="openai_chat x y", after=3)


def after(count: int, guarded: Guarded = GUARDED) -> Breaker:
    breaker = Breaker()
    for _ in range(count):
        breaker = after_failure(
            breaker, "outage", guarded=guarded, reason="down", now_us=1000
        )
    return breaker


def test_an_expert_rests_after_so_many_failures_in_a_row() -> None:
    assert not after(2).rests(1000)
    assert after(3).rests(1000)
    assert not after(3).rests(1000 + FIRST_REST_US)


@given(st.integers(min_value=3, max_value=200))
def test_each_further_failure_doubles_the_rest_up_to_a_bound(count: int) -> None:
    rest_us = after(count).until_us - 1000

    assert rest_us == min(FIRST_REST_US * 2 ** (count - 3), LONGEST_REST_US)


def test_a_used_up_quota_opens_it_at_once() -> None:
    breaker = after_failure(
        Breaker(), "quota", guarded=GUARDED, reason="no credit", now_us=1000
    )

    assert breaker.rests(1000)


def test_zero_never_opens_it() -> None:
    never = Guarded(expert="flagship", address="", after=0)

    assert after(50, never).until_us == 0


def test_while_one_looks_the_others_wait() -> None:
    breaker = looking(after(3), 5000, looker="e_1")

    assert breaker.until_us == 5000 + LOOK_US
    assert breaker.failures == 3


def test_what_a_failure_says_of_the_expert() -> None:
    outage = ExpertUnavailableError("flagship", "HTTP 503.", http_status=503)
    unreachable = ExpertUnavailableError("flagship", "no connection", billed="no")
    busy = ExpertUnavailableError("flagship", "HTTP 429.", http_status=429)
    silent = ExpertReplyError("flagship", "no reply within 20 s")
    unpaid = ExpertRejectedError("flagship", "no credit", http_status=429)
    wrong = ExpertRejectedError("flagship", "no such model", http_status=404)

    found = [trouble(each) for each in (outage, unreachable, busy, silent)]

    assert found == ["outage", "outage", None, "outage"]
    assert trouble(unpaid) == "quota"
    assert trouble(wrong) is None
