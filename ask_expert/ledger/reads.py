"""What reports and exports ask the ledger; reading only, and summed by the database."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    Subquery,
    case,
    distinct,
    func,
    select,
)

from ask_expert.ledger.columns import total
from ask_expert.ledger.tables import (
    approvals,
    escalations,
    holds,
    outcomes,
    questions,
    tries,
    windows,
)
from ask_expert.money import SUBSCRIPTION
from ask_expert.question import Caller

Rows = Sequence[Row[*tuple[Any, ...]]]

_SOURCES = ("check", "person", "judge", "agent")
"""Whose verdict counts before whose; a check is the most reliable."""

_fresh = questions.c.cached_from.is_(None)


def statuses(connection: Connection, since_us: int) -> Rows:
    """Return (status, questions, repeats answered from the ledger) since a time."""
    repeats = func.count().filter(questions.c.cached_from.is_not(None))
    return connection.execute(
        select(
            questions.c.status,
            func.count().label("questions"),
            repeats.label("cached"),
        )
        .where(since(since_us))
        .group_by(questions.c.status)
    ).all()


def escalated(connection: Connection, since_us: int) -> int:
    """Return how many questions were sent to an expert at least once."""
    return connection.execute(
        select(func.count(distinct(escalations.c.question_id)))
        .join(questions, questions.c.id == escalations.c.question_id)
        .where(since(since_us))
    ).scalar_one()


def sums_by_expert(connection: Connection, since_us: int) -> Rows:
    """Return what each expert's tries cost and used, over the questions since a time."""
    lost = tries.c.state == "unresolved"
    worst = tries.c.reconciled == "worst_case"
    every_input = (
        func.coalesce(tries.c.input_tokens, 0)
        + func.coalesce(tries.c.cache_read_tokens, 0)
        + func.coalesce(tries.c.cache_write_tokens, 0)
        + func.coalesce(tries.c.cache_write_long_tokens, 0)
    )
    return connection.execute(
        select(
            escalations.c.expert,
            total(tries.c.cost_nusd).label("cost_nusd"),
            func.count().filter(tries.c.price_source == SUBSCRIPTION).label("by_plan"),
            total(every_input).label("input"),
            total(tries.c.cache_read_tokens).label("cached"),
            total(tries.c.output_tokens).label("output"),
            total(tries.c.reasoning_tokens).label("reasoning"),
            func.count().filter(lost).label("unresolved"),
            total(tries.c.reserved_nusd, where=lost).label("unresolved_nusd"),
            func.count(tries.c.reconciled).label("reconciled"),
            func.count().filter(worst).label("at_worst_case"),
            total(tries.c.cost_nusd, where=worst).label("worst_case_nusd"),
        )
        .select_from(all_tries())
        .where(since(since_us))
        .group_by(escalations.c.expert)
        .order_by(escalations.c.expert)
    ).all()


def served_models(connection: Connection, since_us: int) -> Rows:
    """Return (expert, asked model, served model, tries), settled tries only."""
    columns = (escalations.c.expert, tries.c.asked_model, tries.c.served_model)
    in_order = (*columns[:2], columns[2].nulls_first())
    return connection.execute(
        select(*columns, func.count().label("tries"))
        .select_from(all_tries())
        .where(since(since_us), tries.c.state == "settled")
        .group_by(*columns)
        .order_by(*in_order)
    ).all()


def price_sources(connection: Connection, since_us: int) -> Rows:
    """Return (price source, tries), settled tries only."""
    return connection.execute(
        select(tries.c.price_source, func.count().label("tries"))
        .select_from(all_tries())
        .where(since(since_us), tries.c.state == "settled")
        .group_by(tries.c.price_source)
        .order_by(tries.c.price_source)
    ).all()


def disagreements(connection: Connection, since_us: int) -> Rows:
    """
    Return (expert, tries, reported, computed) where a provider's own cost is not ours.

    Only tries whose provider named a cost that differs by more than 1 % from what
    our prices make of the same usage; sums in nano-dollars.
    """
    computed = tries.c.price_detail["computed_nusd"].as_string().cast(BigInteger)
    reported = tries.c.cost_nusd
    return connection.execute(
        select(
            escalations.c.expert,
            func.count().label("tries"),
            total(reported).label("reported_nusd"),
            total(computed).label("computed_nusd"),
        )
        .select_from(all_tries())
        .where(
            since(since_us),
            tries.c.price_source == "provider",
            computed.is_not(None),
            func.abs(reported - computed) * 100 > computed,
        )
        .group_by(escalations.c.expert)
        .order_by(escalations.c.expert)
    ).all()


def verdicts(connection: Connection, since_us: int) -> Rows:
    """
    Return (verdict, solved, late, questions) of what an expert answered.

    A question answered again from the ledger is not counted by itself, but what
    was reported on it is a report on the answer that was given again.
    """
    current = current_verdicts()
    columns = (
        func.coalesce(current.c.verdict, "unknown").label("verdict"),
        current.c.solved,
        func.coalesce(current.c.late, False).label("late"),
    )
    return connection.execute(
        select(*columns, func.count().label("questions"))
        .select_from(
            questions.join(current, current.c.root == questions.c.id, isouter=True)
        )
        .where(since(since_us), _fresh, questions.c.status == "answered")
        .group_by(*columns)
    ).all()


