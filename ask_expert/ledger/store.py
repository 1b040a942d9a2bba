"""The ledger's public verbs: look up, record, reserve, settle, release, report back."""

from collections.abc import Callable, Container, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from typing import Self

from sqlalchemy import Connection, Engine, insert, select, update

from ask_expert.budget import Cap, Denied, Room
from ask_expert.errors import ExpertError, LedgerError
from ask_expert.ledger import (
    breakers,
    counting,
    lookups,
    reservations,
    rows,
)
from ask_expert.ledger.doubts import Doubts, take_back
from ask_expert.ledger.engine import open_engine, reading, translated_errors, writing
from ask_expert.ledger.owner import is_dead
from ask_expert.ledger.past import past
from ask_expert.ledger.records import (
    Answered,
    ApprovalScope,
    Closed,
    End,
    Granted,
    Joined,
    Outcome,
    Past,
    QuestionRecord,
    Resting,
    TryRequest,
)
from ask_expert.ledger.summing import long_sums
from ask_expert.ledger.tables import (
    approvals,
    marks,
    outcomes,
    questions,
)
from ask_expert.ledger_address import Where, is_server, shown
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

    def __init__(self, engine: Engine, path: Where) -> None:
        self._engine = engine
        self._doubts = Doubts()
        self.path = path

    @classmethod
    def open(cls, where: Where) -> Self:
        """Open or create the ledger in a file or in a PostgreSQL database."""
        engine = open_engine(where)
        return cls(engine, shown(where) if is_server(where) else where)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @property
    def engine(self) -> Engine:
        """The database, for reports and exports, which only read."""
        return self._engine

    def past(
        self,
        caller: Caller,
        *,
        task: str,
        key: str | None,
        text_key: str | None = None,
        error_signature: str | None = None,
        thread: str | None = None,
        now_us: int,
    ) -> Past:
        """Return what is known that bears on a new question."""
        same = {"key": key, "text_key": text_key, "error_signature": error_signature}
        with translated_errors(self.path), reading(self._engine) as connection:
            return past(
                connection, caller, task=task, same=same, thread=thread, now_us=now_us
            )

    def current_task(self, caller: Caller, *, now_us: int) -> str | None:
        """Return the session's task, unless it idled for 30 minutes or was solved."""
        with translated_errors(self.path), reading(self._engine) as connection:
            return lookups.current_task(connection, caller, now_us=now_us)

    def thread_marks(self, thread: str) -> dict[tuple[str, str], int]:
        """Return the numbers that secrets were given in a thread."""
        with translated_errors(self.path), reading(self._engine) as connection:
            found = connection.execute(select(marks).where(marks.c.thread == thread))
            return {(row.kind, row.digest): row.number for row in found}

    def thread_turns(
        self, thread: str, caller: Caller
    ) -> tuple[Turn, ...] | Closed | None:
        """Return a thread's stored turns, if it is open; None if it is not theirs."""
        with translated_errors(self.path), reading(self._engine) as connection:
            return lookups.thread_turns(connection, thread, caller)

    def record(
        self,
        question: QuestionRecord,
        *,
        new_marks: Mapping[tuple[str, str], int] | None = None,
    ) -> None:
        """
        Put a question on record that was decided without an escalation.

        Where the local system answered it, its thread and `new_marks` go along.
        """
        with translated_errors(self.path), writing(self._engine) as connection:
            rows.insert_question(connection, question)
            rows.begin_local_thread(connection, question, new_marks or {})

    def revise(self, question: QuestionRecord) -> None:
        """Note that a question on record waits for a person after all."""
        with translated_errors(self.path), writing(self._engine) as connection:
            connection.execute(
                update(questions)
                .where(questions.c.id == question.id)
                .values(
                    action=question.action,
                    rule=question.rule,
                    reason=question.reason,
                    status=question.status,
                    worst_case_nusd=question.worst_case_nusd,
                )
            )

    def reserve(
        self,
        question: QuestionRecord,
        request: TryRequest,
        *,
        ceiling: Callable[[int], int],
    ) -> Granted | Denied | Joined | Resting:
        """
        Set money aside for one try and put it on record as sent.

        The first try of a question also writes the question, its thread and its
        escalation. If the same question is in flight, or was answered since the
        caller looked, nothing is written: the answer is where that question's is.
        Nor is anything written while the expert rests.

        Args:
            question: The question with its decision.
            request: The try.
            ceiling: Tokens of output that a reservation of so many nUSD pays for.
        """
        with (
            self._doubts.reserving(request),
            self._taking_back(request.sent_us) as connection,
        ):
            found = rows.find(connection, question, request)
            if found.same and not found.question and question.key:
                same = lookups.latest_escalated(connection, question.key)
                if same and _answers(same, request):
                    return Joined(question_id=same.question_id)
            fits = reservations.fit(connection, request)
            refusal: Denied | Resting | None = fits.denied
            # Only a try that has its money may look whether a resting expert is back.
            if refusal is None and found.breaker:
                refusal = _resting(connection, request)
            if refusal is not None:
                counting.open_all(connection, long_sums(connection, fits.fresh))
                return refusal
            if not found.question:
                rows.insert_question(connection, question)
            if request.number == 1:
                rows.insert_thread(connection, question, request, found)
                rows.insert_escalation(connection, question, request)
            return reservations.reserve(
                connection, request, question=question, fits=fits, ceiling=ceiling
            )

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
        with self._ending(try_id) as connection:
            if self._doubts.is_booked(connection, try_id):
                return
            reservations.settle(
                connection,
                try_id,
                cost_nusd=charge.nusd,
                now_us=end.now_us,
                columns=rows.answer_columns(answer, charge),
            )
            rows.end_escalation(
                connection, try_id, finish=answer.finish, answer=end.stored_answer
            )
            if end.guarded is not None:
                breakers.note_success(connection, end.guarded)
            rows.end_question(connection, try_id, end)

    def release(self, try_id: str, error: ExpertError | None, *, end: End) -> None:
        """Give a reservation back: surely nothing was billed."""
        with self._ending(try_id) as connection:
            if self._doubts.is_booked(connection, try_id):
                return
            reservations.release(
                connection, try_id, now_us=end.now_us, columns=rows.error_columns(error)
            )
            _note_failure(connection, error, end)
            rows.end_question(connection, try_id, end)

    def leave_unresolved(
        self, try_id: str, error: ExpertError | None, *, end: End
    ) -> None:
        """Keep a reservation counted in full: what was billed is unknown."""
        with self._ending(try_id) as connection:
            reservations.leave_unresolved(
                connection, try_id, now_us=end.now_us, columns=rows.error_columns(error)
            )
            _note_failure(connection, error, end)
            rows.end_question(connection, try_id, end)

    def end_question(
        self,
        question_id: str,
        *,
        status: str,
        reason: str,
        panel_answer: str | None = None,
    ) -> None:
        """Note how a question ended that no try ended, or several together."""
        with translated_errors(self.path), writing(self._engine) as connection:
            connection.execute(
                update(questions)
                .where(questions.c.id == question_id)
                .values(status=status, reason=reason, panel_answer=panel_answer)
            )

    def sweep(self, *, now_us: int, alive: Container[str] = ()) -> list[str]:
        """
        Mark tries as unresolved that a dead process left behind; return their ids.

        Those in `alive` are this process's own, and on their way.
        """
        with translated_errors(self.path), reading(self._engine) as connection:
            lost = reservations.lost(connection, now_us=now_us, alive=alive)
        if not lost and not self._doubts:
            return []
        with self._taking_back(now_us) as connection:
            return reservations.sweep(connection, now_us=now_us, alive=alive)

    def rooms(self, caps: Iterable[Cap], *, opening: bool = False) -> list[Room]:
        """
        Return the running sums of the caps' windows.

        Args:
            caps: The budgets.
            opening: Whether windows that took long to sum are open from now on, so that
                they are not summed again; where nothing can be written, they stay shut.
        """
        with translated_errors(self.path), reading(self._engine) as connection:
            found, fresh = counting.look(connection, caps)
            long = long_sums(connection, fresh) if opening else []
        if long:
            with (
                suppress(LedgerError),
                translated_errors(self.path),
                writing(self._engine) as connection,
            ):
                counting.opened(connection, [room.cap for room in long])
        return found

    def warn(self, cap: Cap, *, now_us: int) -> bool:
        """Note that people were warned of a full window; return whether it is news."""
        with translated_errors(self.path), writing(self._engine) as connection:
            return counting.warn(connection, cap, now_us=now_us)

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

    def approve(
        self,
        question_id: str,
        *,
        by: str,
        at_us: int,
        scope: ApprovalScope = "question",
    ) -> None:
        """Put on record what a person said to a question."""
        with translated_errors(self.path), writing(self._engine) as connection:
            connection.execute(
                insert(approvals).values(
                    question_id=question_id, at_us=at_us, by=by, scope=scope
                )
            )

    @contextmanager
    def _taking_back(self, now_us: int) -> Generator[Connection]:
        """Write; reservations that were never granted are taken back first."""
        with (
            self._doubts.taken() as doubtful,
            translated_errors(self.path),
            writing(self._engine) as connection,
        ):
            take_back(connection, doubtful, now_us=now_us)
            yield connection

    @contextmanager
    def _ending(self, try_id: str) -> Generator[Connection]:
        with (
            self._doubts.ending(try_id),
            translated_errors(self.path),
            writing(self._engine) as connection,
        ):
            yield connection


def _resting(connection: Connection, request: TryRequest) -> Resting | None:
    if request.guarded is None:
        return None
    found = breakers.admit(
        connection,
        request.guarded,
        looker=request.escalation_id,
        now_us=request.sent_us,
    )
    if found is None:
        return None
    return Resting(
        expert=request.expert,
        failures=found.failures,
        until_us=found.until_us,
        last=found.reason,
    )


def _note_failure(connection: Connection, error: ExpertError | None, end: End) -> None:
    if error is not None and end.guarded is not None:
        breakers.note_failure(connection, end.guarded, error, now_us=end.now_us)


def _answers(same: Answered, request: TryRequest) -> bool:
    """Return whether the same question's answer serves this one too."""
    if same.status == "pending":
        return same.lease_us >= request.sent_us and not is_dead(same.owner)
    return same.status == "answered" and same.question_id != request.too_old
