"""
Ask the person at the client whether a question may be sent; by elicitation.

The handshake eras send the person's form in the middle of the call. From 2026-07-28
on the call ends with the form, and comes again with what the person said: what the
first round found out travels in the sealed state, so the second does not do it again.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal, cast

from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp_types.version import is_version_at_least
from pydantic import ValidationError

from ask_expert import advice
from ask_expert.answer_block import word
from ask_expert.mcp_server.logs import log, scrubbed
from ask_expert.money import show
from ask_expert.reply import Approval

Choice = Literal["approve_once", "approve_for_task", "deny"]
Scope = Literal["question", "task", "denied"]

SCOPES: dict[Choice, Scope] = {
    "approve_once": "question",
    "approve_for_task": "task",
    "deny": "denied",
}
"""What each choice of the form means to the ledger."""

STATE_LIFE_S = 86_400.0
"""How long a person may take where the call comes again, in seconds."""

_FORM_SINCE = "2025-06-18"
_NEW_ROUND_SINCE = "2026-07-28"
_KEY = "approval"
_QUESTION_CHARS = 400
_WHY_CHARS = 300
_AGENT_CHARS = 100

_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "decision": {
            "type": "string",
            "title": "Decision",
            "description": (
                "approve_once: this question. approve_for_task: this and all later "
                "questions of the task, within the budgets. deny: not this question."
            ),
            "enum": list(SCOPES),
        }
    },
    "required": ["decision"],
}


def can_ask(context: Context[Any]) -> bool:
    """Return whether this client has a form to show to a person."""
    if not _since(context, _FORM_SINCE):
        return False
    told = context.client_capabilities
    elicitation = told.elicitation if told else None
    if elicitation is None:
        return False
    # An empty declaration is older than the modes and means forms.
    form = elicitation.form is not None or elicitation.url is None
    return form and (comes_again(context) or context.session.can_send_request)


def comes_again(context: Context[Any]) -> bool:
    """Return whether the person's word comes with a second round of the call."""
    return _since(context, _NEW_ROUND_SINCE)


def message(wanted: Approval, agent: str) -> str:
    """Return what the person reads; no text of others makes a line of its own."""
    worst = wanted.worst_case_nusd
    left = wanted.left_nusd
    model = f" (model {word(wanted.model)})" if wanted.model else ""
    return "\n".join(
        (
            f"{word(agent, _AGENT_CHARS) or 'An agent'} wants to ask a paid expert.",
            f"Question: {word(wanted.question, _QUESTION_CHARS)}",
            f"Expert: {word(wanted.expert)}{model}",
            f"Worst case: {'unknown' if worst is None else show(worst)}",
            f"Budget left: {'no budget in USD' if left is None else show(left)}",
            f"Why you are asked: {word(wanted.why, _WHY_CHARS)}",
        )
    )


async def ask_now(context: Context[Any], text: str) -> Choice | None:
    """Show the form in the middle of the call; None is no decision."""
    try:
        said = await context.session.elicit_form(text, _FORM, context.request_id)
    except (MCPError, ValidationError) as error:
        log().warning("the person could not be asked", error=scrubbed(str(error)))
        return None
    return _choice(said)


def ask_in_a_new_round(text: str, fields: Mapping[str, object]) -> InputRequiredResult:
    """Return the form; the reply so far travels with it, sealed by the server."""
    params = ElicitRequestFormParams(message=text, requested_schema=_FORM)
    return InputRequiredResult(
        input_requests={_KEY: ElicitRequest(params=params)},
        request_state=json.dumps(fields),
    )


def said_in_this_round(
    context: Context[Any],
) -> tuple[dict[str, object], Choice | None] | None:
    """Return the reply of the first round and the person's word; None in a first."""
    state = context.request_state
    if state is None:
        return None
    # The server sealed it for these very arguments and opened it again.
    fields = cast("dict[str, object]", json.loads(state))
    said = (context.input_responses or {}).get(_KEY)
    return fields, _choice(said) if isinstance(said, ElicitResult) else None


def by(agent: str) -> str:
    """Return who approved, for the ledger."""
    return scrubbed(f"elicitation: {word(agent, _AGENT_CHARS) or 'unknown client'}")


def denied(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the reply to a question that the person does not want to be sent."""
    return {
        **fields,
        "status": "refused",
        "reason": "The user was asked and denied this question.",
        "next_step": advice.DENIED,
    }


def undecided(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the reply to a question that the person did not decide on."""
    question_id = str(fields["question_id"])
    return {**fields, "next_step": advice.undecided(question_id)}


def _choice(said: ElicitResult) -> Choice | None:
    decision = (said.content or {}).get("decision") if said.action == "accept" else None
    return next((choice for choice in SCOPES if choice == decision), None)


def _since(context: Context[Any], version: str) -> bool:
    spoken = context.protocol_version
    return spoken is not None and is_version_at_least(spoken, version)
