"""What goes into the ledger and what comes out of it, as values."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ask_expert.breaker import Guarded
from ask_expert.budget import Cap, from_us
from ask_expert.question import Caller, Facts
from ask_expert.reply import Verdict, VerdictSource

ApprovalScope = Literal["question", "task", "denied"]
"""How far a person's word reaches: this question, its task, or that it is a no."""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: str) -> str:
    """Return a random handle with 60 bits of chance, e.g. `q_4f0zq8m1c7xk`."""
    drawn = secrets.randbits(60)
    return f"{prefix}_{''.join(_ALPHABET[drawn >> at & 31] for at in range(0, 60, 5))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRecord:
    """
    What the local model did for a question; none of it costs money.

    Attributes:
        assess_tokens: Local tokens of what was measured before the decision; None
            where nothing was.
        assess_us: Microseconds of it.
        name: What the settings call the server that served.
        model: The model that was measured or served.
        kind: What its answers are, as far as that is known.
        strategy: The strategy that was tried instead of an expert; None is none.
        passed: Its answer was given; False where it was not good enough.
        score: What the strategy chose its answer by, in its own unit.
        tokens: Local tokens of the strategy.
        took_us: Microseconds of it.
        reason: Why its answer was given, or was not.
        answer: The masked answer that was given, as far as it is stored.
    """

    assess_tokens: int | None = None
    assess_us: int | None = None
    name: str | None = None
    model: str | None = None
    kind: str | None = None
    strategy: str | None = None
    passed: bool | None = None
    score: float | None = None
    tokens: int | None = None
    took_us: int | None = None
    reason: str | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionRecord:
    """
    One question with its decision; every text in it is masked.

    Attributes:
        id: Handle of the question.
        created_us: When it was asked, microseconds since 1970 UTC.
        caller: Who asked.
        task: The task it belongs to, named or made up.
        thread: The conversation it belongs to.
        key: Keyed hash of everything that makes it the same question.
        text_key: Keyed hash of the question's own text.
        error_signature: Hash of the normalised error.
        texts: Masked texts, as far as they are stored.
        facts: What the policy's rules could test.
        policy: The policy's name.
        policy_hash: Its hash.
        action: What the policy decided.
        rule: The rule that decided.
        reason: Why, in one sentence.
        status: What the agent was told.
        cached_from: The question whose answer was given again.
        worst_case_nusd: What a person is asked to approve, at most; None is not asked.
        local: What the local model did for it.
    """

    id: str
    created_us: int
    caller: Caller
    task: str
    thread: str | None = None
    key: str | None = None
    text_key: str | None = None
    error_signature: str | None = None
    texts: Mapping[str, object] | None = None
    stated_confidence: float | None = None
    confidence: float | None = None
    facts: Facts = field(default_factory=dict[str, bool | int | float | str])
    masked: int = 0
    policy: str = ""
    policy_hash: str = ""
    action: str = ""
    rule: str = ""
    reason: str = ""
    status: str = ""
    cached_from: str | None = None
    worst_case_nusd: int | None = None
    local: LocalRecord = field(default_factory=LocalRecord)


