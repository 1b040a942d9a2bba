"""Sum up the ledger: how often an expert was asked, what it cost, what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, get_args

from sqlalchemy import Row

from ask_expert.budget import Room, from_us
from ask_expert.forecast import Forecast, forecast
from ask_expert.ledger import local_reads, reads
from ask_expert.ledger.engine import reading, translated_errors
from ask_expert.ledger.store import Ledger
from ask_expert.reply import Status

_STATUSES = frozenset({*get_args(Status), "refused_by_expert"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """
    Tokens of all settled tries.

    Attributes:
        input: Everything the experts read.
        output: Everything they wrote that was billed.
        cached: The part of the input that was read from a cache.
        reasoning: The part of the output that was reasoning.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """
    Current verdicts on what experts answered; repeats from the ledger not counted.

    Attributes:
        helped: Solved with the advice.
        no_difference: Not solved with it, or solved all the same.
        harmed: Worse than without it.
        unknown: Nothing was reported.
        late: Verdicts above that came more than 24 h after the question.
        told: Questions whose report says whether the sub-problem is solved.
        solved: Those of them that are solved.
    """

    helped: int = 0
    no_difference: int = 0
    harmed: int = 0
    unknown: int = 0
    late: int = 0
    told: int = 0
    solved: int = 0

    @property
    def solved_rate(self) -> float | None:
        """Share solved among those that tell; None when none does."""
        return self.solved / self.told if self.told else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSystem:
    """
    What the local model did, at no cost in dollars.

    Attributes:
        tried: Questions that it was to answer in place of an expert.
        answered: Those of them whose answer was given.
        told: Answers of which it was reported whether they solved the sub-problem.
        solved: Those of them that did.
        tokens: Local tokens, of measuring before the decision, too.
        took_us: Microseconds of both.
    """

    tried: int = 0
    answered: int = 0
    told: int = 0
    solved: int = 0
    tokens: int = 0
    took_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """How often an expert's model was asked, and which model answered."""

    expert: str
    asked: str
    served: str | None
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """
    Tries whose provider named a cost more than 1 % away from ours.

    Attributes:
        expert: Who was asked.
        tries: How many.
        reported_nusd: What the provider says they cost; this is what counts.
        computed_nusd: What our prices make of the same usage.
    """

    expert: str
    tries: int
    reported_nusd: int
    computed_nusd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """
    The report in numbers; money in nano-dollars, time in microseconds since 1970.

    The counts of `answered` to `refused_by_expert` are disjoint and add up to `questions`.

    Attributes:
        since_us: First instant of the questions counted; 0 is the beginning.
        until_us: When the report was made.
        questions: All questions asked.
        escalations: Questions that were sent to an expert at least once.
        answered: Answered by an expert.
        cached: Answered again from the ledger, at no cost.
        refused: Turned down by the policy or a budget.
        stay_local: Left with the local model by the policy.
        pending: Still on their way.
        unavailable: No expert could be asked, or none answered.
        needs_approval: Waiting for a person.
        held_out: Not sent, to have something to compare with.
        refused_by_expert: Declined by every expert that was asked.
        cost_by_expert: What each expert's settled tries cost.
        by_subscription: Experts that a subscription pays for.
        tokens: Tokens of the settled tries.
        local: What the local model did.
        outcomes: What came of the answers.
        unresolved_tries: Tries whose fate is unknown.
        unresolved_nusd: What they may have cost; budgets count it in full.
        reconciled_tries: Tries that were settled without their answer.
        worst_case_tries: Those of them of which no record was found.
        worst_case_nusd: What is booked for these, which is the most they can have cost.
        served: Models that answered.
        price_sources: Settled tries by where their price is from.
        disagreements: Where a provider's own cost is not what our prices make of it.
        rooms: The policy's budgets now; None when they are not known.
        zone: Time zone of the budgets' windows.
    """

    since_us: int
    until_us: int
    questions: int = 0
    escalations: int = 0
    answered: int = 0
    cached: int = 0
    refused: int = 0
    stay_local: int = 0
    pending: int = 0
    unavailable: int = 0
    needs_approval: int = 0
    held_out: int = 0
    refused_by_expert: int = 0
    cost_by_expert: Mapping[str, int] = field(default_factory=dict[str, int])
    by_subscription: frozenset[str] = frozenset()
    tokens: Tokens = field(default_factory=Tokens)
    local: LocalSystem = field(default_factory=LocalSystem)
    outcomes: Outcomes = field(default_factory=Outcomes)
    unresolved_tries: int = 0
    unresolved_nusd: int = 0
    reconciled_tries: int = 0
    worst_case_tries: int = 0
    worst_case_nusd: int = 0
    served: tuple[Served, ...] = ()
    price_sources: Mapping[str, int] = field(default_factory=dict[str, int])
    disagreements: tuple[Disagreement, ...] = ()
    rooms: tuple[Room, ...] | None = None
    zone: tzinfo = UTC

    @property
    def cost_nusd(self) -> int:
        """What all settled tries cost."""
        return sum(self.cost_by_expert.values())

    @property
    def escalation_rate(self) -> float | None:
        """Share of the questions that were sent to an expert; None without questions."""
        return self.escalations / self.questions if self.questions else None

    def forecast(self, room: Room) -> Forecast | None:
        """Return when one of the budgets is used up at this rate; None if it lasts."""
        return forecast(room, from_us(self.until_us))


