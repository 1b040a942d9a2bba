"""Write a question, its thread, its escalation, and how a try of it ended."""

from sqlalchemy import Connection, ScalarSelect, insert, select, update

from ask_expert.errors import ExpertError
from ask_expert.ledger.records import End, QuestionRecord, TryRequest
from ask_expert.ledger.tables import escalations, marks, questions, threads, tries
from ask_expert.money import nusd
from ask_expert.reply import Charge, ExpertAnswer


def is_known(connection: Connection, question_id: str) -> bool:
    """Return whether a question is on record."""
    found = connection.execute(
        select(questions.c.id).where(questions.c.id == question_id)
    ).scalar_one_or_none()
    return found is not None


def insert_question(connection: Connection, question: QuestionRecord) -> None:
    """Put a question on record."""
    caller = question.caller
    connection.execute(
        insert(questions).values(
            id=question.id,
            created_us=question.created_us,
            user=caller.user,
            project=caller.project,
            session=caller.session,
            agent=caller.agent,
            task=question.task,
            thread=question.thread,
            key=question.key,
            text_key=question.text_key,
            error_signature=question.error_signature,
            texts=None if question.texts is None else dict(question.texts),
            stated_confidence=question.stated_confidence,
            confidence=question.confidence,
            facts=dict(question.facts),
            masked=question.masked,
            policy=question.policy,
            policy_hash=question.policy_hash,
            action=question.action,
            rule=question.rule,
            reason=question.reason,
            status=question.status,
            cached_from=question.cached_from,
            worst_case_nusd=question.worst_case_nusd,
        )
    )


def insert_thread(
    connection: Connection, question: QuestionRecord, request: TryRequest
) -> None:
    """Put a question's thread and its new marks on record."""
    if question.thread is None:
        return
    known = connection.execute(
        select(threads.c.id).where(threads.c.id == question.thread)
    ).scalar_one_or_none()
    if known is None:
        connection.execute(
            insert(threads).values(
                id=question.thread,
                created_us=question.created_us,
                user=question.caller.user,
                project=question.caller.project,
                expert=request.expert,
            )
        )
    numbered = {
        (kind, digest)
        for kind, digest in connection.execute(
            select(marks.c.kind, marks.c.digest).where(
                marks.c.thread == question.thread
            )
        )
    }
    new = [
        {"thread": question.thread, "kind": kind, "digest": digest, "number": number}
        for (kind, digest), number in request.marks.items()
        if (kind, digest) not in numbered
    ]
    if new:
        connection.execute(insert(marks), new)


def insert_escalation(
    connection: Connection, question: QuestionRecord, request: TryRequest
) -> None:
    """Put an escalation on record."""
    connection.execute(
        insert(escalations).values(
            id=request.escalation_id,
            question_id=question.id,
            expert=request.expert,
            position=request.position,
            template=request.template,
        )
    )


def escalation_of(try_id: str) -> ScalarSelect[str]:
    """Select the escalation of a try."""
    return select(tries.c.escalation_id).where(tries.c.id == try_id).scalar_subquery()


def end_question(connection: Connection, try_id: str, end: End) -> None:
    """Note how a question ended with a try."""
    if end.status is None:
        return
    connection.execute(
        update(questions)
        .where(
            questions.c.id
            == select(escalations.c.question_id)
            .where(escalations.c.id == escalation_of(try_id))
            .scalar_subquery()
        )
        .values(status=end.status)
    )


def answer_columns(answer: ExpertAnswer, charge: Charge) -> dict[str, object]:
    """Return what a try's row keeps of an answer."""
    usage, provenance = answer.usage, answer.provenance
    reported = answer.reported_cost_usd
    return {
        "cost_nusd": charge.nusd,
        "price_source": charge.source,
        "price_detail": dict(charge.detail),
        "input_tokens": usage.input_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_write_long_tokens": usage.cache_write_long_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "usage_source": usage.source,
        "reported_cost_nusd": None if reported is None else nusd(reported),
        "served_model": provenance.served_model,
        "fingerprint": provenance.fingerprint,
        "service_tier": provenance.service_tier,
        "provider": provenance.provider,
        "request_id": provenance.request_id,
        "region": provenance.region,
        "finish_reason": provenance.finish_reason,
        "first_token_us": answer.first_token_us,
        "rate_limits": dict(provenance.rate_limits),
        "http_status": 200,
    }


def error_columns(error: ExpertError | None) -> dict[str, object]:
    """Return what a try's row keeps of an error."""
    if error is None:
        return {}
    return {
        "error": str(error),
        "http_status": error.http_status,
        "request_id": error.request_id,
    }