@dataclass(frozen=True, slots=True, kw_only=True)
class TryRequest:
    """
    One try that is about to be sent, and the money it may cost.

    Attributes:
        escalation_id: The escalation it belongs to.
        position: The escalation's place among those of the question, from 0.
        number: The try's place among those of the escalation, from 1.
        expert: Name of the expert.
        model: Model asked for.
        template: Prompt template and version.
        caps: Every budget it has to fit into.
        want_nusd: Worst case at the full output ceiling.
        least_nusd: Worst case at the smallest useful output ceiling.
        price_source: Where the unit prices are from.
        input_bound_tokens: Upper bound of the input.
        sent_us: The present, by which the caps' windows were chosen.
        lease_us: Until when it counts as alive, microseconds since 1970.
        owner: Process that sends it.
        marks: New marks of the thread: (kind, digest) to number.
        too_old: The same question's earlier answer that does not serve any more.
        guarded: The expert's breaker; None is none.
        least_output_tokens: The smallest useful output ceiling.
        approved: A person said yes, so soft budgets do not bind.
    """

    escalation_id: str
    position: int
    number: int
    expert: str
    model: str
    template: str
    caps: tuple[Cap, ...]
    want_nusd: int
    least_nusd: int
    price_source: str
    input_bound_tokens: int
    sent_us: int
    lease_us: int
    owner: str
    marks: Mapping[tuple[str, str], int] = field(
        default_factory=dict[tuple[str, str], int]
    )
    too_old: str | None = None
    guarded: Guarded | None = None
    least_output_tokens: int = 1
    approved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """
    Money is set aside and the try is on record as sent.

    Attributes:
        try_id: The try.
        nusd: What is set aside.
        output_tokens: The output ceiling that is paid for.
    """

    try_id: str
    nusd: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The same question is being answered or has been; nothing was set aside."""

    question_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resting:
    """The expert failed several times in a row and is left alone; nothing was set aside."""

    expert: str
    failures: int
    until_us: int
    last: str

    @property
    def reason(self) -> str:
        """One sentence: until when, and what went wrong."""
        until = from_us(self.until_us)
        return (
            f"{self.expert} rests until {until:%H:%M:%SZ} after {self.failures} "
            f"failures in a row; the last: {self.last}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A person closed this thread, at this time: it is not continued."""

    at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """
    What the ledger knows that bears on a new question.

    Attributes:
        same: Latest question with the same key that was escalated, or answered by
            the local system, if any.
        asked_before: How often the same text was asked in this task before.
        same_error: How often this error was seen in this task before.
        approval: What a person said to this question, or to its task.
        approved_nusd: Most that a yes to this question was given for; None is no limit.
        answered_by: Experts whose answers did not end it: they answered the same
            text, or the same error, in this task before.
        thread_expert: Who answered last in the thread.
        local_in_vain: The local system answered the same text, or the same error, in
            this task before, or this very question, and that did not end it.
        local_name: The local server where the thread's conversation is.
    """

    same: "Answered | None" = None
    asked_before: int = 0
    same_error: int = 0
    approval: "ApprovalScope | None" = None
    approved_nusd: int | None = None
    answered_by: tuple[str, ...] = ()
    thread_expert: str | None = None
    local_in_vain: bool = False
    local_name: str | None = None

    @property
    def answered(self) -> str | None:
        """The same question's id, if it was answered when the ledger was read."""
        if self.same is None or self.same.status != "answered":
            return None
        return self.same.question_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """
    Where an escalated question stands.

    Attributes:
        question_id: Its handle.
        thread: Its conversation.
        created_us: When it was asked.
        status: `pending`, `answered` or how it ended.
        reason: Why it was escalated, or how it ended.
        answer: The masked answer, when there is one and it is stored.
        finish: Why the expert stopped.
        expert: Expert asked last.
        served: Model that answered.
        price_source: Where the last try's price is from.
        by_panel: Several experts answered together.
        try_state: State of the last try.
        cost_nusd: What all tries cost.
        lease_us: Until when the last try counts as alive.
        ended_us: When the last try ended; 0 while it has not.
        owner: Process that sent the last try.
        local_name: The local server whose answer it is; None where an expert was
            asked.
        confidence: Calibrated probability that this answer is right, if there is one.
    """

    question_id: str
    thread: str | None
    created_us: int
    status: str
    reason: str
    answer: str | None = None
    finish: str | None = None
    expert: str | None = None
    served: str | None = None
    price_source: str | None = None
    by_panel: bool = False
    try_state: str | None = None
    cost_nusd: int = 0
    lease_us: int = 0
    ended_us: int = 0
    owner: str = ""
    local_name: str | None = None
    confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """
    How a try's end changes its question.

    Attributes:
        now_us: The present, microseconds since 1970.
        status: The question's new status; None leaves it, as before another try.
        stored_answer: The masked answer to keep; None keeps none.
        guarded: The breaker that hears of it; None is none.
    """

    now_us: int
    status: str | None = None
    stored_answer: str | None = None
    guarded: Guarded | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    A verdict on a question.

    Attributes:
        question_id: The question.
        verdict: What the escalation did for it.
        solved: Whether the sub-problem is solved; None when unknown.
        source: Who says so: `check`, `agent`, `person` or `judge`.
        evidence: What it rests on, masked.
        at_us: When it was reported, microseconds since 1970.
    """

    question_id: str
    verdict: Verdict
    solved: bool | None
    source: VerdictSource
    evidence: str | None
    at_us: int
