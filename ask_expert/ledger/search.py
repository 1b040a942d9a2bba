"""Find past questions by the words in them, in their evidence and in their answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select

from ask_expert.ledger.tables import escalations, questions

_ROWS_AT_ONCE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    One question with the masked texts that were searched.

    Attributes:
        id: Handle of the question.
        asked_us: When it was asked, microseconds since 1970.
        question: The question itself.
        sent: All that was sent with it.
        answer: The answers, one below the other.
    """

    id: str
    asked_us: int
    question: str
    sent: str
    answer: str


def search(connection: Connection, words: Sequence[str]) -> Iterator[Found]:
    """
    Yield the questions that hold every word, newest first.

    A word is found inside others, in any case. Questions answered again from the
    ledger are left out: the one they repeat is found. Every question on record is
    read, since no index of words is kept.
    """
    answer = (
        select(func.aggregate_strings(escalations.c.answer, "\n\n"))
        .where(escalations.c.question_id == questions.c.id)
        .correlate(questions)
        .scalar_subquery()
    )
    query = (
        select(
            questions.c.id,
            questions.c.created_us,
            questions.c.texts["question"].as_string().label("question"),
            questions.c.texts["sent"].as_string().label("sent"),
            func.coalesce(answer, questions.c.local_answer).label("answer"),
        )
        .where(questions.c.cached_from.is_(None), and_(*map(_holds, words)))
        .order_by(questions.c.created_us.desc(), questions.c.id.desc())
    )
    wanted = [word.lower() for word in words]
    # Whoever reads may stop early: the database then has to be told.
    with connection.execute(
        query, execution_options={"yield_per": _ROWS_AT_ONCE}
    ) as rows:
        for row in rows:
            found = Found(
                id=row.id,
                asked_us=row.created_us,
                question=row.question or "",
                sent=row.sent or "",
                answer=row.answer or "",
            )
            texts = [
                each.lower() for each in (found.question, found.sent, found.answer)
            ]
            if all(any(word in text for text in texts) for word in wanted):
                yield found


def _holds(word: str) -> ColumnElement[bool]:
    """
    Return the condition that some text may hold a word.

    SQLite folds the case of ASCII letters only, and PostgreSQL by its own language,
    so any other character stands for anything here, and so do `i` and `k`, which are
    small forms of letters outside ASCII; whoever reads the rows compares them in full.
    """
    pattern = f"%{''.join(map(_literal, word))}%"
    answered = (
        exists()
        .where(
            escalations.c.question_id == questions.c.id,
            escalations.c.answer.ilike(pattern, escape="\\"),
        )
        .correlate(questions)
    )
    return or_(
        questions.c.texts["question"].as_string().ilike(pattern, escape="\\"),
        questions.c.texts["sent"].as_string().ilike(pattern, escape="\\"),
        questions.c.local_answer.ilike(pattern, escape="\\"),
        answered,
    )


def _literal(char: str) -> str:
    if not char.isascii():
        return "%"
    if char in "iIkK":
        return "_"
    return f"\\{char}" if char in "%_\\" else char
