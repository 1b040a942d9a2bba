"""
The road: redact, recall, assess, decide, reserve, consult, settle, reply.

A question walks through these rooms forward only. What was sent to an expert goes
on when the agent that asked is gone, and its answer waits in the ledger.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
import structlog

from ask_expert import assessing, casework, intake, local_first, replies, upkeep
from ask_expert.budget import Denied, Room, left_nusd
from ask_expert.budget_log import Forewarned
from ask_expert.errors import LedgerError
from ask_expert.experts.desk import ABANDONED, Failed, Progress, Result, Settled
from ask_expert.house import NO_EXPERT, House
from ask_expert.in_flight import Flights, Remembered
from ask_expert.intake import Case
from ask_expert.ledger.records import (
    Answered,
    ApprovalScope,
    Joined,
    QuestionRecord,
)
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
        self._recent = Remembered()
        self._forewarned = Forewarned()
        self._flights = Flights(house, self._recent)
        self._checking = anyio.CapacityLimiter(8)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Escalator]:
        """Run what goes on behind the callers' backs."""
        async with self._house.open(), anyio.create_task_group() as tasks:
            self._flights.tasks = tasks
            async with upkeep.going_on(self._house, self._flights, tasks):
                yield self

    def under(self, house: House) -> Escalator:
        """Return it with `House.under`'s policy and budgets, and the same flights."""
        view = copy.copy(self)
        view._house = house  # noqa: SLF001  # a view is made here and nowhere else
        return view

    @property
    def policy_name(self) -> str:
        """The name of the policy in force."""
        return self._house.policy.name

    @property
    def calls_in_flight(self) -> int:
        """How many calls are on their way, or wait to be booked."""
        return self._flights.unfinished

    async def drained(self) -> None:
        """Take no more questions, and wait until each call has landed and is booked."""
        self._flights.closing = True
        await self._flights.booked()

    async def ask(
        self, question: Question, *, progress: Progress | None = None
    ) -> Reply:
        """
        Take a question down the road.

        Args:
            question: What is asked, and by whom.
            progress: Is kept up to date while an expert is asked.

        Raises:
            InvalidQuestionError: The question cannot be used; nothing was spent.
            LedgerError: The ledger cannot be used; nothing was spent.
        """
        case = await self._take_in(question)
        if self._flights.closing:
            return replies.unavailable(case, "The server is ending.")
        progress = progress or Progress()
        known = await self._recall(case, progress)
        return known or await self._walk(case, progress)

    async def _take_in(self, question: Question) -> Case:
        """Take a question in; slow checks have threads of their own."""
        return await anyio.to_thread.run_sync(
            lambda: intake.take_in(self._house, question),
            limiter=self._checking if question.check else None,
        )

    async def _walk(self, case: Case, progress: Progress) -> Reply:
        """Assess, decide, and escalate if that is the decision."""
        house = self._house
        until = anyio.current_time() + house.settings.answer_within_s
        assessed = await assessing.assessed(house, case)
        facts = assessed.facts
        decision, approval = await _in_thread(
            lambda: casework.decide(house, case, facts)
        )
        found = await local_first.tried(house, case, decision, assessed, progress)
        record = casework.record(house, case, facts, decision, approval)
        record = replace(record, local=found.local, confidence=found.confidence)
        if found.answer is not None:
            give = partial(local_first.give, recent=self._recent)
            reply = await _in_thread(lambda: give(house, case, decision, record, found))
            return await self._with_budget(reply, record)
        if house.settings.experts and decision.action == "escalate":
            reply = await self._escalate(case, decision, record, progress, until)
            return await self._with_budget(reply, record)
        reply = replies.unavailable(case, NO_EXPERT)
        if house.settings.experts:
            steps = advise(house.policy, facts)
            reply = replies.decided(case, decision, steps, approval)
        await self._write(record, reply)
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
        facts = assessing.unmeasured(house, case)

        def look() -> Preview:
            decision, _ = casework.decide(house, case, facts)
            return preview(house, case, decision, facts)

        return await _in_thread(look)

    async def status(self, question_id: str, caller: Caller | None) -> Reply:
        """
        Return a question's answer when it has come, else where it stands.

        Raises:
            InvalidQuestionError: This caller has no such question.
        """
        house = self._house
        standing, alive = await self._flights.swept(question_id, caller)
        answer = standing.answer or self._recent.get(standing.question_id)
        if not answer or (alive and standing.status == "pending"):
            return replies.standing_status(standing, alive=alive)
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
        standing = await self._flights.standing(question_id, caller)
        given = verdict or ("helped" if solved else "no_difference")
        outcome = await _in_thread(
            lambda: casework.outcome(
                house,
                standing.question_id,
                verdict=given,
                solved=solved,
                source=source,
                evidence=evidence,
            )
        )
        await _in_thread(lambda: house.ledger.add_outcome(outcome))
        return given

    async def approve(
        self,
        question_id: str,
        *,
        scope: ApprovalScope,
        by: str,
        caller: Caller | None,
    ) -> None:
        """
        Put a person's word on record: the same question, asked again, follows it.

        Args:
            question_id: The question that a person was asked about.
            scope: `question` approves it once, `task` also what its task asks later,
                `denied` is a no.
            by: Who said so.
            caller: Whose question it has to be; None is anyone's, for the owner.

        Raises:
            InvalidQuestionError: This caller has no such question.
        """
        house = self._house
        standing = await self._flights.standing(question_id, caller)
        word = partial(house.ledger.approve, by=by, at_us=house.now_us(), scope=scope)
        await _in_thread(lambda: word(standing.question_id))

    async def rooms(self, caller: Caller) -> list[Room]:
        """Return every budget of the policy with its running sums."""
        house = self._house
        now_us = house.now_us()
        known = intake.known_caller(house, caller)
        return await _in_thread(lambda: casework.rooms(house, known, now_us))

    async def _recall(self, case: Case, progress: Progress) -> Reply | None:
        """Answer from the ledger or from a call in flight, if the question is known."""
        here = self._flights.with_key(case.key)
        if here is not None:
            return await self._join(case, here, progress)
        same = case.past.same
        known = self._recent.get(case.key)
        if same is None and known is not None:
            same = await self._flights.standing(known, None)
        if same is None:
            return None
        age_s = (self._house.now_us() - same.ended_us) / 1_000_000
        fresh = age_s <= self._house.settings.reuse_within_s
        if fresh and (same.status == "answered" or local_first.serves(case, same)):
            return await self._again(case, same)
        if same.status == "pending" and self._flights.work_on(same):
            return await self._join(case, same.question_id, progress)
        return None

    async def _again(self, case: Case, same: Answered) -> Reply | None:
        answer = same.answer or self._recent.get(same.question_id)
        if not answer:
            return None
        house = self._house
        facts = casework.facts(case)
        decision = Decision(
            action="escalate",
            rule=casework.CACHED,
            reason="the same question was answered",
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
        await self._write(record, reply)
        return await self._with_budget(reply, record)

    async def _join(self, case: Case, question_id: str, progress: Progress) -> Reply:
        """Wait for the same question's call, here or in another process."""
        house = self._house
        deadline = anyio.current_time() + house.settings.answer_within_s
        here = self._flights.get(question_id)
        if here is not None:
            here.waiting += 1
            progress.of = here.call.progress
            with anyio.move_on_at(deadline):
                await here.done.wait()
            if isinstance(here.result, Denied) or here.was_not_recorded:
                return await self._walk(case, Progress())
        while anyio.current_time() < deadline:
            standing, alive = await self._flights.swept(question_id, None)
            if standing.status == "answered" or question_id in self._recent:
                again = await self._again(case, standing)
                return again or replies.unavailable(
                    case, "The same question was answered, but answers are not stored."
                )
            if ABANDONED in standing.reason:
                return await self._walk(case, Progress())
            if not (standing.status == "pending" and alive):
                return replies.standing_status(standing, alive=False)
            await anyio.sleep(_POLL_S)
        return replies.pending(question_id, case.thread, masked=case.marks.count)

    async def _escalate(
        self,
        case: Case,
        decision: Decision,
        record: QuestionRecord,
        progress: Progress,
        until: float,
    ) -> Reply:
        house = self._house
        call = await _in_thread(
            lambda: casework.call(house, case, decision, record, progress)
        )
        flight = self._flights.launch(call, house.desk())
        try:
            with anyio.move_on_at(until):
                await flight.done.wait()
        except anyio.get_cancelled_exc_class():
            call.abandoned = flight.waiting == 0
            raise
        if flight.result is None:
            return replies.pending(case.id, case.thread, masked=case.marks.count)
        return await self._conclude(case, decision, record, flight.result, progress)

    async def _conclude(
        self,
        case: Case,
        decision: Decision,
        record: QuestionRecord,
        result: Result,
        progress: Progress,
    ) -> Reply:
        """Word the reply, and put on record what the consultation did not."""
        house = self._house
        match result:
            case Settled():
                return replies.settled(case, decision, result)
            case Joined(question_id=question_id):
                return await self._join(case, question_id, progress)
            case Denied():
                row, reply = await _in_thread(
                    lambda: casework.denied(house, case, record, result)
                )
                await self._write(row, reply)
                return reply
            case Failed() if result.needs_person and not result.may_be_billed:
                row, reply = await _in_thread(
                    lambda: casework.needs_person(house, case, record, result)
                )
                await self._write(row, reply, again=result.recorded)
                return reply
            case Failed():
                reply = replies.failed(case, result)
                if not result.recorded:
                    await self._write(record, reply)
                return reply

    async def _write(
        self, row: QuestionRecord, reply: Reply, *, again: bool = False
    ) -> None:
        house = self._house
        await _in_thread(lambda: casework.write(house, row, reply, again=again))

    async def _with_budget(self, reply: Reply, record: QuestionRecord) -> Reply:
        if reply.budget_left_nusd is not None:
            return reply  # the room of the budget that was too small
        house = self._house
        now_us = house.now_us()
        try:
            found = await _in_thread(
                lambda: casework.rooms(house, record.caller, now_us, record)
            )
        except LedgerError as error:
            _log.warning("budgets cannot be read", error=str(error))
            return reply  # an answer is worth more than the figure beside it
        self._forewarned.look(found, house.now(), house.zone)
        return replace(reply, budget_left_nusd=left_nusd(found, experts=reply.experts))


async def _in_thread(work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work)
