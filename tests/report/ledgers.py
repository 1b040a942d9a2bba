"""Fill a ledger through its own verbs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ask_expert.budget import Cap
from ask_expert.ledger.owner import this_process
from ask_expert.ledger.records import (
    End,
    Granted,
    Outcome,
    QuestionRecord,
    TryRequest,
)
from ask_expert.ledger.store import Ledger
from ask_expert.question import Caller
from ask_expert.reply import (
    Charge,
    ExpertAnswer,
    Provenance,
    Usage,
    Verdict,
    VerdictSource,
)

NOON_US = 1_795_348_800_000_000
"""2026-11-22 12:00 UTC."""
HOUR_US = 3_600_000_000
ME = Caller(session="s_1", project="/home/me/project", user="me", agent="test")


@dataclass(frozen=True, kw_only=True)
class Paid:
    """What a try came to."""

    expert: str = "flagship"
    cost_nusd: int = 4_000_000
    usage: Usage = field(
        default_factory=lambda: Usage(
            input_tokens=100,
            cache_read_tokens=20,
            output_tokens=50,
            reasoning_tokens=30,
        )
    )
    asked: str = "model-1"
    served: str | None = "model-1"
    text: str = "Use a lock."
    source: str = "settings"
    computed_nusd: int | None = None
    identity: Mapping[str, str] = field(default_factory=dict[str, str])


def record(id_: str, *, at_us: int = NOON_US, **fields: object) -> QuestionRecord:
    values: dict[str, object] = {
        "id": id_,
        "created_us": at_us,
        "caller": ME,
        "task": "t_1",
        "thread": f"c_{id_}",
        "policy": "balanced",
        "policy_hash": "0123456789abcdef",
        "action": "escalate",
        "rule": "check_failed",
        "reason": "the check failed",
        "status": "pending",
        "facts": {"check_failed": True},
        **fields,
    }
    return QuestionRecord(**values)  # pyright: ignore[reportArgumentType]


def decided(ledger: Ledger, id_: str, status: str, *, at_us: int = NOON_US) -> None:
    """Put a question on record that nothing was sent for."""
    ledger.record(record(id_, at_us=at_us, status=status, action=status, rule="rule"))


def repeated(ledger: Ledger, id_: str, of: str, *, at_us: int = NOON_US) -> None:
    """Put a question on record that was answered again from the ledger."""
    row = record(id_, at_us=at_us, status="answered", rule="cached", cached_from=of)
    ledger.record(row)


def sent(
    ledger: Ledger,
    id_: str,
    *,
    at_us: int = NOON_US,
    expert: str = "flagship",
    model: str = "model-1",
    reserved_nusd: int = 10_000_000,
    caps: tuple[Cap, ...] = (),
    owner: str | None = None,
    lease_us: int | None = None,
    fields: Mapping[str, object] | None = None,
) -> str:
    """Reserve for a question's first try; return the try's id."""
    granted = ledger.reserve(
        record(id_, at_us=at_us, **(fields or {})),
        TryRequest(
            escalation_id=f"e_{id_}",
            position=0,
            number=1,
            expert=expert,
            model=model,
            template="advise v1",
            caps=caps,
            want_nusd=reserved_nusd,
            least_nusd=reserved_nusd,
            price_source="settings",
            input_bound_tokens=500,
            sent_us=at_us,
            lease_us=at_us + HOUR_US if lease_us is None else lease_us,
            owner=this_process() if owner is None else owner,
        ),
        ceiling=lambda _: 1000,
    )
    assert isinstance(granted, Granted)
    return granted.try_id


def answered(
    ledger: Ledger,
    id_: str,
    paid: Paid | None = None,
    *,
    at_us: int = NOON_US,
    caps: tuple[Cap, ...] = (),
    fields: Mapping[str, object] | None = None,
) -> str:
    """Ask, settle and answer; return the try's id."""
    paid = paid or Paid()
    try_id = sent(
        ledger,
        id_,
        at_us=at_us,
        expert=paid.expert,
        model=paid.asked,
        caps=caps,
        fields=fields,
    )
    ledger.settle(
        try_id,
        ExpertAnswer(
            text=paid.text,
            usage=paid.usage,
            provenance=replace(
                Provenance(
                    asked_model=paid.asked,
                    served_model=paid.served,
                    request_id="req_1",
                ),
                **paid.identity,
            ),
        ),
        Charge(nusd=paid.cost_nusd, source=paid.source, detail=_detail(paid)),
        end=End(now_us=at_us + 1_000_000, status="answered", stored_answer=paid.text),
    )
    return try_id


def _detail(paid: Paid) -> dict[str, str]:
    if paid.computed_nusd is None:
        return {"input": "1.25"}
    return {"computed_nusd": str(paid.computed_nusd)}


def told(
    ledger: Ledger,
    id_: str,
    verdict: Verdict,
    *,
    source: VerdictSource = "agent",
    at_us: int = NOON_US + HOUR_US,
    solved: bool | None = None,
) -> None:
    """Put a verdict on record."""
    ledger.add_outcome(
        Outcome(
            question_id=id_,
            verdict=verdict,
            solved=solved,
            source=source,
            evidence=None,
            at_us=at_us,
        )
    )
