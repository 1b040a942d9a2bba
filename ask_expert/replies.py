"""Word the reply to the agent: what happened, why, and what to do now."""

from dataclasses import replace

from ask_expert import advice, answer_block
from ask_expert.budget import Denied, from_us, left_nusd
from ask_expert.experts.desk import Failed, Settled
from ask_expert.experts.price_list import SUBSCRIPTION
from ask_expert.intake import Case
from ask_expert.ledger.records import Answered, LocalRecord
from ask_expert.policy.decide import Decision
from ask_expert.reply import Approval, Reply

_MAY_BE_BILLED = "It may have been billed: its worst case stays counted."
_CUT = {
    "length": "The answer was cut off at its token ceiling.",
    "partial": "The answer broke off while it came; ask on in its thread for the rest.",
    "needs_context": "The expert says what is missing.",
}


def decided(
    case: Case,
    decision: Decision,
    steps: tuple[str, ...],
    approval: Approval | None = None,
) -> Reply:
    """Return the reply to a question that no expert is asked."""
    reason = f"{decision.rule}: {decision.reason}."
    if decision.action == "ask_human":
        return _reply(
            case,
            status="needs_approval",
            reason=reason,
            next_step=advice.ask_person(case.id),
            approval=approval,
        )
    if decision.rule == "denied":
        return _reply(case, status="refused", reason=reason, next_step=advice.DENIED)
    status = "refused" if decision.action == "refuse" else "stay_local"
    return _reply(
        case, status=status, reason=reason, next_step=advice.keep_working(steps)
    )


def denied(case: Case, denial: Denied) -> Reply:
    """Return the reply to a question that does not fit into a budget."""
    return _reply(
        case,
        status="refused",
        reason=denial.reason,
        next_step=advice.WITHOUT_BUDGET,
        budget_left_nusd=left_nusd([denial.room]),
    )


def unavailable(case: Case, reason: str) -> Reply:
    """Return the reply to a question that no expert could be asked."""
    return _reply(
        case, status="unavailable", reason=reason, next_step=advice.UNAVAILABLE
    )


def failed(case: Case, failure: Failed) -> Reply:
    """Return the reply to a question that experts were asked and did not answer."""
    reason = failure.reason
    if failure.may_be_billed:
        reason += f" {_MAY_BE_BILLED}"
    return unavailable(case, reason)


def settled(case: Case, decision: Decision, result: Settled) -> Reply:
    """Return the reply with an expert's answer, or why there is none to give."""
    answer = result.answer
    trouble = answer.trouble
    reason = f"{decision.rule}: {decision.reason}."
    if answer.finish in _CUT:
        reason += f" {_CUT[answer.finish]}"
    if not result.booked:
        reason += " The ledger could not be written: the worst case stays counted."
    if trouble:
        reason = trouble
    if result.passed_over:
        reason += f" Not answered by: {' '.join(result.passed_over)}"
    if result.may_be_billed:
        reason += f" {_MAY_BE_BILLED}"
    return _reply(
        case,
        status="unavailable" if trouble else "answered",
        reason=reason,
        next_step=_next_step(case.id, case.thread, answer.text, answer.finish)
        if not trouble
        else advice.UNAVAILABLE,
        answer=None if trouble else answer_block.block(answer.text, _name(result)),
        cost_nusd=result.paid_nusd,
        asked=result.expert.name,
        served=answer.provenance.served_model,
        sent=result.prompt.sent,
        left_out=result.prompt.left_out,
        partial=answer.finish == "partial",
        subscription=result.charge.source == SUBSCRIPTION,
        panel=result.voices,
    )


def given_locally(
    case: Case,
    decision: Decision,
    local: LocalRecord,
    text: str,
    *,
    confidence: float | None,
) -> Reply:
    """Return the reply with an answer of the local system, in place of an expert's."""
    return _reply(
        case,
        status="stay_local",
        reason=(
            f"{decision.rule}: {decision.reason}. The local system answered it, and no"
            f" expert was asked: {local.reason}."
        ),
        next_step=advice.apply_local(case.id, marks="«SECRET:" in text),
        answer=_local_block(text, local.name),
        confidence=confidence,
        local=local.name,
        served=local.model,
    )


def _local_block(text: str, name: str | None) -> str:
    return answer_block.block(text, name or "?", source="the local model")


def _name(result: Settled) -> str:
    voices = [voice.expert for voice in result.voices]
    return f"panel of {', '.join(voices)}" if voices else result.expert.name


def _next_step(
    question_id: str, thread: str | None, text: str, finish: str | None
) -> str:
    if finish == "needs_context":
        return advice.give_context(thread)
    return advice.apply_answer(question_id, marks="«SECRET:" in text)


