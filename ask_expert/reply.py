"""What comes back: an expert's answer with its provenance, and the reply to the agent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

Status = Literal[
    "answered",
    "stay_local",
    "pending",
    "needs_approval",
    "refused",
    "held_out",
    "unavailable",
]
Verdict = Literal["helped", "no_difference", "harmed", "unknown"]
VerdictSource = Literal["check", "agent", "person", "judge"]
Finish = Literal[
    "stop",
    "length",
    "refusal",
    "content_filter",
    "needs_context",
    "partial",
    "other",
]
"""`needs_context`: the expert says what is missing; `partial`: the stream broke."""


REFUSALS: tuple[Finish, ...] = ("refusal", "content_filter")
"""The expert declined, or its provider's filter took the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """
    Tokens of one try in disjoint buckets, whatever the wire counts together.

    Attributes:
        input_tokens: Input that was neither read from nor written to a cache.
        cache_read_tokens: Input read from a cache.
        cache_write_tokens: Input written to a short-lived cache.
        cache_write_long_tokens: Input written to a long-lived (1 h or more) cache.
        output_tokens: All billed output, reasoning included.
        reasoning_tokens: The part of the output that was reasoning.
        source: `provider`; `partial` when the output was not told, as where the
            stream broke before; `estimated` when the reply named no usage at all.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_long_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    source: Literal["provider", "partial", "estimated"] = "provider"

    @property
    def all_input_tokens(self) -> int:
        """Everything the expert read."""
        return (
            self.input_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
            + self.cache_write_long_tokens
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """
    Who really answered.

    Attributes:
        asked_model: The model named in the request.
        served_model: The model named in the reply.
        fingerprint: The provider's fingerprint of the serving system.
        service_tier: Tier that the reply was served and is billed at.
        provider: Upstream provider, where a gateway tells.
        request_id: The provider's id of the request.
        region: Where it was served, if told.
        finish_reason: The provider's own word for why it stopped.
        rate_limits: Rate-limit headers of the reply.
    """

    asked_model: str
    served_model: str | None = None
    fingerprint: str | None = None
    service_tier: str | None = None
    provider: str | None = None
    request_id: str | None = None
    region: str | None = None
    finish_reason: str | None = None
    rate_limits: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertAnswer:
    """
    One expert's reply, in our words.

    Attributes:
        text: The answer; may be empty when the room ran out or it refused.
        usage: Tokens by kind.
        provenance: Who answered.
        finish: Why it stopped.
        speed: The provider's speed mode, where it decides the price.
        reported_cost_usd: The provider's own figure, where it gives one.
        first_token_us: Microseconds from sending to the first text of the answer;
            None where it came in one piece.
    """

    text: str
    usage: Usage
    provenance: Provenance
    finish: Finish = "stop"
    speed: str | None = None
    reported_cost_usd: Decimal | None = None
    first_token_us: int | None = None

    @property
    def is_refusal(self) -> bool:
        """Whether the expert declined, or its provider's filter took the answer."""
        return self.finish in REFUSALS

    @property
    def trouble(self) -> str | None:
        """Why there is nothing in it to apply, as one sentence; None if there is."""
        if self.is_refusal:
            why = self.provenance.finish_reason
            return f"refused_by_expert: the expert declined to answer ({why})."
        if self.text.strip():
            return None
        if self.finish == "length":
            return (
                "The expert used its whole output ceiling for thinking and wrote no "
                "answer; a larger max_output_tokens or call budget would help."
            )
        return "The expert sent an empty answer."


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """
    What one try cost.

    Attributes:
        nusd: Nano-dollars.
        source: `provider`, `settings`, `genai-prices X.Y.Z`, `assumed` or `worst case`.
        detail: Unit prices used, for recomputing; JSON-able.
    """

    nusd: int
    source: str
    detail: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """
    What a person is asked before a question is sent.

    Attributes:
        question: The beginning of the masked question.
        expert: Name of the expert that would be asked first.
        model: Its model.
        worst_case_nusd: Most that its first try can cost; None without a price.
        left_nusd: The smallest room left in any budget; None without USD budgets.
        why: The rule that wants a person, with its reason.
    """

    question: str
    expert: str
    model: str
    worst_case_nusd: int | None
    left_nusd: int | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelVoice:
    """
    One expert of a panel.

    Attributes:
        expert: Its name.
        cost_nusd: What its escalation cost, in nano-dollars; None where nobody knows
            what was billed, and its worst case stays counted.
        subscription: A subscription pays for it.
        agrees: Whether its answer is the agreed one; None where it gave none, or
            where nothing was agreed.
    """

    expert: str
    cost_nusd: int | None
    subscription: bool = False
    agrees: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """
    What the agent gets; every field is safe to show to it.

    Attributes:
        status: What happened.
        question_id: Handle for `report_outcome` and `expert_status`.
        thread: Handle for a follow-up.
        reason: Why, in one sentence, with the rule that fired.
        next_step: What the agent should do now.
        answer: The expert's answer inside its marked block.
        local: Name of the local server whose answer it is; None for an expert's.
        confidence: Calibrated P(local answer is right), if there is a calibration.
        cost_nusd: Cost of this call, in nano-dollars.
        budget_left_nusd: The smallest room left for the experts that were asked, or in
            the budget that refused; None without USD budgets.
        asked: Name of the expert asked.
        served: Model that answered.
        cached: The answer came from the ledger or from a call already in flight.
        masked: How many distinct secrets were replaced by marks.
        sent: Files and parts that were sent.
        left_out: Files and parts that were not, with the reason.
        partial: The answer broke off while it came.
        subscription: A subscription paid for it: it has no price of its own.
        panel: Every expert that was asked at once.
        approval: What a person has to approve.
    """

    status: Status
    question_id: str
    thread: str | None
    reason: str
    next_step: str
    answer: str | None = None
    local: str | None = None
    confidence: float | None = None
    cost_nusd: int = 0
    budget_left_nusd: int | None = None
    asked: str | None = None
    served: str | None = None
    cached: bool = False
    masked: int = 0
    sent: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    partial: bool = False
    subscription: bool = False
    panel: tuple[PanelVoice, ...] = ()
    approval: Approval | None = None

    @property
    def experts(self) -> tuple[str, ...]:
        """Names of the experts that were asked."""
        voices = tuple(voice.expert for voice in self.panel)
        return voices or ((self.asked,) if self.asked else ())