def current_verdicts() -> Subquery:
    """
    Select each question's current verdict: `root`, `verdict`, `solved`, `source`, `late`.

    A verdict is final 24 h after its question, so a late report counts only where
    there was none in time; then a check counts before a person, a judge and the
    agent; then the latest report.
    """
    root = func.coalesce(questions.c.cached_from, questions.c.id)
    trust = case(
        *((outcomes.c.source == name, place) for place, name in enumerate(_SOURCES)),
        else_=len(_SOURCES),
    )
    ranked = (
        select(
            root.label("root"),
            outcomes.c.verdict,
            outcomes.c.solved,
            outcomes.c.source,
            outcomes.c.late,
            func.row_number()
            .over(
                partition_by=root,
                order_by=(
                    outcomes.c.late,
                    trust,
                    outcomes.c.at_us.desc(),
                    outcomes.c.id.desc(),
                ),
            )
            .label("place"),
        )
        .join(questions, questions.c.id == outcomes.c.question_id)
        .subquery()
    )
    return select(ranked).where(ranked.c.place == 1).subquery("current")


def experts_asked(connection: Connection) -> list[str]:
    """Return the names of all experts that were ever asked."""
    query = select(escalations.c.expert).distinct().order_by(escalations.c.expert)
    return list(connection.execute(query).scalars())


def last_caller(connection: Connection) -> tuple[Caller, str, str | None] | None:
    """Return who asked last, in which task and in which thread."""
    row = connection.execute(
        select(questions).order_by(questions.c.created_us.desc()).limit(1)
    ).one_or_none()
    if row is None:
        return None
    caller = Caller(
        session=row.session, project=row.project, user=row.user, agent=row.agent
    )
    return caller, row.task, row.thread


def latest_questions(connection: Connection, limit: int) -> Rows:
    """Return the latest questions, newest first."""
    return connection.execute(
        select(questions)
        .order_by(questions.c.created_us.desc(), questions.c.id.desc())
        .limit(limit)
    ).all()


def decided_questions(connection: Connection) -> Rows:
    """Return id, texts and facts of every question that was not a repeat, in order."""
    return connection.execute(
        select(questions.c.id, questions.c.texts, questions.c.facts)
        .where(questions.c.cached_from.is_(None))
        .order_by(questions.c.created_us)
    ).all()


def tries_of(connection: Connection, question_ids: Sequence[str]) -> Rows:
    """Return the tries of some questions in the order they were sent."""
    return connection.execute(
        select(
            escalations.c.question_id,
            escalations.c.expert,
            escalations.c.position,
            tries,
        )
        .join(tries, tries.c.escalation_id == escalations.c.id)
        .where(escalations.c.question_id.in_(question_ids))
        .order_by(escalations.c.question_id, escalations.c.position, tries.c.number)
    ).all()


def question(connection: Connection, question_id: str) -> Row[*tuple[Any, ...]] | None:
    """Return one question's row."""
    return connection.execute(
        select(questions).where(questions.c.id == question_id)
    ).one_or_none()


def escalations_of(connection: Connection, question_id: str) -> Rows:
    """Return a question's escalations in the order of the ladder."""
    return connection.execute(
        select(escalations)
        .where(escalations.c.question_id == question_id)
        .order_by(escalations.c.position)
    ).all()


def windows_of(connection: Connection, question_id: str) -> Rows:
    """Return (try id, window) of every budget window that a question's tries count in."""
    return connection.execute(
        select(holds.c.try_id, windows)
        .join(windows, windows.c.id == holds.c.window_id)
        .join(tries, tries.c.id == holds.c.try_id)
        .join(escalations, escalations.c.id == tries.c.escalation_id)
        .where(escalations.c.question_id == question_id)
        .order_by(holds.c.try_id, windows.c.id)
    ).all()


def outcomes_of(connection: Connection, question_id: str) -> Rows:
    """Return what was reported on a question, oldest first."""
    return connection.execute(
        select(outcomes)
        .where(outcomes.c.question_id == question_id)
        .order_by(outcomes.c.id)
    ).all()


def approvals_of(connection: Connection, question_id: str) -> Rows:
    """Return who approved a question, oldest first."""
    return connection.execute(
        select(approvals)
        .where(approvals.c.question_id == question_id)
        .order_by(approvals.c.id)
    ).all()


def one_line_a_try() -> Select[*tuple[Any, ...]]:
    """Select every try with its question and escalation; questions without one too."""
    current = current_verdicts()
    return (
        select(
            questions,
            escalations.c.id.label("escalation_id"),
            escalations.c.position,
            escalations.c.expert,
            escalations.c.template,
            escalations.c.finish,
            escalations.c.answer,
            tries.c.id.label("try_id"),
            *(
                column
                for column in tries.c
                if column.name not in {"id", "escalation_id", "owner"}
            ),
            current.c.verdict,
            current.c.solved,
            current.c.source.label("verdict_source"),
            current.c.late.label("verdict_late"),
        )
        .select_from(
            questions.join(
                escalations, escalations.c.question_id == questions.c.id, isouter=True
            )
            .join(tries, tries.c.escalation_id == escalations.c.id, isouter=True)
            .join(
                current,
                current.c.root
                == func.coalesce(questions.c.cached_from, questions.c.id),
                isouter=True,
            )
        )
        .order_by(
            questions.c.created_us,
            questions.c.id,
            escalations.c.position,
            tries.c.number,
        )
    )


def since(since_us: int) -> ColumnElement[bool]:
    """Select the questions asked since a time."""
    return questions.c.created_us >= since_us


def all_tries() -> FromClause:
    """Return the tries with their escalations and questions."""
    return tries.join(escalations, escalations.c.id == tries.c.escalation_id).join(
        questions, questions.c.id == escalations.c.question_id
    )