def summarize(
    ledger: Ledger,
    *,
    until_us: int,
    since_us: int = 0,
    rooms: Sequence[Room] | None = None,
    zone: tzinfo = UTC,
) -> Summary:
    """
    Sum up the questions asked since a time, and all that followed from them.

    Args:
        ledger: Where to look.
        until_us: The present, microseconds since 1970.
        since_us: First instant counted.
        rooms: The budgets to show, from `desk.rooms_now`.
        zone: Time zone of their windows.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        by_status = reads.statuses(connection, since_us)
        by_expert = reads.sums_by_expert(connection, since_us)
        return Summary(
            since_us=since_us,
            until_us=until_us,
            questions=sum(row.questions for row in by_status),
            escalations=reads.escalated(connection, since_us),
            cached=sum(row.cached for row in by_status),
            cost_by_expert={row.expert: int(row.cost_nusd) for row in by_expert},
            by_subscription=frozenset(row.expert for row in by_expert if row.by_plan),
            tokens=_tokens(by_expert),
            local=_local(local_reads.sums(connection, since_us)),
            outcomes=_outcomes(reads.verdicts(connection, since_us)),
            unresolved_tries=sum(row.unresolved for row in by_expert),
            unresolved_nusd=sum(int(row.unresolved_nusd) for row in by_expert),
            reconciled_tries=sum(row.reconciled for row in by_expert),
            worst_case_tries=sum(row.at_worst_case for row in by_expert),
            worst_case_nusd=sum(int(row.worst_case_nusd) for row in by_expert),
            served=tuple(
                Served(
                    expert=row.expert,
                    asked=row.asked_model,
                    served=row.served_model,
                    tries=row.tries,
                )
                for row in reads.served_models(connection, since_us)
            ),
            price_sources={
                row.price_source: row.tries
                for row in reads.price_sources(connection, since_us)
            },
            disagreements=tuple(
                Disagreement(
                    expert=row.expert,
                    tries=row.tries,
                    reported_nusd=int(row.reported_nusd),
                    computed_nusd=int(row.computed_nusd),
                )
                for row in reads.disagreements(connection, since_us)
            ),
            rooms=None if rooms is None else tuple(rooms),
            zone=zone,
            **{
                row.status: row.questions - row.cached
                for row in by_status
                if row.status in _STATUSES
            },
        )


def _local(row: Row[*tuple[Any, ...]]) -> LocalSystem:
    return LocalSystem(
        tried=row.tried,
        answered=row.answered,
        told=row.told,
        solved=row.solved,
        tokens=int(row.tokens),
        took_us=int(row.took_us),
    )


def _tokens(rows: reads.Rows) -> Tokens:
    return Tokens(
        input=sum(int(row.input) for row in rows),
        output=sum(int(row.output) for row in rows),
        cached=sum(int(row.cached) for row in rows),
        reasoning=sum(int(row.reasoning) for row in rows),
    )


def _outcomes(rows: reads.Rows) -> Outcomes:
    verdicts = dict.fromkeys(("helped", "no_difference", "harmed", "unknown"), 0)
    for row in rows:
        verdicts[row.verdict] += row.questions
    return Outcomes(
        **verdicts,
        late=sum(row.questions for row in rows if row.late),
        told=sum(row.questions for row in rows if row.solved is not None),
        solved=sum(row.questions for row in rows if row.solved),
    )
