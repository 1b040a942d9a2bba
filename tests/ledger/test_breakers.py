from dataclasses import replace
from pathlib import Path

from ask_expert.breaker import FIRST_REST_US, LOOK_US, Guarded
from ask_expert.budget import Denied
from ask_expert.errors import ExpertUnavailableError
from ask_expert.ledger.records import End, Granted, Resting, TryRequest
from ask_expert.ledger.store import Ledger
from tests.ledger.support import (
    ANSWER,
    HOUR,
    NOW,
    cap,
    charge,
    question,
    request,
    tokens,
)

GUARDED = Guarded(expert="flagship", address="openai_chat http://x m", after=2)
DOWN = ExpertUnavailableError("flagship", "HTTP 503.", http_status=503, billed="no")


def a_try(at_us: int = NOW, guarded: Guarded = GUARDED) -> TryRequest:
    return replace(request(10, sent_us=at_us), guarded=guarded)


def reserved(
    ledger: Ledger, at_us: int = NOW, guarded: Guarded = GUARDED
) -> Granted | Resting:
    found = ledger.reserve(question(), a_try(at_us, guarded), ceiling=tokens)
    assert isinstance(found, Granted | Resting)
    return found


def fail(ledger: Ledger, at_us: int = NOW) -> None:
    granted = reserved(ledger, at_us)
    assert isinstance(granted, Granted)
    ledger.release(granted.try_id, DOWN, end=End(now_us=at_us, guarded=GUARDED))


def test_an_expert_that_failed_rests_in_every_process(
    ledger: Ledger, where: Path | str
) -> None:
    fail(ledger)
    fail(ledger)

    other = Ledger.open(where)
    found = reserved(other)
    other.close()

    assert isinstance(found, Resting)
    assert found.reason == (
        "flagship rests until 08:00:30Z after 2 failures in a row; "
        "the last: flagship: HTTP 503."
    )


def test_nothing_is_written_for_a_question_whose_expert_rests(ledger: Ledger) -> None:
    fail(ledger)
    fail(ledger)
    asked = question()

    ledger.reserve(asked, a_try(), ceiling=tokens)

    assert ledger.standing(asked.id, None) is None


def test_after_a_rest_one_try_looks_and_the_others_wait(ledger: Ledger) -> None:
    fail(ledger)
    fail(ledger)
    later = NOW + FIRST_REST_US

    first, second = reserved(ledger, later), reserved(ledger, later + 1)
    third = reserved(ledger, later + LOOK_US)

    assert isinstance(first, Granted)
    assert isinstance(second, Resting)
    assert isinstance(third, Granted)


def test_a_look_that_fails_makes_the_rest_longer(ledger: Ledger) -> None:
    fail(ledger)
    fail(ledger)
    later = NOW + FIRST_REST_US
    fail(ledger, later)

    found = reserved(ledger, later + FIRST_REST_US)

    assert isinstance(found, Resting)
    assert found.until_us == later + 2 * FIRST_REST_US


def test_a_budget_that_is_full_does_not_spend_the_look(ledger: Ledger) -> None:
    fail(ledger)
    fail(ledger)
    later = NOW + FIRST_REST_US
    poor = replace(a_try(later), caps=(cap(5),))

    denied = ledger.reserve(question(), poor, ceiling=tokens)

    assert isinstance(denied, Denied)
    assert isinstance(reserved(ledger, later), Granted)


def test_who_looks_may_try_again(ledger: Ledger) -> None:
    fail(ledger)
    fail(ledger)
    later = NOW + FIRST_REST_US
    asked = question()
    first = replace(a_try(later), number=1)
    ledger.reserve(asked, first, ceiling=tokens)

    second = ledger.reserve(asked, replace(first, number=2), ceiling=tokens)

    assert isinstance(second, Granted)


def test_a_rest_set_by_a_clock_far_ahead_does_not_count(ledger: Ledger) -> None:
    ahead = NOW + 365 * 24 * HOUR
    fail(ledger, ahead)
    fail(ledger, ahead)

    assert isinstance(reserved(ledger), Granted)


def test_an_answer_ends_the_count(ledger: Ledger) -> None:
    fail(ledger)
    granted = reserved(ledger)
    assert isinstance(granted, Granted)
    ledger.settle(
        granted.try_id, ANSWER, charge(5), end=End(now_us=NOW, guarded=GUARDED)
    )
    fail(ledger)

    assert isinstance(reserved(ledger), Granted)


def test_an_expert_at_another_address_is_another_one(ledger: Ledger) -> None:
    fail(ledger)
    fail(ledger)
    moved = Guarded(expert="flagship", address="openai_chat http://y m", after=2)

    assert isinstance(reserved(ledger, guarded=moved), Granted)
