"""What `ask-expert ask` does between its options and its output."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from ask_expert import house as houses
from ask_expert.cli import output
from ask_expert.errors import AskExpertError
from ask_expert.escalation import Escalator
from ask_expert.house import NO_EXPERT, House
from ask_expert.money import show as money
from ask_expert.preview import Preview
from ask_expert.question import Caller, Question
from ask_expert.reply import Reply
from ask_expert.report.json_form import number
from ask_expert.settings import user_name

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


def house(home: Path, environ: Mapping[str, str], *, policy: str | None) -> House:
    """
    Return the house, with the patience of a person.

    Raises:
        ConfigError: Settings or policy are wrong.
        LedgerError: The ledger cannot be opened.
    """
    flags = {"policy": policy, "answer_within_s": _PATIENCE_S}
    return houses.build(home, flags=flags, environ=environ)


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
        ("cost", money(reply.cost_nusd) if reply.asked else ""),
        ("budget left", "" if left is None else money(left)),
        ("secrets masked", str(reply.masked or "")),
        ("not sent", "; ".join(reply.left_out)),
        ("question id", reply.question_id),
        ("thread", reply.thread or ""),
        ("next", reply.next_step),
    ]
    output.table([row for row in rows if row[1]])


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
        "cost_usd": number(reply.cost_nusd),
        "budget_left_usd": None if left is None else number(left),
        "expert": {"asked": reply.asked, "served": reply.served}
        if reply.asked
        else None,
        "cached": reply.cached,
        "masked_secrets": reply.masked,
        "left_out": list(reply.left_out),
    }


def show_preview(preview: Preview, *, json: bool) -> None:
    """Print a dry run: decision, worst case, and the very text that would be sent."""
    if json:
        output.as_json(_preview_fields(preview))
        return
    decision, worst = preview.decision, preview.worst_case_nusd
    output.say("Dry run: nothing is sent, nothing is put on record.\n")
    rows = [
        ("decision", f"{decision.action} ({decision.rule}: {decision.reason})"),
        ("expert", preview.expert or ""),
        ("model", preview.model or ""),
        ("endpoint", preview.endpoint or ""),
        ("worst case", "" if worst is None else f"{money(worst)} ({_tokens(preview)})"),
        ("price", preview.price_source),
        ("masked", ", ".join(preview.masked) or "nothing"),
        ("not sent", "; ".join(preview.left_out)),
        ("would be aborted", "still secret: " + ", ".join(preview.still_secret)),
    ]
    shown = rows if preview.still_secret else rows[:-1]
    output.table([row for row in shown if row[1]])
    if preview.expert is None:
        output.say(f"\n{NO_EXPERT}")
    would = "would be sent" if decision.action == "escalate" else "asking would send"
    output.title(f"\nText that {would}")
    output.say(preview.prompt)
    if preview.body:
        output.title(f"\nBytes that {would}")
        output.say(preview.body)


def _tokens(preview: Preview) -> str:
    return f"at most {preview.input_tokens:,} tokens in, {preview.output_tokens:,} out"


def _preview_fields(preview: Preview) -> dict[str, object]:
    decision, worst = preview.decision, preview.worst_case_nusd
    return {
        "decision": decision.action,
        "rule": decision.rule,
        "reason": decision.reason,
        "expert": preview.expert,
        "model": preview.model,
        "endpoint": preview.endpoint,
        "worst_case_usd": None if worst is None else number(worst),
        "price_source": preview.price_source,
        "input_tokens": preview.input_tokens,
        "output_tokens": preview.output_tokens,
        "masked": list(preview.masked),
        "left_out": list(preview.left_out),
        "still_secret": list(preview.still_secret),
        "text": preview.prompt,
        "body": preview.body or None,
        "to_set": NO_EXPERT if preview.expert is None else None,
    }
