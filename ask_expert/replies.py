"""Word the reply to the agent: what happened, why, and what to do now."""

from ask_expert import advice, answer_block
from ask_expert.budget import Denied, from_us
from ask_expert.experts.desk import Failed, Settled
from ask_expert.intake import Case
from ask_expert.ledger.records import Answered
from ask_expert.policy.decide import Decision
from ask_expert.reply import Reply


def decided(case: Case, decision: Decision, steps: tuple[str, ...]) -> Reply:
    """Return the reply to a question that no expert is asked."""
    reason = f"{decision.rule}: {decision.reason}."
    if decision.action == "ask_human":
        return _reply(
            case,
            status="needs_approval",
            reason=reason,
            next_step=advice.ask_person(case.id),
        )
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
        budget_left_nusd=denial.room.left_nusd,
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
        reason += " It may have been billed: its worst case stays counted."
    return unavailable(case, reason)


def settled(case: Case, decision: Decision, result: Settled) -> Reply:
    """Return the reply with an expert's answer, or why there is none to give."""
    answer = result.answer
    provenance = answer.provenance
    trouble = answer.trouble
    marks = "«SECRET:" in answer.text
    reason = f"{decision.rule}: {decision.reason}."
    if answer.finish == "length":
        reason += " The answer was cut off at its token ceiling."
    if result.book is not None:
        reason += " The ledger could not be written: the worst case stays counted."
    return _reply(
        case,
        status="unavailable" if trouble else "answered",
        reason=trouble or reason,
        next_step=advice.UNAVAILABLE
        if trouble
        else advice.apply_answer(case.id, marks=marks),
        answer=None if trouble else answer_block.block(answer.text, result.expert.name),
        cost_nusd=result.charge.nusd,
        asked=result.expert.name,
        served=provenance.served_model,
    )


def stored(case_id: str, standing: Answered, *, now_us: int, masked: int = 0) -> Reply:
    """Return an answer from the ledger again, at no cost."""
    minutes = max(0, now_us - standing.ended_us) // 60_000_000
    text = standing.answer or ""
    return Reply(
        status="answered",
        question_id=case_id,
        thread=standing.thread,
        reason=f"Answered {minutes} min ago (question {standing.question_id}).",
        next_step=advice.apply_cached(case_id, marks="«SECRET:" in text),
        answer=answer_block.block(text, standing.expert or "?"),
        asked=standing.expert,
        served=standing.served,
        cached=True,
        masked=masked,
    )


def fetched(standing: Answered) -> Reply:
    """Return the answer of a question that was pending, with what it cost."""
    text = standing.answer or ""
    return Reply(
        status="answered",
        question_id=standing.question_id,
        thread=standing.thread,
        reason=f"{standing.reason}.",
        next_step=advice.apply_answer(standing.question_id, marks="«SECRET:" in text),
        answer=answer_block.block(text, standing.expert or "?"),
        cost_nusd=standing.cost_nusd,
        asked=standing.expert,
        served=standing.served,
    )


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
    gone = standing.status in {"pending", "answered"}
    reason = standing.reason
    if standing.status == "answered":
        reason = "It was answered, but answers are not stored."
    return Reply(
        # The ledger holds nothing but statuses.
        status="unavailable" if gone else standing.status,  # pyright: ignore[reportArgumentType]
        question_id=standing.question_id,
        thread=standing.thread,
        reason=reason,
        next_step=advice.UNAVAILABLE,
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