def stored(case_id: str, standing: Answered, *, now_us: int, masked: int = 0) -> Reply:
    """Return an answer from the ledger again, at no cost."""
    minutes = max(0, now_us - standing.ended_us) // 60_000_000
    text = standing.answer or ""
    if standing.local_name is not None:
        return _local_again(case_id, standing, minutes, masked)
    return Reply(
        status="answered",
        question_id=case_id,
        thread=standing.thread,
        reason=f"Answered {minutes} min ago (question {standing.question_id}).",
        next_step=advice.give_context(standing.thread)
        if standing.finish == "needs_context"
        else advice.apply_cached(case_id, marks="«SECRET:" in text),
        answer=answer_block.block(text, _who(standing)),
        asked=standing.expert,
        served=standing.served,
        cached=True,
        masked=masked,
        partial=standing.finish == "partial",
    )


def _local_again(case_id: str, standing: Answered, minutes: int, masked: int) -> Reply:
    text = standing.answer or ""
    return Reply(
        status="stay_local",
        question_id=case_id,
        thread=standing.thread,
        reason=(
            f"The local system answered it {minutes} min ago (question"
            f" {standing.question_id})."
        ),
        next_step=advice.apply_local(case_id, marks="«SECRET:" in text),
        answer=_local_block(text, standing.local_name),
        confidence=standing.confidence,
        local=standing.local_name,
        served=standing.served,
        cached=True,
        masked=masked,
    )


def fetched(standing: Answered) -> Reply:
    """Return the answer of a question that was pending, with what it cost."""
    text = standing.answer or ""
    if standing.local_name is not None:
        minutes = max(0, standing.ended_us - standing.created_us) // 60_000_000
        found = _local_again(standing.question_id, standing, minutes, 0)
        return replace(found, reason=standing.reason, cached=False)
    return Reply(
        status="answered",
        question_id=standing.question_id,
        thread=standing.thread,
        reason=f"{standing.reason}.",
        next_step=_next_step(
            standing.question_id, standing.thread, text, standing.finish
        ),
        answer=answer_block.block(text, _who(standing)),
        cost_nusd=standing.cost_nusd,
        asked=standing.expert,
        served=standing.served,
        partial=standing.finish == "partial",
        subscription=standing.price_source == SUBSCRIPTION,
    )


def _who(standing: Answered) -> str:
    return "the panel" if standing.by_panel else standing.expert or "?"


def pending(question_id: str, thread: str | None, *, masked: int = 0) -> Reply:
    """Return the reply to a question whose answer takes longer than the patience."""
    return Reply(
        status="pending",
        question_id=question_id,
        thread=thread,
        reason="The expert needs longer than this call may wait; nothing is lost.",
        next_step=advice.poll(question_id),
        masked=masked,
    )


def standing_status(standing: Answered, *, alive: bool) -> Reply:
    """
    Return where a question stands that has no answer to give.

    Args:
        standing: What the ledger says.
        alive: Whether the process that asks still does.
    """
    if alive and standing.status in {"pending", "answered"}:
        return pending(standing.question_id, standing.thread)
    if standing.try_state == "unresolved":
        asked = from_us(standing.created_us)
        return Reply(
            status="unavailable",
            question_id=standing.question_id,
            thread=standing.thread,
            reason=(
                f"The call of {asked:%Y-%m-%dT%H:%M:%SZ} was lost; what it may have "
                "cost stays counted. Asking again is a new charge."
            ),
            next_step=advice.UNAVAILABLE,
        )
    gone = standing.status in {"pending", "answered", "refused_by_expert"}
    reason = standing.reason
    if standing.status == "refused_by_expert":
        reason = f"refused_by_expert: {standing.expert} declined to answer."
    if standing.status == "answered":
        reason = "It was answered, but answers are not stored."
    return Reply(
        # The ledger holds nothing but statuses.
        status="unavailable" if gone else standing.status,  # pyright: ignore[reportArgumentType]
        question_id=standing.question_id,
        thread=standing.thread,
        reason=reason,
        next_step=advice.ask_person(standing.question_id)
        if standing.status == "needs_approval"
        else advice.UNAVAILABLE,
        cost_nusd=standing.cost_nusd,
        asked=standing.expert,
        served=standing.served,
    )


def _reply(case: Case, **fields: object) -> Reply:
    values: dict[str, object] = {
        "question_id": case.id,
        "thread": case.thread,
        "masked": case.marks.count,
        "left_out": tuple(
            f"{each.path}: {each.left_out}"
            for each in case.attachments
            if each.left_out
        ),
        **fields,
    }
    # A provider's own words may stand in the reason.
    values["reason"] = answer_block.clean(str(values["reason"]))
    return Reply(**values)  # pyright: ignore[reportArgumentType]  # fields of Reply
