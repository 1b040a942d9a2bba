import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.errors import (
    ConfigError,
    ExpertError,
    ExpertRejectedError,
    ExpertReplyError,
    ExpertUnavailableError,
)
from ask_expert.experts.retry import retrying, wait_s
from tests.experts.support import dice

UNBILLED = ExpertUnavailableError("flagship", "busy", billed="no")


def busy(retry_after_s: float | None) -> ExpertUnavailableError:
    return ExpertUnavailableError(
        "flagship", "busy", billed="no", retry_after_s=retry_after_s
    )


@pytest.mark.parametrize(
    "error",
    [
        ExpertUnavailableError("flagship", "hm", billed="unknown"),
        ExpertReplyError("flagship", "cut"),
        ExpertRejectedError("flagship", "no"),
        ConfigError("no key"),
        ValueError("bug"),
    ],
)
def test_what_may_be_billed_or_cannot_pass_is_not_tried_again(
    error: Exception,
) -> None:
    assert wait_s(error, 1, dice()) is None


@given(attempt=st.integers(1, 1000), seed=st.integers())
def test_the_wait_grows_with_full_jitter_up_to_its_cap(attempt: int, seed: int) -> None:
    wait = wait_s(UNBILLED, attempt, dice(seed))

    assert wait is not None
    assert 0 <= wait <= min(20.0, 0.5 * 2 ** (attempt - 1))


@pytest.mark.parametrize(
    ("asked", "wait"), [(0.0, 0.0), (3.0, 3.0), (120.0, 120.0), (120.1, None)]
)
def test_retry_after_is_obeyed_up_to_two_minutes(
    asked: float, wait: float | None
) -> None:
    assert wait_s(busy(asked), 1, dice()) == wait


async def tries(
    *errors: ExpertError, max_tries: int = 3, deadline: float = 1e9
) -> tuple[int, str]:
    """Return how many tries were made, and how the loop ended."""
    waiting = list(errors)
    made = 0
    try:
        async for attempt in retrying(
            max_tries=max_tries, deadline=deadline, clock=lambda: 0.0, rng=dice()
        ):
            with attempt:
                made += 1
                if waiting:
                    raise waiting.pop(0)
                return made, "answered"
    except ExpertError as error:
        return made, str(error)
    return made, "ended"


@pytest.mark.anyio
async def test_a_busy_provider_is_asked_again_until_it_answers() -> None:
    assert await tries(busy(0), busy(0)) == (3, "answered")


@pytest.mark.anyio
async def test_after_the_last_try_its_own_error_is_raised() -> None:
    last = ExpertUnavailableError("flagship", "third", billed="no", retry_after_s=0)

    assert await tries(busy(0), busy(0), last) == (3, "flagship: third")


@pytest.mark.anyio
async def test_a_possible_bill_ends_the_loop_at_once() -> None:
    cut = ExpertReplyError("flagship", "cut")

    assert await tries(cut) == (1, "flagship: cut")


@pytest.mark.anyio
async def test_no_wait_goes_past_the_deadline() -> None:
    assert await tries(busy(5), deadline=5) == (1, "flagship: busy")
    assert await tries(busy(0), deadline=5) == (2, "answered")


@pytest.mark.anyio
@pytest.mark.parametrize("max_tries", [1, 2])
async def test_there_are_no_more_tries_than_granted(max_tries: int) -> None:
    made, _ = await tries(*[busy(0)] * 5, max_tries=max_tries)

    assert made == max_tries


@pytest.mark.anyio
async def test_tenacity_s_own_error_never_comes_out() -> None:
    loop = retrying(max_tries=1, deadline=1, clock=lambda: 0.0, rng=dice())

    async def always_busy() -> None:
        raise UNBILLED

    with pytest.raises(ExpertUnavailableError) as caught:
        await loop(always_busy)

    assert not isinstance(caught.value, tenacity.RetryError)
