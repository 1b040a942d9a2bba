"""The ledger's public verbs: look up, record, reserve, settle, release, report back."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, Engine, ScalarSelect, insert, select, update

from ask_expert.budget import Cap, Denied, Room
from ask_expert.errors import ExpertError
from ask_expert.ledger import lookups, reservations
from ask_expert.ledger.engine import open_engine, reading, translated_errors, writing
from ask_expert.ledger.owner import is_dead
from ask_expert.ledger.records import (
    Answered,
    Closed,
    End,
    Granted,
    Joined,
    Outcome,
    Past,
    QuestionRecord,
    TryRequest,
)
from ask_expert.ledger.tables import (
    approvals,
    escalations,
    marks,
    outcomes,
    questions,
    threads,
    tries,
)
from ask_expert.money import nusd
from ask_expert.question import Caller, Turn
from ask_expert.reply import Charge, ExpertAnswer

FINAL_AFTER_US = 24 * 3600 * 1_000_000
"""A verdict that comes later than this after the question is flagged `late`."""


class Ledger:
    """
    One ledger database; safe to share between threads.

    Every method raises `LedgerBusyError` when the database is locked, read-only
    or full, and `LedgerError` when it is damaged.
    """

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine = engine
        self.path = path

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create the SQLite ledger at `path`."""
        return cls(open_engine(path), path)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @property
    def engine(self) -> Engine:
        """The database, for reports and exports, which only read."""
        return self._engine

    def past(
        self, caller: Caller, *, task: str, key: str | None, error_signature: str | None
    ) -> Past:
        """Return what is known that bears on a new question."""
        with translated_errors(self.path), reading(self._engine) as connection:
            return Past(
                same=lookups.latest_escalated(connection, key) if key else None,
                asked_before=lookups.times_asked(connection, task, key, caller),
                same_error=lookups.times_seen(
                    connection, task, error_signature, caller
                ),
                approved=lookups.is_approved(connection, key),
            )

    def current_task(self, caller: Caller, *, now_us: int) -> str | None:
        """Return the session's task, unless it idled for 30 minutes or was solved."""
        with translated_errors(self.path), reading(self._engine) as connection:
            return lookups.current_task(connection, caller, now_us=now_us)

    def thread_marks(self, thread: str) -> dict[tuple[str, str], int]:
        """Return the numbers that secrets were given in a thread."""
        with translated_errors(self.path), reading(self._engine) as connection:
            rows = connection.execute(select(marks).where(marks.c.thread == thread))
            return {(row.kind, row.digest): row.number for row in rows}

    def thread_turns(
        self, thread: str, caller: Caller
    ) -> tuple[Turn, ...] | Closed | None:
        """Return a thread's stored turns, if it is open; None if it is not theirs."""
        with translated_errors(self.path), reading(self._engine) as connection:
            return lookups.thread_turns(connection, thread, caller)

    def record(self, question: QuestionRecord) -> None:
        """Put a question on record that was decided without an escalation."""
        with translated_errors(self.path), writing(self._engine) as connection:
            _insert_question(connection, question)

    def reserve(
        self,
        question: QuestionRecord,
        request: TryRequest,
        *,
        ceiling: Callable[[int], int],
    ) -> Granted | Denied | Joined:
        """
        Set money aside for one try and put it on record as sent.

        The first try of a question also writes the question, its thread and its
        escalation. If the same question is in flight, or was answered since the
        caller looked, nothing is written: the answer is where that question's is.

        Args:
            question: The question with its decision.
            request: The try.
            ceiling: Tokens of output that a reservation of so many nUSD pays for.
        """
        with translated_errors(self.path), writing(self._engine) as connection:
            first = request.position == 0 and request.number == 1
            if first and question.key:
                same = lookups.latest_escalated(connection, question.key)
                if same and _answers(same, request):
                    return Joined(question_id=same.question_id)
            savepoint = connection.begin_nested()
            if first:
                _insert_question(connection, question)
            if request.number == 1:
                _insert_thread(connection, question, request)
                _insert_escalation(connection, question, request)
            verdict = reservations.reserve(
                connection, request, question=question, ceiling=ceiling
            )
            if isinstance(verdict, Denied):
                savepoint.rollback()
            return verdict

    def settle(
        self, try_id: str, answer: ExpertAnswer, charge: Charge, *, end: End
    ) -> None:
        """
        Book what a try cost, and keep the answer.

        Args:
            try_id: The try.
            answer: What came back; its text masked, or empty if not stored.
            charge: What it cost.
            end: How the question ends with it.
        """
        with translated_errors(self.path), writing(self._engine) as connection:
            reservations.settle(
                connection,
                try_id,
                cost_nusd=charge.nusd,
                now_us=end.now_us,
                columns=_answer_columns(answer, charge),
            )
            connection.execute(
                update(escalations)
                .where(escalations.c.id == _escalation_of(try_id))
                .values(answer=end.stored_answer, finish=answer.finish)
            )
            _end_question(connection, try_id, end)

    def release(self, try_id: str, error: ExpertError | None, *, end: End) -> None:
        """Give a reservation back: surely nothing was billed."""
        with translated_errors(self.path), writing(self._engine) as connection:
            reservations.release(
                connection, try_id, now_us=end.now_us, columns=_error_columns(error)
            )
            _end_question(connection, try_id, end)

    def leave_unresolved(
        self, try_id: str, error: ExpertError | None, *, end: End
    ) -> None:
        """Keep a reservation counted in full: what was billed is unknown."""
        with translated_errors(self.path), writing(self._engine) as connection:
            reservations.leave_unresolved(
                connection, try_id, now_us=end.now_us, columns=_error_columns(error)
            )
            _end_question(connection, try_id, end)

    def end_question(self, question_id: str, *, status: str, reason: str) -> None:
        """Note how a question ended that no try ended."""
        with translated_errors(self.path), writing(self._engine) as connection:
            connection.execute(
                update(questions)
                .where(questions.c.id == question_id)
                .values(status=status, reason=reason)
            )

    def sweep(self, *, now_us: int) -> list[str]:
        """Mark tries as unresolved that a dead process left behind; return their ids."""
        with translated_errors(self.path), reading(self._engine) as connection:
            if not reservations.lost(connection, now_us=now_us):
                return []
        with translated_errors(self.path), writing(self._engine) as connection:
            return reservations.sweep(connection, now_us=now_us)

    def rooms(self, caps: Iterable[Cap]) -> list[Room]:
        """Return the running sums of the caps' windows."""
        with translated_errors(self.path), reading(self._engine) as connection:
            return reservations.rooms(connection, caps)

    def standing(self, question_id: str, caller: Caller | None) -> Answered | None:
        """
        Return where a question stands; None when there is no such question.

        Args:
            question_id: Its handle.
            caller: Whose it has to be; None is anyone's, for the owner's CLI.
        """
        with translated_errors(self.path), reading(self._engine) as connection:
            return lookups.standing(connection, question_id, caller)

    def add_outcome(self, outcome: Outcome) -> bool:
        """
        Put a verdict on record; return whether it came late.

        Verdicts are appended, never overwritten.
        """
        with translated_errors(self.path), writing(self._engine) as connection:
            created_us = connection.execute(
                select(questions.c.created_us).where(
                    questions.c.id == outcome.question_id
                )
            ).scalar_one()
            late = outcome.at_us - created_us > FINAL_AFTER_US
            connection.execute(
                insert(outcomes).values(
                    question_id=outcome.question_id,
                    at_us=outcome.at_us,
                    source=outcome.source,
                    verdict=outcome.verdict,
                    solved=outcome.solved,
                    evidence=outcome.evidence,
                    late=late,
                )
            )
            return late

    def approve(self, question_id: str, *, by: str, at_us: int) -> None:
        """Put on record that a person approved a question."""
        with translated_errors(self.path), writing(self._engine) as connection:
            connection.execute(
                insert(approvals).values(question_id=question_id, at_us=at_us, by=by)
            )


