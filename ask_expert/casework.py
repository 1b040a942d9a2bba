"""What follows from a case: its facts, decision, prompt, record and budgets."""

from dataclasses import dataclass, replace

import structlog

from ask_expert import replies
from ask_expert.budget import Denied, Room, caps, for_expert, from_us, left_nusd
from ask_expert.confidence.assess import assess
from ask_expert.errors import ConfigError, UnknownPriceError
from ask_expert.experts import templates
from ask_expert.experts.desk import Call, Failed, Progress
from ask_expert.experts.ladder import rungs, too_long
from ask_expert.experts.prompt import compose
from ask_expert.experts.registry import wire_for
from ask_expert.experts.rung import FLOOR_TOKENS
from ask_expert.experts.tokens import likely_tokens
from ask_expert.house import House
from ask_expert.intake import Case
from ask_expert.ledger.records import Outcome, QuestionRecord
from ask_expert.money import nusd, show
from ask_expert.policy import decide as policy_decide
from ask_expert.policy.decide import Decision
from ask_expert.question import Caller, Facts, Prompt
from ask_expert.redaction import Marks
from ask_expert.reply import Approval, Reply, Verdict, VerdictSource
from ask_expert.settings import ExpertSettings

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_MOST_READ_CHARS = 200_000
_MOST_EVIDENCE_CHARS = 4_000
_SHOWN_CHARS = 300

ABOVE = "ask_human_above_usd"
"""Label of a decision that waits for a person because of what it may cost."""

CACHED = "cached"
"""Label of a decision to give a stored answer again."""


def facts(case: Case) -> Facts:
    """Return what the policy's rules can test."""
    return assess(
        case.question,
        check=case.check,
        same_error=case.past.same_error,
        asked_before=case.past.asked_before,
    )


def decide(house: House, case: Case, known: Facts) -> tuple[Decision, Approval | None]:
    """
    Return the decision, and what a person has to approve if it waits for one.

    A person's word on this very question comes before the policy; a yes to a whole
    task only stands in for the person whom the policy would have asked.
    """
    word = case.past.approval
    if word == "denied":
        return _said("refuse", "denied", "a person said no to this question"), None
    decision = policy_decide.decide(house.policy, known)
    if word == "question":
        why = "a person approved this question"
        return replace(_said("escalate", "approved", why), panel=decision.panel), None
    limit = house.policy.ask_human_above_usd
    if decision.action == "escalate" and limit is not None and word is None:
        worst = price(house, case, known, panel=decision.panel).worst_case_nusd
        if worst is not None and worst > nusd(limit):
            why = f"it may cost up to {show(worst)}, more than {show(nusd(limit))}"
            panel = decision.panel
            decision = _said("ask_human", ABOVE, why)
            return decision, _approval(house, case, known, decision, panel)
    if decision.action != "ask_human":
        return decision, None
    if word == "task":
        why = "a person approved this task"
        return replace(_said("escalate", "approved", why), panel=decision.panel), None
    return decision, _approval(house, case, known, decision, 0)


def _said(action: str, rule: str, reason: str) -> Decision:
    return Decision(action=action, rule=rule, reason=reason)


def needs_person(
    house: House, case: Case, row: QuestionRecord, failure: Failed
) -> tuple[QuestionRecord, Reply]:
    """
    Return what goes on record and is replied where only a person's word lets go on.

    It comes up on the way: the expert that was to be asked first could not be, and
    the one after it may cost more than the policy lets pass without asking.
    """
    decision = _said("ask_human", ABOVE, failure.reason.removesuffix("."))
    start = failure.needs_person
    approval = _approval(house, case, row.facts, decision, 0, start=start)
    found = record(house, case, row.facts, decision, approval)
    return found, replies.decided(case, decision, (), approval)


def denied(
    house: House, case: Case, row: QuestionRecord, denial: Denied
) -> tuple[QuestionRecord, Reply]:
    """
    Return what goes on record and what is replied where a budget is full.

    A soft one leaves it to a person, and warns once in each of its windows.
    """
    if not denial.asks_person:
        return row, replies.denied(case, denial)
    reason, label = denial.reason.removesuffix("."), denial.room.cap.label
    if house.ledger.warn(denial.room.cap, now_us=house.now_us()):
        reason += f" (you are warned once of the {label} budget)"
        _log.warning("a soft budget is full", budget=label, reason=denial.reason)
    decision = _said("ask_human", "soft_budget", reason)
    approval = _approval(house, case, row.facts, decision, 0)
    reply = replies.decided(case, decision, (), approval)
    return record(house, case, row.facts, decision, approval), reply


