"""Single questions of the ledger: the latest ones as lines, and one in full."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Row

from ask_expert.errors import LedgerError
from ask_expert.ledger import reads
from ask_expert.ledger.engine import reading, translated_errors
from ask_expert.ledger.export import moment, plain
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.summing import OPEN
from ask_expert.money import SUBSCRIPTION, show, show_paid, usd, usd_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    One question in a list.

    Attributes:
        id: Its handle.
        asked_us: When it was asked, microseconds since 1970.
        status: What the agent was told.
        rule: The rule that decided.
        experts: Experts asked, in order.
        states: States of the tries, in the order they were sent, each with how it
            was reconciled, if it was.
        cost_nusd: What the settled tries cost.
        counted_nusd: What the open and unresolved tries may cost at most.
        cached_from: The question whose answer was given again.
        by_subscription: A subscription pays for some of the tries.
        local: The local server whose answer was given; None for none.
    """

    id: str
    asked_us: int
    status: str
    rule: str
    experts: tuple[str, ...]
    states: tuple[str, ...]
    cost_nusd: int
    counted_nusd: int
    cached_from: str | None
    by_subscription: bool = False
    local: str | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the line as a table shows it."""
        paid = show_paid(self.cost_nusd, by_subscription=self.by_subscription)
        cost = paid if self.states else ""
        if self.counted_nusd:
            cost += f" + up to {show(self.counted_nusd)}"
        return (
            self.id,
            moment(self.asked_us)[:19] + "Z",
            f"{self.status} (cached)" if self.cached_from else self.status,
            self.rule,
            ", ".join(self.experts) or (f"local {self.local}" if self.local else ""),
            ", ".join(self.states),
            cost,
        )

    def as_json(self) -> dict[str, object]:
        """Return the line as JSON can carry it; dollars as decimal text."""
        return {
            "question_id": self.id,
            "asked_at": moment(self.asked_us),
            "status": self.status,
            "rule": self.rule,
            "experts": list(self.experts),
            "tries": list(self.states),
            "cost_usd": usd_text(self.cost_nusd, by_subscription=self.by_subscription),
            "counted_usd": f"{usd(self.counted_nusd):f}",
            "subscription": self.by_subscription,
            "cached_from": self.cached_from,
            "local": self.local,
        }


HEAD = ("question", "asked", "status", "rule", "expert", "tries", "cost")
"""Names of the cells of a line."""


def latest(ledger: Ledger, limit: int) -> list[Line]:
    """
    Return the latest questions, newest first.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        asked = reads.latest_questions(connection, limit)
        sent = reads.tries_of(connection, [row.id for row in asked])
    by_question = {
        name: list(rows) for name, rows in groupby(sent, lambda row: row.question_id)
    }
    return [_listed(row, by_question.get(row.id, [])) for row in asked]


def in_full(ledger: Ledger, question_id: str) -> dict[str, object]:
    """
    Return all that is on record of one question.

    Raises:
        LedgerError: There is no such question, or the ledger cannot be read.
    """
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        row = reads.question(connection, question_id)
        if row is None:
            raise LedgerError(
                f"There is no question {question_id[:80]!r}; "
                "`ask-expert ledger list` shows the latest."
            )
        escalations = reads.escalations_of(connection, question_id)
        tries = reads.tries_of(connection, [question_id])
        windows = reads.windows_of(connection, question_id)
        outcomes = reads.outcomes_of(connection, question_id)
        approvals = reads.approvals_of(connection, question_id)
    return {
        **_words(row),
        "escalations": [
            {
                **_words(escalation),
                "tries": [
                    {**_words(each), "windows": _windows(windows, each.id)}
                    for each in tries
                    if each.escalation_id == escalation.id
                ],
            }
            for escalation in escalations
        ],
        "outcomes": [_words(each) for each in outcomes],
        "approvals": [_words(each) for each in approvals],
    }


def _listed(row: Row[*tuple[Any, ...]], tries: reads.Rows) -> Line:
    still_counted = [each for each in tries if each.state in OPEN]
    return Line(
        id=row.id,
        asked_us=row.created_us,
        status=row.status,
        rule=row.rule,
        experts=tuple(dict.fromkeys(each.expert for each in tries)),
        states=tuple(_state(each) for each in tries),
        cost_nusd=sum(each.cost_nusd or 0 for each in tries),
        counted_nusd=sum(each.reserved_nusd for each in still_counted),
        cached_from=row.cached_from,
        by_subscription=any(each.price_source == SUBSCRIPTION for each in tries),
        local=row.local_name if row.local_passed else None,
    )


def _state(row: Row[*tuple[Any, ...]]) -> str:
    by = f" (reconciled: {row.reconciled})" if row.reconciled else ""
    return f"{row.state}{by}"


def _windows(rows: reads.Rows, try_id: str) -> Sequence[object]:
    return [_words(row) for row in rows if row.try_id == try_id]


def _words(row: Row[*tuple[Any, ...]]) -> dict[str, object]:
    return plain(row._mapping)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # SQLAlchemy's public name
