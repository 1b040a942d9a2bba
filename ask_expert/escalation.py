"""
The road: redact, recall, assess, decide, reserve, consult, settle, reply.

A question walks through these rooms forward only. What was sent to an expert goes
on when the agent that asked is gone, and its answer waits in the ledger.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

import anyio
import anyio.abc
import anyio.to_thread
import structlog

from ask_expert import casework, intake, replies
from ask_expert.budget import Denied, Room, left_nusd
from ask_expert.errors import InvalidQuestionError, LedgerError
from ask_expert.experts.consultation import ABANDONED, consult
from ask_expert.experts.desk import Call, Failed, Result, Settled
from ask_expert.house import NO_EXPERT, House
from ask_expert.in_flight import InFlight, Remembered, book_later
from ask_expert.intake import Case
from ask_expert.ledger.owner import is_dead, this_process
from ask_expert.ledger.records import Answered, Joined, Outcome, QuestionRecord
from ask_expert.policy.decide import Decision
from ask_expert.policy.decide import advice as advise
from ask_expert.preview import Preview, preview
from ask_expert.question import Caller, Question
from ask_expert.reply import Reply, Verdict, VerdictSource

T = TypeVar("T")
_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_POLL_S = 0.25
"""Pause between two looks at a call that another process has in flight, in seconds."""


class Escalator:
    """
    Answers questions; use it as `async with escalator.open():`.

    Leaving the block waits for every call that was sent, up to its deadline.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._in_flight: dict[str, InFlight] = {}
        self._by_key: dict[str, str] = {}
        self._recent = Remembered()
        self._closing = False
        self._checking = anyio.CapacityLimiter(8)
        self._tasks: anyio.abc.TaskGroup | None = None

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Escalator]:
        """Run what goes on behind the callers' backs."""
        async with self._house.open(), anyio.create_task_group() as tasks:
            self._tasks = tasks
            yield self

    @property
    def policy_name(self) -> str:
        """The name of the policy in force."""
        return self._house.policy.name

    @property
    def calls_in_flight(self) -> int:
        """How many experts are being asked right now."""
        return len(self._in_flight)

    async def drained(self) -> None:
        """Take no more questions, and wait until no expert is being asked."""
        self._closing = True
        while self._in_flight:
            await next(iter(self._in_flight.values())).done.wait()

    async def ask(self, question: Question) -> Reply:
        """
        Take a question down the road.

        Raises:
            InvalidQuestionError: The question cannot be used; nothing was spent.
            LedgerError: The ledger cannot be used; nothing was spent.
        """
        case = await self._take_in(question)
        if self._closing:
            return replies.unavailable(case, "The server is ending.")
        known = await self._recall(case)
        if known is not None:
            return known
        return await self._walk(case)

    async def _take_in(self, question: Question) -> Case:
        """Take a question in; slow checks have threads of their own."""
        limiter = self._checking if question.check else None
        return await anyio.to_thread.run_sync(
            lambda: intake.take_in(self._house, question), limiter=limiter
        )

    async def _walk(self, case: Case) -> Reply:
        """Assess, decide, and escalate if that is the decision."""
        house = self._house
        facts = casework.facts(case)
        decision = casework.decide(house, case, facts)
        record = casework.record(house, case, facts, decision)
        if not house.settings.experts:
            reply = replies.unavailable(case, NO_EXPERT)
            await _write(house, record, reply)
        elif decision.action == "escalate":
            reply = await self._escalate(case, decision, record)
        else:
            reply = replies.decided(case, decision, advise(house.policy, facts))
            await _write(house, record, reply)
        return await self._with_budget(reply, record)

    async def preview(self, question: Question) -> Preview:
        """
        Return what would happen to a question; nothing is sent or written.

        Raises:
            InvalidQuestionError: The question cannot be used.
            LedgerError: The ledger cannot be read.
        """
        house = self._house
        case = await self._take_in(question)
        facts = casework.facts(case)
        decision = casework.decide(house, case, facts)
        return await _in_thread(
            lambda: preview(house, case, decision, casework.prompt(house, case))
        )

    async def status(self, question_id: str, caller: Caller | None) -> Reply:
        """
        Return a question's answer when it has come, else where it stands.

        Raises:
            InvalidQuestionError: This caller has no such question.
        """
        house = self._house
        standing = await self._swept(question_id, caller)
        answer = standing.answer or self._recent.get(standing.question_id)
        if not answer:
            return replies.standing_status(standing, alive=self._is_alive(standing))
        standing = replace(standing, answer=answer)
        if standing.question_id == question_id:
            return replies.fetched(standing)
        return replies.stored(question_id, standing, now_us=house.now_us())

    async def report_outcome(
        self,
        question_id: str,
        *,
        caller: Caller | None,
        solved: bool | None,
        evidence: str | None = None,
        verdict: Verdict | None = None,
        source: VerdictSource = "agent",
    ) -> Verdict:
        """
        Put a verdict on record and return it.

        The verdict on an answer that was given again is one on where it came from.
        Solved means helped, not solved means no difference; only a person, a check
        or a judge may say that advice harmed, by giving `verdict`.

        Raises:
            InvalidQuestionError: This caller has no such question.
        """
        house = self._house
        standing = await self._standing(question_id, caller)
        given = verdict or ("helped" if solved else "no_difference")
        masked = await _in_thread(lambda: casework.evidence(house, evidence))
        outcome = Outcome(
            question_id=standing.question_id,
            verdict=given,
            solved=solved,
            source=source,
            evidence=masked,
            at_us=house.now_us(),
        )
        await _in_thread(lambda: house.ledger.add_outcome(outcome))
        return given

    async def rooms(self, caller: Caller) -> list[Room]:
        """Return every budget of the policy with its running sums."""
        house = self._house
        now_us = house.now_us()
        known = intake.known_caller(house, caller)
        return await _in_thread(lambda: casework.rooms(house, known, now_us))

    async def _recall(self, case: Case) -> Reply | None:
        """Answer from the ledger or from a call in flight, if the question is known."""
        here = self._by_key.get(case.key)
        if here is not None:
            return await self._join(case, here)
        same = case.past.same
        known = self._recent.get(case.key)
        if same is None and known is not None:
            same = await self._standing(known, None)
        if same is None:
            return None
        age_s = (self._house.now_us() - same.ended_us) / 1_000_000
        if same.status == "answered" and age_s <= self._house.settings.reuse_within_s:
            return await self._again(case, same)
        if same.status == "pending" and self._is_alive(same):
            return await self._join(case, same.question_id)
        return None

    async def _again(self, case: Case, same: Answered) -> Reply | None:
        answer = same.answer or self._recent.get(same.question_id)
        if not answer:
            return None
        house = self._house
        facts = casework.facts(case)
        decision = Decision(
            action="escalate", rule="cached", reason="the same question was answered"
        )
        record = replace(
            casework.record(house, case, facts, decision),
            thread=same.thread,
            cached_from=same.question_id,
        )
        reply = replies.stored(
            case.id,
            replace(same, answer=answer),
            now_us=house.now_us(),
            masked=case.marks.count,
        )
        await _write(house, record, reply)
        return await self._with_budget(reply, record)

    async def _join(self, case: Case, question_id: str) -> Reply:
        """Wait for the same question's call, here or in another process."""
        house = self._house
        deadline = anyio.current_time() + house.settings.answer_within_s
        here = self._in_flight.get(question_id)
        if here is not None:
            here.waiting += 1
            with anyio.move_on_at(deadline):
                await here.done.wait()
            if isinstance(here.result, Denied) or here.was_not_recorded:
                return await self._walk(case)
        while anyio.current_time() < deadline:
            standing = await self._swept(question_id, None)
            if standing.status == "answered" or question_id in self._recent:
                again = await self._again(case, standing)
                return again or replies.unavailable(
                    case, "The same question was answered, but answers are not stored."
                )
            if ABANDONED in standing.reason:
                return await self._walk(case)
            if not (standing.status == "pending" and self._is_alive(standing)):
                return replies.standing_status(standing, alive=False)
            await anyio.sleep(_POLL_S)
        return replies.pending(question_id, case.thread, masked=case.marks.count)

    async def _escalate(
        self, case: Case, decision: Decision, record: QuestionRecord
    ) -> Reply:
        house = self._house
        call = Call(
            question=replace(record, status="pending"),
            key=case.key,
            too_old=case.past.answered,
            prompt=casework.prompt(house, case),
            ladder=house.ladder(),
            marks=case.marks,
        )
        flight = self._launch(call)
        try:
            with anyio.move_on_after(house.settings.answer_within_s):
                await flight.done.wait()
        except anyio.get_cancelled_exc_class():
            call.abandoned = flight.waiting == 0
            raise
        if flight.result is None:
            return replies.pending(case.id, case.thread, masked=case.marks.count)
        return await self._conclude(case, decision, record, flight.result)

    def _launch(self, call: Call) -> InFlight:
        """Start a consultation that outlives whoever asked."""
        if self._tasks is None:
            raise RuntimeError("use `async with escalator.open():`")
        flight = InFlight(call=call)
        self._in_flight[call.question.id] = flight
        self._by_key[call.key] = call.question.id
        self._tasks.start_soon(self._consult, flight)
        return flight

    async def _consult(self, flight: InFlight) -> None:
        call = flight.call
        try:
            flight.result = await consult(self._house.desk(), call)
            await self._keep(call, flight.result)
        except LedgerError as error:
            flight.result = Failed(reason=str(error), recorded=True)
        except Exception as error:  # noqa: BLE001  # a bug must not end the other calls
            _log.exception("a consultation broke")
            reason = (
                f"An internal error ({type(error).__name__}); see the server's log."
            )
            flight.result = Failed(reason=reason, recorded=True, may_be_billed=True)
            with contextlib.suppress(LedgerError):
                await self._keep(call, flight.result)
        finally:
            del self._in_flight[call.question.id]
            self._by_key.pop(call.key, None)
            flight.done.set()

    async def _keep(self, call: Call, result: Result) -> None:
        """Keep what no try of the consultation put on record."""
        house = self._house
        if isinstance(result, Settled):
            if result.book is not None or not house.stores_texts:
                self._recent.add(call.question.id, result.answer.text)
                self._recent.add(call.key, call.question.id)
            if result.book is not None and self._tasks is not None:
                self._tasks.start_soon(book_later, result.book)
        elif isinstance(result, Failed) and result.recorded:
            await _in_thread(
                lambda: house.ledger.end_question(
                    call.question.id, status="unavailable", reason=result.reason
                )
            )

    def _is_alive(self, standing: Answered) -> bool:
        """Return whether somebody still works on a question that is pending."""
        if standing.owner == this_process():
            return standing.question_id in self._in_flight
        alive = standing.lease_us >= self._house.now_us()
        return alive and not is_dead(standing.owner)

    async def _swept(self, question_id: str, caller: Caller | None) -> Answered:
        """Return where a question stands, once what dead processes left is marked."""
        house = self._house
        await _in_thread(lambda: house.ledger.sweep(now_us=house.now_us()))
        return await self._standing(question_id, caller)

    async def _conclude(
        self, case: Case, decision: Decision, record: QuestionRecord, result: Result
    ) -> Reply:
        """Word the reply, and put on record what the consultation did not."""
        match result:
            case Settled():
                return replies.settled(case, decision, result)
            case Joined(question_id=question_id):
                return await self._join(case, question_id)
            case Denied():
                reply = replies.denied(case, result)
                await _write(self._house, record, reply)
                return reply
            case Failed():
                reply = replies.failed(case, result)
                if not result.recorded:
                    await _write(self._house, record, reply)
                return reply

    async def _standing(self, question_id: str, caller: Caller | None) -> Answered:
        house = self._house
        known = caller and intake.known_caller(house, caller)
        found = await _in_thread(lambda: house.ledger.standing(question_id, known))
        if found is None:
            raise InvalidQuestionError(
                f"There is no question {question_id[:80]!r} here. Use the question_id "
                "that ask_expert returned."
            )
        return found

    async def _with_budget(self, reply: Reply, record: QuestionRecord) -> Reply:
        house = self._house
        now_us = house.now_us()
        try:
            found = await _in_thread(
                lambda: casework.rooms(house, record.caller, now_us, task=record.task)
            )
        except LedgerError as error:
            # An answer that is paid for is worth more than the figure beside it.
            _log.warning("budgets cannot be read", error=str(error))
            return reply
        return replace(reply, budget_left_nusd=left_nusd(found))


async def _write(house: House, record: QuestionRecord, reply: Reply) -> None:
    """Put a question on record that no reservation put there."""
    reason = record.reason if reply.status == "answered" else reply.reason
    action = "refuse" if reply.status == "refused" else record.action
    row = replace(record, status=reply.status, reason=reason, action=action)
    await _in_thread(lambda: house.ledger.record(row))


async def _in_thread(work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work)
