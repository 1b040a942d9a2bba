"""
Ask one expert: reserve, send, settle; one reservation and one row a try.

Whatever happens between the commit that reserves and the one that settles, the
money is counted: a try is only released when surely nothing was billed.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import anyio
import anyio.to_thread
import structlog
import tenacity

from ask_expert.budget import Denied, to_us
from ask_expert.errors import (
    ConfigError,
    ExpertError,
    ExpertRejectedError,
    ExpertReplyError,
    LedgerBusyError,
    LedgerError,
    SecretLeakError,
    UnknownPriceError,
)
from ask_expert.experts import fitting, prices, transport, usage_record
from ask_expert.experts.cleaning import (
    masked_answer,
    masked_error,
    masked_id,
    plain,
)
from ask_expert.experts.desk import (
    ABANDONED,
    Call,
    Desk,
    Failed,
    Result,
    Settled,
)
from ask_expert.experts.retry import retrying
from ask_expert.experts.rung import Rung, rung_for
from ask_expert.experts.templates import needs_context
from ask_expert.experts.wire import WireRequest
from ask_expert.ledger.leases import UnderWay
from ask_expert.ledger.records import (
    End,
    Granted,
    Joined,
    Resting,
)
from ask_expert.question import Prompt
from ask_expert.reply import Charge, ExpertAnswer
from ask_expert.settings import ExpertSettings

T = TypeVar("T")
_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


async def ask_one(
    desk: Desk,
    call: Call,
    expert: ExpertSettings,
    *,
    position: int,
    ends_question: bool = True,
) -> Result:
    """
    Ask one expert, with as many tries as its settings allow.

    Where its window or a budget is too small for the whole thread, about half of
    the older turns is left out, and again, until it fits or none is left.

    Args:
        desk: What to work with.
        call: The question.
        expert: Whom to ask.
        position: The escalation's place among those of the question.
        ends_question: Whether the answer is the question's; not so for one of several.
    """
    prompt: Prompt | None = call.prompt
    result: Result = Failed(reason=f"{expert.name}: nothing to send.", recorded=False)
    while prompt is not None:
        result = await _ask(
            desk, call, expert, prompt, position=position, ends=ends_question
        )
        why = _too_long(result)
        if why is None:
            break
        prompt = fitting.shorter(prompt, why=why)
    return result


def _too_long(result: Result) -> str | None:
    """Return why less of the thread could help; None if it could not."""
    if isinstance(result, Denied) and result.unit != "calls":
        return fitting.NO_BUDGET
    if isinstance(result, Failed) and result.too_long:
        return fitting.NO_WINDOW
    return None


async def _ask(
    desk: Desk,
    call: Call,
    expert: ExpertSettings,
    prompt: Prompt,
    *,
    position: int,
    ends: bool,
) -> Result:
    number = 0
    try:
        rung = await _in_thread(lambda: rung_for(desk, call, expert, prompt, position))
        if isinstance(rung, Failed):
            return rung
        async for attempt in retrying(
            max_tries=expert.max_tries,
            deadline=rung.deadline,
            clock=time.monotonic,
            rng=desk.rng,
        ):
            with attempt:
                number += 1
                granted = await _reserve(desk, call, rung, number=number)
                if isinstance(granted, Granted):
                    return await _send(desk, call, rung, granted, ends=ends)
                if number == 1 and not isinstance(granted, Resting):
                    return granted
                return Failed(reason=_why(granted), recorded=number > 1)
    except (ConfigError, UnknownPriceError, SecretLeakError) as error:
        reason = desk.masker.scrub(plain(f"{expert.name}: {error}"))
        return Failed(reason=reason, recorded=number > 0)
    except ExpertError as error:
        return Failed(
            reason=str(error), recorded=True, may_be_billed=error.billed != "no"
        )
    raise AssertionError("a retrying loop returns or raises")


def _why(result: Denied | Joined | Resting) -> str:
    return "Asked elsewhere." if isinstance(result, Joined) else result.reason


async def _reserve(
    desk: Desk, call: Call, rung: Rung, *, number: int
) -> Granted | Denied | Joined | Resting:
    request = rung.request(call, desk, number=number)
    granted = await _in_thread(
        lambda: desk.ledger.reserve(call.question, request, ceiling=rung.ceiling)
    )
    if isinstance(granted, Granted):
        call.under_way[granted.try_id] = UnderWay(lease_us=request.lease_us)
    return granted


async def _send(
    desk: Desk, call: Call, rung: Rung, granted: Granted, *, ends: bool
) -> Settled:
    """Send one try whose money is set aside, and book how it ended."""
    call.held_nusd += granted.nusd
    try:
        request = rung.wire.encode(
            rung.expert, rung.prompt, max_output_tokens=granted.output_tokens
        )
        await _in_thread(lambda: _last_look(desk, call, rung, request))
    except BaseException as error:
        # Nothing has left yet, so nothing can have been billed.
        known = error if isinstance(error, ExpertError) else None
        call.held_nusd -= granted.nusd
        await written(
            desk, lambda end: desk.ledger.release(granted.try_id, known, end=end)
        )
        raise
    known = call.under_way[granted.try_id]

    def heard(told: str) -> None:
        found = usage_record.better(rung.expert, known.request_id, told)
        known.request_id = masked_id(found, desk.masker)

    try:
        call.progress.expert, call.progress.chars = rung.expert.name, 0
        answer = await transport.send(
            desk.client,
            rung.expert,
            rung.wire,
            request,
            key=rung.key,
            deadline_s=max(0.001, rung.deadline - time.monotonic()),
            watch=call.progress.wrote,
            heard=heard,
        )
    except ExpertError as error:
        raise await _failed(desk, call, rung, granted, error) from error
    except Exception as error:
        # A reply that nobody foresaw must not free the money it may have cost.
        _log.exception("a reply could not be read")
        unread = ExpertReplyError(
            rung.expert.name, f"The reply could not be read ({type(error).__name__})."
        )
        raise await _failed(desk, call, rung, granted, unread) from error
    return await _settle(desk, call, rung, granted, answer, ends=ends)


async def _failed(
    desk: Desk, call: Call, rung: Rung, granted: Granted, error: ExpertError
) -> ExpertError:
    """Book a try that failed, and return its error without secrets."""
    if error.billed == "no":
        call.held_nusd -= granted.nusd
    error.request_id = call.under_way[granted.try_id].request_id or error.request_id
    masked_error(error, desk.masker)
    close = (
        desk.ledger.release if error.billed == "no" else desk.ledger.leave_unresolved
    )
    await written(
        desk,
        lambda end: close(
            granted.try_id, error, end=replace(end, guarded=rung.guarded)
        ),
    )
    return error


def _last_look(desk: Desk, call: Call, rung: Rung, request: WireRequest) -> None:
    """Look once more at the very bytes that leave, and whether anyone still waits."""
    if call.abandoned:
        raise ExpertRejectedError(rung.expert.name, ABANDONED)
    kinds = desk.masker.scan(request.body)
    if kinds:
        raise SecretLeakError(kinds)


async def _settle(
    desk: Desk,
    call: Call,
    rung: Rung,
    granted: Granted,
    raw: ExpertAnswer,
    *,
    ends: bool,
) -> Settled:
    """Book what an answer cost; whatever goes wrong here, the answer is given."""
    answer = await _in_thread(lambda: masked_answer(raw, desk.masker, call.marks))
    if answer.finish == "stop" and needs_context(answer.text):
        answer = replace(answer, finish="needs_context")
    charge = _charge(desk, rung, granted, answer)
    call.paid_nusd += charge.nusd
    call.held_nusd -= granted.nusd
    call.under_way[granted.try_id].request_id = None
    stored = answer.text if desk.stores_answers and answer.text else None

    async def book() -> bool:
        return await written(
            desk,
            lambda end: desk.ledger.settle(
                granted.try_id,
                answer,
                charge,
                end=replace(
                    end,
                    status=_status(answer) if ends else None,
                    stored_answer=stored,
                    guarded=rung.guarded,
                ),
            ),
        )

    booked = await book()
    if not booked:
        call.unbooked.append(book)
    return Settled(
        expert=rung.expert,
        answer=answer,
        charge=charge,
        prompt=rung.prompt,
        paid_nusd=call.paid_nusd,
        booked=booked,
    )


def _charge(desk: Desk, rung: Rung, granted: Granted, answer: ExpertAnswer) -> Charge:
    charge = Charge(nusd=granted.nusd, source="worst case")
    try:
        charge = prices.charge(
            rung.expert,
            answer,
            desk.clock(),
            assumed_input_tokens=rung.quote.input_tokens,
            assumed_output_tokens=granted.output_tokens,
        )
    except Exception:  # noqa: BLE001  # an unforeseen usage must not cost the answer
        _log.exception("an answer could not be priced")
    if rung.quote.source == "assumed":
        charge = replace(charge, source="assumed")
    return charge


def _status(answer: ExpertAnswer) -> str | None:
    """Return how the question ends with this answer; after a refusal it goes on."""
    if answer.is_refusal:
        return None
    return "unavailable" if answer.trouble else "answered"


async def written(desk: Desk, write: Callable[[End], None]) -> bool:
    """
    Write how something ended, whoever cancels; return whether it could be written.

    A ledger that stays locked or full must not cost the agent its answer: the
    try then stays `sent`, is counted in full, and a sweep calls it unresolved.
    """
    with anyio.CancelScope(shield=True):
        try:
            async for attempt in tenacity.AsyncRetrying(
                retry=tenacity.retry_if_exception_type(LedgerBusyError),
                stop=tenacity.stop_after_attempt(4),
                wait=tenacity.wait_exponential_jitter(initial=0.2, max=2),
                sleep=anyio.sleep,
                reraise=True,
            ):
                with attempt:
                    await _in_thread(lambda: write(End(now_us=to_us(desk.clock()))))
        except LedgerError as error:
            _log.error("a try could not be booked", error=str(error))
            return False
    return True


async def _in_thread(work: Callable[[], T]) -> T:
    """Run blocking work without stopping the event loop; it is never left half done."""
    return await anyio.to_thread.run_sync(work)
