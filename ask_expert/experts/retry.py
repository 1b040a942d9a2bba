"""
When one more try is right, and after how long.

Only what surely cost nothing is tried again: no provider takes an idempotency key,
so a second try of anything else may be a second bill.
"""

from collections.abc import Callable
from random import Random

import tenacity
from tenacity.asyncio import AsyncRetrying

from ask_expert.errors import ExpertError

BASE_S = 0.5
CAP_S = 20.0
MOST_RETRY_AFTER_S = 120.0
"""A provider that asks for a longer wait is not waited for."""


def wait_s(error: BaseException, attempt: int, rng: Random) -> float | None:
    """
    Return the seconds to wait before the next try, or None for no other try.

    Args:
        error: What the last try raised.
        attempt: Tries so far, at least 1.
        rng: Jitter, so that many clients do not come back together.

    Source:
        Brooker (2015), "Exponential Backoff And Jitter", AWS Architecture Blog:
        full jitter.
    """
    if not isinstance(error, ExpertError):
        return None
    if not error.retryable or error.billed != "no":
        return None
    if error.retry_after_s is not None:
        asked = error.retry_after_s
        return asked if 0 <= asked <= MOST_RETRY_AFTER_S else None
    return rng.uniform(0, min(CAP_S, BASE_S * 2 ** min(attempt - 1, 30)))


def retrying(
    *, max_tries: int, deadline: float, clock: Callable[[], float], rng: Random
) -> AsyncRetrying:
    """
    Build a loop: `async for attempt in` it, and `with attempt:` does one try.

    The last try's own error is raised, not tenacity's.

    Args:
        max_tries: Tries at most.
        deadline: On `clock`; no wait goes past it.
        clock: Monotonic seconds.
        rng: Jitter.
    """

    def waits(state: tenacity.RetryCallState) -> float:
        return wait_s(_error(state), state.attempt_number, rng) or 0.0

    def stops(state: tenacity.RetryCallState) -> bool:
        tried_enough = state.attempt_number >= max_tries
        return tried_enough or clock() + state.upcoming_sleep >= deadline

    def retries(error: BaseException) -> bool:
        return wait_s(error, 1, Random(0)) is not None  # noqa: S311  # only whether

    return AsyncRetrying(
        retry=tenacity.retry_if_exception(retries),
        wait=waits,
        stop=stops,
        reraise=True,
    )


def _error(state: tenacity.RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    return error or RuntimeError("the try raised nothing")
