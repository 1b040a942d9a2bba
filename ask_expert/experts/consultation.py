"""
Put a question to the ladder: one expert after the other, or several at once.

Every expert that is asked is an escalation of its own, with its own reservations.
"""

from dataclasses import dataclass, field, replace

import anyio

from ask_expert.budget import Denied
from ask_expert.errors import LedgerError
from ask_expert.experts.attempt import ask_one, written
from ask_expert.experts.desk import Call, Desk, Failed, Result, Settled
from ask_expert.experts.ladder import next_cheaper
from ask_expert.experts.panel import verdict
from ask_expert.ledger.records import Joined
from ask_expert.settings import ExpertSettings


async def consult(desk: Desk, call: Call) -> Result:
    """
    Ask the experts of the ladder until one answers; a panel is asked all at once.

    The next one is asked when the one before is too dear for the budgets, has no
    known price or key, rests, is too small for the question, could not be reached
    and billed nothing, or declined to answer. An expert that may have billed ends
    it, unless the policy says otherwise. Where a budget degrades, the next one is
    the next cheaper; a soft budget ends it, since a person is to be asked.
    """
    size = min(call.panel, len(call.ladder))
    if size > 1:
        return await _panel(desk, call, call.ladder[:size])
    walk = _Walk()
    waiting = list(call.ladder)
    while waiting:
        expert = waiting.pop(0)
        result = await ask_one(desk, call, expert, position=walk.position)
        if isinstance(result, Joined):
            return result
        if isinstance(result, Settled) and not result.answer.is_refusal:
            return replace(
                result,
                passed_over=(*walk.degraded, *walk.failures),
                may_be_billed=walk.may_be_billed,
            )
        walk.note(result)
        stops = walk.may_be_billed and desk.after_unknown == "stop"
        if stops or call.abandoned or _asks_person(result):
            break
        if not isinstance(result, Denied) or not result.degrades:
            continue
        cheaper = next_cheaper(call.cheapest_first, expert, waiting)
        if cheaper is not None:
            waiting.remove(cheaper)
            waiting.insert(0, cheaper)
            walk.degraded.append(no_room(expert, result))
    return await _ended(desk, call, walk)


async def _ended(desk: Desk, call: Call, walk: "_Walk") -> Result:
    """Return what the walk comes to; a refusal ends the question here, not before."""
    result = walk.end(call)
    if isinstance(result, Settled):
        status = "refused_by_expert" if walk.all_declined else "unavailable"
        reason = " ".join([result.answer.trouble or "", *result.passed_over])
        await _end(desk, call, status, reason)
    return result


def _asks_person(result: Result) -> bool:
    return isinstance(result, Denied) and result.asks_person


def no_room(expert: ExpertSettings, denied: Denied) -> str:
    """Return why a cheaper expert is asked instead of this one."""
    return f"No room for {expert.name} in the {denied.room.cap.label} budget."


@dataclass(slots=True)
class _Walk:
    """What has become of the experts that were asked without success."""

    position: int = 0
    denied: Denied | None = None
    refused: Settled | None = None
    may_be_billed: bool = False
    all_declined: bool = True
    needs_person: str | None = None
    failures: list[str] = field(default_factory=list[str])
    degraded: list[str] = field(default_factory=list[str])

    def note(self, result: Settled | Denied | Failed) -> None:
        """Add one."""
        match result:
            case Settled():
                self.refused = self.refused or result
                self.position += 1
                trouble = result.answer.trouble or "declined"
                self.failures.append(f"{result.expert.name}: {trouble}")
            case Denied():
                # Who would have to say yes comes before who could only say no.
                if self.denied is None or result.asks_person:
                    self.denied = result
            case Failed():
                self.all_declined = False
                self.position += result.recorded
                self.may_be_billed |= result.may_be_billed
                self.needs_person = self.needs_person or result.needs_person
                self.failures.append(result.reason)

    def end(self, call: Call) -> Result:
        """Return what all of them come to."""
        if self.refused is not None:
            own = f"{self.refused.expert.name}: "
            others = [each for each in self.failures if not each.startswith(own)]
            return replace(
                self.refused,
                paid_nusd=call.paid_nusd,
                passed_over=(*self.degraded, *others),
                may_be_billed=self.may_be_billed,
            )
        if self.denied is not None and (
            not self.failures or (self.denied.asks_person and self.position == 0)
        ):
            return self.denied
        reasons = list(self.failures)
        if self.denied is not None:
            reasons.append(self.denied.reason)
        return Failed(
            reason=" ".join(reasons),
            recorded=self.position > 0,
            may_be_billed=self.may_be_billed,
            needs_person=self.needs_person,
        )


async def _panel(desk: Desk, call: Call, experts: tuple[ExpertSettings, ...]) -> Result:
    """Ask several experts at once; what they say together is the answer."""
    results: dict[int, Result] = {}

    async def one(position: int, expert: ExpertSettings) -> None:
        try:
            results[position] = await ask_one(
                desk, call, expert, position=position, ends_question=False
            )
        except LedgerError as error:
            results[position] = Failed(reason=str(error), recorded=False)

    async with anyio.create_task_group() as tasks:
        for position, expert in enumerate(experts):
            tasks.start_soon(one, position, expert)
    asked = [(expert, results[place]) for place, expert in enumerate(experts)]
    joined = next((each for _, each in asked if isinstance(each, Joined)), None)
    answers = [
        each
        for _, each in asked
        if isinstance(each, Settled) and each.answer.trouble is None
    ]
    if not answers:
        walk = _Walk()
        for _, each in asked:
            if not isinstance(each, Joined):
                walk.note(each)
        return joined or await _ended(desk, call, walk)
    settled = verdict(call, asked, answers)
    text = settled.answer.text if desk.stores_answers else None
    await _end(desk, call, "answered", call.question.reason, panel_answer=text)
    return settled


async def _end(
    desk: Desk,
    call: Call,
    status: str,
    reason: str,
    *,
    panel_answer: str | None = None,
) -> None:
    """Put on record how a question ended that no single try ended."""

    async def book() -> bool:
        return await written(
            desk,
            lambda _end: desk.ledger.end_question(
                call.question.id,
                status=status,
                reason=reason,
                panel_answer=panel_answer,
            ),
        )

    if not await book():
        call.unbooked.append(book)
