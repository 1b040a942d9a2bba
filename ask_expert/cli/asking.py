"""What `ask-expert ask` does between its options and its output."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from ask_expert import house as houses
from ask_expert.cli import output
from ask_expert.errors import AskExpertError
from ask_expert.escalation import Escalator
from ask_expert.home import user_name
from ask_expert.house import NO_EXPERT, House
from ask_expert.money import SUBSCRIPTION, show_paid
from ask_expert.money import show as money
from ask_expert.preview import Asked, Preview
from ask_expert.question import Caller, Question
from ask_expert.reply import Reply
from ask_expert.report.json_form import number, paid

_PATIENCE_S = 3600
"""Longer than any expert's own deadline: a terminal waits for the answer."""


def caller() -> Caller:
    """Return the person at the terminal, in the working folder."""
    return Caller(
        session=os.environ.get("ASK_EXPERT_SESSION") or f"s_{secrets.token_hex(8)}",
        project=str(Path.cwd()),
        user=user_name(),
        agent="ask-expert ask",
    )


def house(
    home: Path, environ: Mapping[str, str], *, policy: str | None, on_record: bool
) -> House:
    """
    Return the house, with the patience of a person.

    Args:
        home: Folder of settings and ledger.
        environ: The environment the keys come from.
        policy: Preset or path that goes before the settings' own.
        on_record: Whether anything may be put on record.

    Raises:
        ConfigError: Settings or policy are wrong.
        LedgerError: The ledger cannot be opened.
    """
    flags = {"policy": policy, "answer_within_s": _PATIENCE_S}
    return houses.build(home, flags=flags, environ=environ, on_record=on_record)


async def previewed(house: House, question: Question) -> Preview:
    """Return what would happen to a question."""
    try:
        return await Escalator(house).preview(question)
    finally:
        house.ledger.close()


async def answered(house: House, question: Question) -> Reply:
    """
    Take a question down the road and wait for its full answer.

    Raises:
        AskExpertError: The question or the ledger cannot be used.
    """
    outcome: Reply | AskExpertError
    async with Escalator(house).open() as escalator:
        # Raised inside the block, an error would come out in a group.
        try:
            outcome = await escalator.ask(question)
        except AskExpertError as error:
            outcome = error
    if isinstance(outcome, AskExpertError):
        raise outcome
    return outcome


def show(reply: Reply) -> None:
    """Print a reply for people."""
    if reply.answer:
        output.say(f"{reply.answer}\n")
    served = f", served by {reply.served}" if reply.served else ""
    left = reply.budget_left_nusd
    rows = [
        ("status", f"{reply.status}{' (from the ledger)' if reply.cached else ''}"),
        ("reason", reply.reason),
        ("expert", f"{reply.asked}{served}" if reply.asked else ""),
        ("local system", f"{reply.local}{served}" if reply.local else ""),
        ("cost", _paid(reply) if reply.asked or reply.local else ""),
        ("budget left", "" if left is None else money(left)),
        ("secrets masked", str(reply.masked or "")),
        ("sent", ", ".join(reply.sent)),
        ("not sent", "; ".join(reply.left_out)),
        ("question id", reply.question_id),
        ("thread", reply.thread or ""),
        ("next", reply.next_step),
    ]
    output.table([row for row in rows if row[1]])


def _paid(reply: Reply) -> str:
    return show_paid(reply.cost_nusd, by_subscription=reply.subscription)


def fields(reply: Reply) -> dict[str, object]:
    """Return a reply as JSON can carry it; amounts are US dollars."""
    left = reply.budget_left_nusd
    return {
        "status": reply.status,
        "answer": reply.answer,
        "question_id": reply.question_id,
        "thread": reply.thread,
        "reason": reply.reason,
        "next_step": reply.next_step,
        "confidence": reply.confidence,
        "cost_usd": paid(reply.cost_nusd, by_subscription=reply.subscription),
        "subscription": reply.subscription,
        "budget_left_usd": None if left is None else number(left),
        "expert": {"asked": reply.asked, "served": reply.served}
        if reply.asked
        else None,
        "local": {"name": reply.local, "served": reply.served} if reply.local else None,
        "cached": reply.cached,
        "masked_secrets": reply.masked,
        "sent": list(reply.sent),
        "left_out": list(reply.left_out),
    }


