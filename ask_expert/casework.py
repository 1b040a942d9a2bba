"""What follows from a case: its facts, decision, prompt, record and budgets."""

from dataclasses import replace

from ask_expert.budget import Room, caps, from_us
from ask_expert.confidence.assess import assess
from ask_expert.experts.prompt import compose
from ask_expert.house import House
from ask_expert.intake import Case
from ask_expert.ledger.records import QuestionRecord
from ask_expert.policy import decide as policy_decide
from ask_expert.policy.decide import Decision
from ask_expert.question import Caller, Facts, Prompt
from ask_expert.redaction import Marks

_MOST_READ_CHARS = 200_000
_MOST_EVIDENCE_CHARS = 4_000


def facts(case: Case) -> Facts:
    """Return what the policy's rules can test."""
    return assess(
        case.question,
        check=case.check,
        same_error=case.past.same_error,
        asked_before=case.past.asked_before,
    )


def decide(house: House, case: Case, known: Facts) -> Decision:
    """Return the policy's decision; a person's approval comes before it."""
    if case.past.approved:
        return Decision(
            action="escalate", rule="approved", reason="a person approved this question"
        )
    return policy_decide.decide(house.policy, known)


def prompt(house: House, case: Case) -> Prompt:
    """Return what an expert is sent; a check that failed speaks as an error."""
    question = case.question
    if case.check is not None and case.check.passed is not True:
        printed = f"$ check {case.check.name}\n{case.check.output}"
        question = replace(
            question, error="\n\n".join(filter(None, (question.error, printed)))
        )
    return compose(
        question,
        history=case.history,
        attachments=case.attachments,
        show_local_answer=house.settings.send.local_answer == "review",
    )


def record(
    house: House, case: Case, known: Facts, decision: Decision
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
        error_signature=case.error_signature,
        texts=_stored_texts(house, case) if house.stores_texts else None,
        stated_confidence=question.stated_confidence,
        facts=known,
        masked=case.marks.count,
        policy=house.policy.name,
        policy_hash=house.policy.hash,
        action=decision.action,
        rule=decision.rule,
        reason=decision.reason,
    )


def _stored_texts(house: House, case: Case) -> dict[str, object]:
    """Return the masked texts to keep; file contents only where all is stored."""
    kept = case
    if house.settings.storage == "redacted":
        named = tuple(
            replace(
                each, text=None, left_out=each.left_out or "was sent, is not stored"
            )
            for each in case.attachments
        )
        kept = replace(case, attachments=named)
    sent = prompt(house, kept).turns[-1].text
    return {"question": case.question.text, "sent": sent}


def evidence(house: House, text: str | None) -> str | None:
    """Return what an outcome rests on, masked, as far as texts are stored."""
    if not text or not house.stores_texts:
        return None
    # Masked before it is cut: half a secret is a secret, too.
    marks = Marks(key=house.mask_key)
    return house.masker.mask(text[:_MOST_READ_CHARS], marks)[:_MOST_EVIDENCE_CHARS]


def rooms(
    house: House, caller: Caller, now_us: int, *, task: str | None = None
) -> list[Room]:
    """Return every budget that binds this caller now, with its running sums."""
    task = task or house.ledger.current_task(caller, now_us=now_us) or "none"
    found = [
        cap
        for expert in [each.name for each in house.settings.experts] or [""]
        for cap in caps(
            house.limits,
            caller=caller,
            task=task,
            expert=expert,
            now=from_us(now_us),
            zone=house.zone,
        )
    ]
    return house.ledger.rooms(dict.fromkeys(found))