def _approval(  # what a person has to be told
    house: House,
    case: Case,
    known: Facts,
    decision: Decision,
    panel: int,
    *,
    start: str | None = None,
) -> Approval:
    found = price(house, case, known, panel=panel, start=start)
    text = case.question.text
    return Approval(
        question=text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…",
        expert=found.expert,
        model=found.model,
        worst_case_nusd=found.worst_case_nusd,
        left_nusd=found.left_nusd,
        why=f"{decision.rule}: {decision.reason}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """
    What asking can cost at most, within what the budgets have left.

    Attributes:
        expert: Who would be asked first; several names for a panel.
        model: Its model.
        worst_case_nusd: None where no price is known, or nothing is paid by the call.
        left_nusd: The smallest room left for them; None without USD budgets.
    """

    expert: str = ""
    model: str = ""
    worst_case_nusd: int | None = None
    left_nusd: int | None = None


def price(
    house: House, case: Case, known: Facts, *, panel: int, start: str | None = None
) -> Price:
    """
    Return what asking the first expert that can be, or all of a panel, can cost.

    Args:
        house: Settings, policy and prices.
        case: The question.
        known: Its facts.
        panel: How many experts are asked at once; 0 asks one after the other.
        start: Name of the expert to begin with; the ladder's first when absent.
    """
    text = prompt(house, case, panel=panel > 1)
    caller, now_us = case.question.caller, house.now_us()
    found = rooms(house, caller, now_us, case, opening=False)
    asked: list[ExpertSettings] = []
    worst: int | None = None
    for expert in ladder(house, case, known)[: panel or None]:
        if start is not None and expert.name != start and not asked:
            continue
        try:
            span = _span(house, expert, text)
        except (ConfigError, UnknownPriceError):
            continue
        if span is None:
            continue
        asked.append(expert)
        least, most = span
        worst = (worst or 0) + max(least, min([most, *_lefts(found, expert.name)]))
        if panel < 2:  # noqa: PLR2004  # one is no panel
            break
    return Price(
        expert=", ".join(expert.name for expert in asked),
        model=", ".join(expert.model for expert in asked),
        worst_case_nusd=worst,
        left_nusd=left_nusd(found, experts=[expert.name for expert in asked]),
    )


def _span(house: House, expert: ExpertSettings, text: Prompt) -> tuple[int, int] | None:
    """Return the worst case at the smallest and the full ceiling; None if too long."""
    house.key_for(expert)
    wire = wire_for(expert.api)
    ceiling = expert.max_output_tokens
    body = wire.encode(expert, text, max_output_tokens=ceiling).body
    least = min(FLOOR_TOKENS, ceiling)
    if too_long(expert, likely_tokens=likely_tokens(body), least=least):
        return None
    quote = house.quote(expert, body)
    return quote.worst_case_nusd(least), quote.worst_case_nusd(ceiling)


def _lefts(found: list[Room], expert: str) -> list[int]:
    """Return what the budgets that bind this expert, even with a yes, have left."""
    return [
        room.left_nusd
        for room in for_expert(found, expert)
        if room.left_nusd is not None and room.cap.mode != "soft"
    ]


def ladder(house: House, case: Case, known: Facts) -> tuple[ExpertSettings, ...]:
    """Return whom to ask, in this order: past experts whose answers did not help."""
    past, climb = case.past, house.policy.climb
    in_vain: tuple[str, ...] = ()
    if "new_evidence" in climb:
        in_vain = past.answered_by
    if not in_vain and "check_failed" in climb and known.get("check_failed") is True:
        of_thread = (past.thread_expert,) if past.thread_expert else ()
        in_vain = past.answered_by or of_thread
    return rungs(house.ladder(), answered_by=in_vain, thread_expert=past.thread_expert)


def prompt(house: House, case: Case, *, panel: bool = False) -> Prompt:
    """
    Return what an expert is sent, with what a check printed that did not pass.

    Raises:
        ConfigError: A template of the user's own cannot be read.
    """
    question, check = case.question, case.check
    printed: str | None = None
    if check is not None and check.passed is not True:
        printed = f"$ check {check.name}\n{check.output}"
    shown = (house.policy.local_answer or house.settings.send.local_answer) == "review"
    kind = templates.kind_of(question, show_local_answer=shown, panel=panel)
    return compose(
        question,
        template=templates.load(kind, house.home),
        history=case.history,
        attachments=case.attachments,
        check_output=printed,
        show_local_answer=shown,
        max_tokens=house.settings.send.max_tokens,
    )


def call(
    house: House,
    case: Case,
    decision: Decision,
    row: QuestionRecord,
    progress: Progress,
) -> Call:
    """
    Return the question as it goes to the ladder.

    Raises:
        ConfigError: A template of the user's own cannot be read.
    """
    panel, word = decision.panel, case.past.approval
    limit = house.policy.ask_human_above_usd
    allowed = None if limit is None else nusd(limit)
    if word is not None:
        allowed = case.past.approved_nusd if word == "question" else None
    return Call(
        question=replace(row, status="pending"),
        key=case.key,
        too_old=case.past.answered,
        prompt=prompt(house, case, panel=panel > 1),
        ladder=ladder(house, case, row.facts),
        cheapest_first=house.ladder(),
        marks=case.marks,
        progress=progress,
        approved=word is not None,
        allowed_nusd=allowed,
        panel=panel,
    )


def record(
    house: House,
    case: Case,
    known: Facts,
    decision: Decision,
    approval: Approval | None = None,
) -> QuestionRecord:
    """Return the question's row, all but its status."""
    question = case.question
    return QuestionRecord(
        id=case.id,
        created_us=case.asked_us,
        caller=question.caller,
        task=case.task,
        thread=case.thread,
        key=None if house.settings.storage == "none" else case.key,
        text_key=None if house.settings.storage == "none" else case.text_key,
        error_signature=case.error_signature,
        texts=_stored_texts(house, case, decision) if house.stores_texts else None,
        stated_confidence=question.stated_confidence,
        facts=known,
        masked=case.marks.count,
        policy=house.policy.name,
        policy_hash=house.policy.hash,
        action=decision.action,
        rule=decision.rule,
        reason=decision.reason,
        worst_case_nusd=approval.worst_case_nusd if approval else None,
    )


def _stored_texts(house: House, case: Case, decision: Decision) -> dict[str, object]:
    """Return the masked texts to keep; file contents only where all is stored."""
    if decision.rule == CACHED:  # nothing of it is sent
        return {"question": case.question.text}
    sent = prompt(house, case)
    whole = house.settings.storage == "full"
    text = sent.turns[-1].text if whole else sent.stored
    return {"question": case.question.text, "sent": text}


def write(
    house: House, row: QuestionRecord, reply: Reply, *, again: bool = False
) -> None:
    """
    Put a question on record that no reservation put there.

    Where one did, `again`, only what it came to is written.
    """
    reason = row.reason if reply.status == "answered" else reply.reason
    action = "refuse" if reply.status == "refused" else row.action
    row = replace(row, status=reply.status, reason=reason, action=action)
    (house.ledger.revise if again else house.ledger.record)(row)


def outcome(
    house: House,
    question_id: str,
    *,
    verdict: Verdict,
    solved: bool | None,
    source: VerdictSource,
    evidence: str | None,
) -> Outcome:
    """Return a verdict as it goes on record: masked, and as far as texts are stored."""
    kept: str | None = None
    if evidence and house.stores_texts:
        # Masked before it is cut: half a secret is a secret, too.
        marks = Marks(key=house.mask_key)
        masked = house.masker.mask(evidence[:_MOST_READ_CHARS], marks)
        kept = masked[:_MOST_EVIDENCE_CHARS]
    return Outcome(
        question_id=question_id,
        verdict=verdict,
        solved=solved,
        source=source,
        evidence=kept,
        at_us=house.now_us(),
    )


def rooms(
    house: House,
    caller: Caller,
    now_us: int,
    about: Case | QuestionRecord | None = None,
    *,
    opening: bool = True,
) -> list[Room]:
    """
    Return every budget that binds this caller now, with its running sums.

    Where `opening`, windows that took long to sum are open in the ledger from now on.
    """
    task = about.task if about else house.ledger.current_task(caller, now_us=now_us)
    found = [
        cap
        for expert in [each.name for each in house.settings.experts] or [""]
        for cap in caps(
            house.limits,
            caller=caller,
            task=task or "none",
            thread=about.thread if about else None,
            expert=expert,
            now=from_us(now_us),
            zone=house.zone,
        )
    ]
    return house.ledger.rooms(dict.fromkeys(found), opening=opening)