def _answers(same: Answered, request: TryRequest) -> bool:
    """Return whether the same question's answer serves this one too."""
    if same.status == "pending":
        return same.lease_us >= request.sent_us and not is_dead(same.owner)
    return same.status == "answered" and same.question_id != request.too_old


def _insert_question(connection: Connection, question: QuestionRecord) -> None:
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
        )
    )


def _insert_thread(
    connection: Connection, question: QuestionRecord, request: TryRequest
) -> None:
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


def _insert_escalation(
    connection: Connection, question: QuestionRecord, request: TryRequest
) -> None:
    connection.execute(
        insert(escalations).values(
            id=request.escalation_id,
            question_id=question.id,
            expert=request.expert,
            position=request.position,
            template=request.template,
        )
    )


def _escalation_of(try_id: str) -> ScalarSelect[str]:
    return select(tries.c.escalation_id).where(tries.c.id == try_id).scalar_subquery()


def _end_question(connection: Connection, try_id: str, end: End) -> None:
    if end.status is None:
        return
    connection.execute(
        update(questions)
        .where(
            questions.c.id
            == select(escalations.c.question_id)
            .where(escalations.c.id == _escalation_of(try_id))
            .scalar_subquery()
        )
        .values(status=end.status)
    )


def _answer_columns(answer: ExpertAnswer, charge: Charge) -> dict[str, object]:
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
        "rate_limits": dict(provenance.rate_limits),
        "http_status": 200,
    }


def _error_columns(error: ExpertError | None) -> dict[str, object]:
    if error is None:
        return {}
    return {
        "error": str(error),
        "http_status": error.http_status,
        "request_id": error.request_id,
    }
