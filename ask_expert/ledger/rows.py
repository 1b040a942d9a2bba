"""Write a question, its thread, its escalation, and how a try of it ended."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    bindparam,
    exists,
    insert,
    select,
    update,
)

from ask_expert.errors import ExpertError
from ask_expert.ledger.records import End, LocalRecord, QuestionRecord, TryRequest
from ask_expert.ledger.tables import (
    breakers,
    escalations,
    marks,
    questions,
    threads,
    tries,
)
from ask_expert.money import nusd
from ask_expert.reply import Charge, ExpertAnswer

# Built once: what is built for each question costs more than the database's part.
_INSERT_QUESTION = insert(questions)
_INSERT_THREAD = insert(threads)
_INSERT_MARKS = insert(marks)
_INSERT_ESCALATION = insert(escalations)
_MARKS = select(marks.c.kind, marks.c.digest).where(
    marks.c.thread == bindparam("thread")
)
_ESCALATION: ScalarSelect[str] = (
    select(tries.c.escalation_id)
    .where(tries.c.id == bindparam("try_id"))
    .scalar_subquery()
)
_END_ESCALATION = update(escalations).where(escalations.c.id == _ESCALATION)
_END_QUESTION = update(questions).where(
    questions.c.id
    == select(escalations.c.question_id)
    .where(escalations.c.id == _ESCALATION)
    .scalar_subquery()
)


def _any(*where: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(*where)


_FIND = select(
    _any(questions.c.id == bindparam("id")).label("question"),
    _any(threads.c.id == bindparam("thread")).label("thread"),
    _any(marks.c.thread == bindparam("thread")).label("marks"),
    _any(
        questions.c.key == bindparam("key"),
        escalations.c.question_id == questions.c.id,
    ).label("same"),
    _any(
        breakers.c.expert == bindparam("expert"),
        breakers.c.address == bindparam("address"),
    ).label("breaker"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    What is on record of a question whose try is about to be written.

    Attributes:
        question: Whether it is itself.
        thread: Whether its thread is.
        marks: Whether secrets were given numbers in its thread.
        same: Whether an expert was asked the same question.
        breaker: Whether its expert has failed since it last answered.
    """

    question: bool
    thread: bool
    marks: bool
    same: bool
    breaker: bool


def find(
    connection: Connection,
    question: QuestionRecord,
    request: TryRequest | None = None,
) -> Found:
    """Return what is on record of a question, by one look."""
    guarded = request.guarded if request else None
    row = connection.execute(
        _FIND,
        {
            "id": question.id,
            "thread": question.thread,
            "key": question.key,
            "expert": guarded and guarded.expert,
            "address": guarded and guarded.address,
        },
    ).one()
    return Found(
        question=row.question,
        thread=row.thread,
        marks=row.marks,
        same=row.same,
        breaker=row.breaker,
    )


def insert_question(connection: Connection, question: QuestionRecord) -> None:
    """Put a question on record."""
    caller = question.caller
    connection.execute(
        _INSERT_QUESTION,
        {
            "id": question.id,
            "created_us": question.created_us,
            "user": caller.user,
            "project": caller.project,
            "session": caller.session,
            "agent": caller.agent,
            "task": question.task,
            "thread": question.thread,
            "key": question.key,
            "text_key": question.text_key,
            "error_signature": question.error_signature,
            "texts": None if question.texts is None else dict(question.texts),
            "stated_confidence": question.stated_confidence,
            "confidence": question.confidence,
            "facts": dict(question.facts),
            "masked": question.masked,
            "policy": question.policy,
            "policy_hash": question.policy_hash,
            "action": question.action,
            "rule": question.rule,
            "reason": question.reason,
            "status": question.status,
            "cached_from": question.cached_from,
            "worst_case_nusd": question.worst_case_nusd,
            **_local_columns(question.local),
        },
    )


def _local_columns(local: LocalRecord) -> dict[str, object]:
    return {
        "assess_tokens": local.assess_tokens,
        "assess_us": local.assess_us,
        "local_name": local.name,
        "local_model": local.model,
        "local_kind": local.kind,
        "local_strategy": local.strategy,
        "local_passed": local.passed,
        "local_score": local.score,
        "local_tokens": local.tokens,
        "local_us": local.took_us,
        "local_reason": local.reason,
        "local_answer": local.answer,
    }


def insert_thread(
    connection: Connection,
    question: QuestionRecord,
    request: TryRequest,
    found: Found,
) -> None:
    """Put a question's thread and its new marks on record."""
    begin_thread(
        connection, question, by=request.expert, new_marks=request.marks, found=found
    )


def begin_local_thread(
    connection: Connection,
    question: QuestionRecord,
    new_marks: Mapping[tuple[str, str], int],
) -> None:
    """Put a question's thread on record where the local system answered it."""
    if question.local.passed and question.cached_from is None:
        by = f"local {question.local.name}"
        begin_thread(connection, question, by=by, new_marks=new_marks)


def begin_thread(
    connection: Connection,
    question: QuestionRecord,
    *,
    by: str,
    new_marks: Mapping[tuple[str, str], int],
    found: Found | None = None,
) -> None:
    """Put a question's thread, begun by whoever answers it, and new marks on record."""
    if question.thread is None:
        return
    known = found or find(connection, question)
    if not known.thread:
        connection.execute(
            _INSERT_THREAD,
            {
                "id": question.thread,
                "created_us": question.created_us,
                "user": question.caller.user,
                "project": question.caller.project,
                "expert": by,
            },
        )
    numbered: set[tuple[str, str]] = set()
    if known.marks:
        rows = connection.execute(_MARKS, {"thread": question.thread})
        numbered = {(kind, digest) for kind, digest in rows}
    new = [
        {"thread": question.thread, "kind": kind, "digest": digest, "number": number}
        for (kind, digest), number in new_marks.items()
        if (kind, digest) not in numbered
    ]
    if new:
        connection.execute(_INSERT_MARKS, new)


def insert_escalation(
    connection: Connection, question: QuestionRecord, request: TryRequest
) -> None:
    """Put an escalation on record."""
    connection.execute(
        _INSERT_ESCALATION,
        {
            "id": request.escalation_id,
            "question_id": question.id,
            "expert": request.expert,
            "position": request.position,
            "template": request.template,
        },
    )


def end_escalation(
    connection: Connection, try_id: str, *, finish: str | None, answer: str | None
) -> None:
    """Note how an escalation ended with a try."""
    connection.execute(
        _END_ESCALATION, {"try_id": try_id, "finish": finish, "answer": answer}
    )


def end_question(connection: Connection, try_id: str, end: End) -> None:
    """Note how a question ended with a try."""
    if end.status is not None:
        connection.execute(_END_QUESTION, {"try_id": try_id, "status": end.status})


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
