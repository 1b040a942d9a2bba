"""
Ask the ladder: reserve, send, settle; one reservation and one row a try.

Whatever happens between the commit that reserves and the one that settles, the
money is counted: a try is only released when surely nothing was billed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
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
from ask_expert.experts import http, prices
from ask_expert.experts.cleaning import masked_answer, plain
from ask_expert.experts.desk import Call, Desk, Failed, Result, Settled, priced
from ask_expert.experts.registry import wire_for
from ask_expert.experts.retry import retrying
from ask_expert.experts.wire import Wire
from ask_expert.ledger.owner import this_process
from ask_expert.ledger.records import (
    End,
    Granted,
    Joined,
    TryRequest,
    new_id,
)
from ask_expert.reply import Charge, ExpertAnswer
from ask_expert.settings import ExpertSettings

FLOOR_TOKENS = 2048
"""An output ceiling is not shrunk below this, or the expert's own if that is less."""

ABANDONED = "The caller left before the expert was asked."

LEASE_GRACE_S = 60
"""A try counts as alive so much longer than its deadline, in seconds."""

T = TypeVar("T")
_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


async def consult(desk: Desk, call: Call) -> Result:
    """
    Ask the experts of the ladder until one answers.

    The next rung is asked when the one before is too dear for the budgets, has
    no known price or key, or could not be reached and billed nothing.
    """
    denied: Denied | None = None
    failures: list[str] = []
    position = 0
    may_be_billed = False
    for expert in call.ladder:
        result = await _ask(desk, call, expert, position=position)
        if isinstance(result, Settled | Joined):
            return result
        if isinstance(result, Denied):
            denied = denied or result
            continue
        position += result.recorded
        may_be_billed |= result.may_be_billed
        failures.append(result.reason)
        if may_be_billed or call.abandoned:
            break
    if denied is not None and not failures:
        return denied
    if denied is not None:
        failures.append(denied.reason)
    return Failed(
        reason=" ".join(failures), recorded=position > 0, may_be_billed=may_be_billed
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rung:
    """One expert, ready to be asked."""

    expert: ExpertSettings
    wire: Wire
    key: str | None
    quote: prices.Quote
    escalation_id: str
    position: int
    deadline: float

    def request(self, call: Call, desk: Desk, *, number: int) -> TryRequest:
        ceiling = self.expert.max_output_tokens
        lease_s = self.expert.timeout_s + LEASE_GRACE_S
        now = desk.clock()
        return TryRequest(
            escalation_id=self.escalation_id,
            position=self.position,
            number=number,
            expert=self.expert.name,
            model=self.expert.model,
            template=call.prompt.template,
            caps=desk.caps(call.question, self.expert.name, now),
            want_nusd=self.quote.worst_case_nusd(ceiling),
            least_nusd=self.quote.worst_case_nusd(min(FLOOR_TOKENS, ceiling)),
            price_source=self.quote.source,
            input_bound_tokens=self.quote.input_tokens,
            sent_us=to_us(now),
            lease_us=to_us(now) + int(lease_s * 1_000_000),
            owner=this_process(),
            marks=call.marks.new,
            too_old=call.too_old,
        )

    def ceiling(self, granted_nusd: int) -> int:
        return min(
            self.expert.max_output_tokens, self.quote.ceiling_within(granted_nusd)
        )


async def _ask(
    desk: Desk, call: Call, expert: ExpertSettings, *, position: int
) -> Result:
    """Ask one expert, with as many tries as its settings allow."""
    number = 0
    try:
        rung = await _in_thread(lambda: _rung(desk, call, expert, position))
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
                    return await _send(desk, call, rung, granted)
                if number == 1:
                    return granted
                return Failed(reason=_why(granted), recorded=True)
    except (ConfigError, UnknownPriceError, SecretLeakError) as error:
        return Failed(reason=f"{expert.name}: {error}", recorded=number > 0)
    except ExpertError as error:
        return Failed(
            reason=str(error), recorded=True, may_be_billed=error.billed != "no"
        )
    raise AssertionError("a retrying loop returns or raises")


def _why(result: Denied | Joined) -> str:
    return result.reason if isinstance(result, Denied) else "Asked elsewhere."


def _rung(desk: Desk, call: Call, expert: ExpertSettings, position: int) -> _Rung:
    wire = wire_for(expert.api)
    key = desk.key_for(expert)
    body = wire.encode(
        expert, call.prompt, max_output_tokens=expert.max_output_tokens
    ).body
    expert, quote = priced(expert, body, desk.clock(), desk.unknown_price)
    return _Rung(
        expert=expert,
        wire=wire,
        key=key,
        quote=quote,
        escalation_id=new_id("e"),
        position=position,
        deadline=time.monotonic() + expert.timeout_s,
    )


async def _reserve(
    desk: Desk, call: Call, rung: _Rung, *, number: int
) -> Granted | Denied | Joined:
    request = rung.request(call, desk, number=number)
    return await _in_thread(
        lambda: desk.ledger.reserve(call.question, request, ceiling=rung.ceiling)
    )


async def _send(desk: Desk, call: Call, rung: _Rung, granted: Granted) -> Settled:
    """Send one try whose money is set aside, and book how it ended."""
    try:
        request = rung.wire.encode(
            rung.expert, call.prompt, max_output_tokens=rung.ceiling(granted.nusd)
        )
        await _in_thread(lambda: _last_look(desk, call, rung, request.body))
    except BaseException as error:
        # Nothing has left yet, so nothing can have been billed.
        known = error if isinstance(error, ExpertError) else None
        await _close(
            desk, lambda end: desk.ledger.release(granted.try_id, known, end=end)
        )
        raise
    try:
        answer = await http.send(
            desk.client,
            rung.expert,
            rung.wire,
            request,
            key=rung.key,
            deadline_s=max(0.001, rung.deadline - time.monotonic()),
        )
    except ExpertError as error:
        raise await _failed(desk, granted, error) from error
    except Exception as error:
        # A reply that nobody foresaw must not free the money it may have cost.
        _log.exception("a reply could not be read")
        unread = ExpertReplyError(
            rung.expert.name, f"The reply could not be read ({type(error).__name__})."
        )
        raise await _failed(desk, granted, unread) from error
    return await _settle(desk, call, rung, granted, answer)


async def _failed(desk: Desk, granted: Granted, error: ExpertError) -> ExpertError:
    """Book a try that failed, and return its error without secrets."""
    error.args = tuple(
        desk.masker.scrub(plain(each)) if isinstance(each, str) else each
        for each in error.args
    )
    if error.request_id is not None:
        error.request_id = desk.masker.scrub(plain(error.request_id))
    close = (
        desk.ledger.release if error.billed == "no" else desk.ledger.leave_unresolved
    )
    await _close(desk, lambda end: close(granted.try_id, error, end=end))
    return error


def _last_look(desk: Desk, call: Call, rung: _Rung, body: bytes) -> None:
    """Look once more at the very bytes that leave, and whether anyone still waits."""
    if call.abandoned:
        raise ExpertRejectedError(rung.expert.name, ABANDONED)
    kinds = desk.masker.scan(body)
    if kinds:
        raise SecretLeakError(kinds)


async def _settle(
    desk: Desk, call: Call, rung: _Rung, granted: Granted, answer: ExpertAnswer
) -> Settled:
    """Book what an answer cost; whatever goes wrong here, the answer is given."""
    raw = answer
    answer = await _in_thread(lambda: masked_answer(raw, desk.masker, call.marks))
    charge = Charge(nusd=granted.nusd, source="worst case")
    try:
        charge = prices.charge(
            rung.expert,
            answer,
            desk.clock(),
            assumed_input_tokens=rung.quote.input_tokens,
            assumed_output_tokens=rung.ceiling(granted.nusd),
        )
    except Exception:  # noqa: BLE001  # an unforeseen usage must not cost the answer
        _log.exception("an answer could not be priced")
    if rung.quote.source == "assumed":
        charge = replace(charge, source="assumed")
    status = "unavailable" if answer.trouble else "answered"
    stored = answer.text if desk.stores_answers and answer.text else None

    async def book() -> bool:
        return await _close(
            desk,
            lambda end: desk.ledger.settle(
                granted.try_id,
                answer,
                charge,
                end=replace(end, status=status, stored_answer=stored),
            ),
        )

    booked = await book()
    return Settled(
        expert=rung.expert,
        answer=answer,
        charge=charge,
        book=None if booked else book,
    )


async def _close(desk: Desk, write: Callable[[End], None]) -> bool:
    """
    Write how a try ended, whoever cancels; return whether it could be written.

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