def show_preview(preview: Preview, *, json: bool) -> None:
    """Print a dry run: decision, worst case, and the very text that would be sent."""
    if json:
        output.as_json(_preview_fields(preview))
        return
    decision = preview.decision
    output.say("Dry run: nothing is sent, nothing is put on record.\n")
    secret = ", ".join(preview.still_secret)
    rows = [
        ("decision", f"{decision.action} ({decision.rule}: {decision.reason})"),
        ("local first", preview.local_first or ""),
        *(row for each in preview.asked for row in _asked_rows(each)),
        ("all together", _all_together(preview)),
        ("not asked", " ".join(preview.passed_over)),
        ("masked", ", ".join(preview.masked) or "nothing"),
        ("template", preview.template),
        ("sent", ", ".join(preview.sent)),
        ("not sent", "; ".join(preview.left_out)),
        ("would be aborted", f"still secret: {secret}" if secret else ""),
    ]
    output.table([row for row in rows if row[1]])
    if not preview.asked:
        output.say(f"\n{NO_EXPERT}")
    would = "would be sent" if decision.action == "escalate" else "asking would send"
    output.title(f"\nText that {would}")
    output.say(preview.prompt)
    for each in preview.asked:
        if each.body:
            to = f" to {each.expert}" if len(preview.asked) > 1 else ""
            output.title(f"\nBytes that {would}{to}")
            output.say(each.body)


def _asked_rows(asked: Asked) -> list[tuple[str, str]]:
    tokens = f"at most {asked.input_tokens:,} tokens in, {asked.output_tokens:,} out"
    worst = asked.worst_case_nusd
    dear = "" if worst is None else f"{money(worst)} ({tokens})"
    return [
        ("expert", asked.expert),
        ("model", asked.model),
        ("endpoint", asked.endpoint),
        ("worst case", SUBSCRIPTION if asked.is_by_subscription else dear),
        ("price", asked.price_source),
        ("is passed over", asked.why_not or ""),
    ]


def _all_together(preview: Preview) -> str:
    """Return the sum of a panel's worst cases; a single expert has no sum."""
    worst = preview.worst_case_nusd
    if len(preview.asked) <= 1 or worst is None:
        return ""
    return f"worst case {money(worst)} for a panel of {len(preview.asked)}"


def _preview_fields(preview: Preview) -> dict[str, object]:
    """Return a dry run as JSON: the first expert, the sum, and each of a panel."""
    decision, worst = preview.decision, preview.worst_case_nusd
    first = _asked_fields(preview.asked[0] if preview.asked else None)
    panel = [_asked_fields(each) for each in preview.asked]
    return {
        "decision": decision.action,
        "rule": decision.rule,
        "reason": decision.reason,
        "local_first": preview.local_first,
        **first,
        "worst_case_usd": None if worst is None else number(worst),
        "panel": panel if len(panel) > 1 else None,
        "passed_over": list(preview.passed_over),
        "template": preview.template,
        "masked": list(preview.masked),
        "sent": list(preview.sent),
        "left_out": list(preview.left_out),
        "still_secret": list(preview.still_secret),
        "text": preview.prompt,
        "to_set": None if preview.asked else NO_EXPERT,
    }


def _asked_fields(asked: Asked | None) -> dict[str, object]:
    worst = None if asked is None or asked.is_by_subscription else asked.worst_case_nusd
    return {
        "expert": asked and asked.expert,
        "model": asked and asked.model,
        "endpoint": (asked and asked.endpoint) or None,
        "worst_case_usd": None if worst is None else number(worst),
        "price_source": asked.price_source if asked else "no expert is configured",
        "input_tokens": asked.input_tokens if asked else 0,
        "output_tokens": asked.output_tokens if asked else 0,
        "body": (asked and asked.body) or None,
        "why_not": asked and asked.why_not,
    }
