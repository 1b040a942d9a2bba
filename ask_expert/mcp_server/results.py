"""A reply as the client gets it: the same fields as text and as structured content."""

import json
from collections.abc import Mapping
from decimal import Decimal

from mcp.types import CallToolResult, TextContent

from ask_expert.answer_block import word
from ask_expert.money import usd
from ask_expert.reply import PanelVoice, Reply

_REASON_CHARS = 1000


def result(fields: Mapping[str, object]) -> CallToolResult:
    """Put the fields into both channels: half of the clients show only one."""
    lines: list[str] = []
    for name, value in fields.items():
        if name != "answer" and value is not None:
            shown = value if isinstance(value, str) else json.dumps(value)
            lines.append(f"{name}: {shown}")
    answer = fields.get("answer")
    if answer:
        lines.insert(1, str(answer))
    return CallToolResult(
        content=[TextContent(type="text", text="\n".join(lines))],
        structured_content=dict(fields),
    )


def structured(reply: Reply) -> dict[str, object]:
    """
    Return the reply as an agent reads it; what is absent is left out.

    Only the answer's block may hold lines of somebody else.
    """
    served = word(reply.served) if reply.served else None
    expert = {"asked": word(reply.asked), "served": served} if reply.asked else None
    fields: dict[str, object] = {
        "status": reply.status,
        "answer": reply.answer,
        "partial": reply.partial or None,
        "question_id": reply.question_id,
        "thread": word(reply.thread) if reply.thread else None,
        "reason": word(reply.reason, _REASON_CHARS),
        "next_step": reply.next_step,
        "confidence": reply.confidence,
        **_cost(reply.cost_nusd, subscription=reply.subscription),
        "budget_left_usd": number(reply.budget_left_nusd),
        "expert": expert,
        "local": {"name": word(reply.local), "served": served} if reply.local else None,
        "panel": [_voice(each) for each in reply.panel] or None,
        "cached": reply.cached or None,
        "masked_secrets": reply.masked or None,
        "sent": [word(each) for each in reply.sent] or None,
        "left_out": [word(each) for each in reply.left_out] or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def number(nusd: int | None) -> float | None:
    """Return dollars as a JSON number; exact to the nano-dollar for any real amount."""
    return None if nusd is None else float(Decimal(usd(nusd)))


def _cost(nusd: int, *, subscription: bool) -> dict[str, object]:
    """Return what was paid; a subscription has no price, but others may have had one."""
    if not subscription:
        return {"cost_usd": number(nusd)}
    return {"cost": "subscription", "cost_usd": number(nusd) if nusd else None}


def _voice(voice: PanelVoice) -> dict[str, object]:
    fields: dict[str, object] = {
        "expert": word(voice.expert),
        **(
            {"cost": "unknown"}
            if voice.cost_nusd is None
            else _cost(voice.cost_nusd, subscription=voice.subscription)
        ),
        "agrees": voice.agrees,
    }
    return {name: value for name, value in fields.items() if value is not None}
