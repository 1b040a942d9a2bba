"""The three tools as an agent calls them: over MCP, with the official SDK's client."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import anyio
from mcp import Client
from mcp.types import CallToolResult, TextContent

_POLL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolReply:
    """
    What `ask_expert` or `expert_status` said.

    Attributes:
        status: As the tool has it; `error` when the call itself failed.
        question_id: Id to report the outcome under; "" when there is none.
        answer: The expert's answer.
        reason: Why.
        next_step: What the server says to do now.
        cost_usd: Dollars, as the server wrote them; "0" for nothing.
        cached: It was answered from the ledger.
    """

    status: str
    question_id: str = ""
    answer: str = ""
    reason: str = ""
    next_step: str = ""
    cost_usd: str = "0"
    cached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertTools:
    """
    A connected session.

    Attributes:
        client: Entered by the caller.
        wait_s: Seconds a pending answer is waited for.
    """

    client: Client
    wait_s: float = 300.0

    async def ask(self, arguments: Mapping[str, object]) -> ToolReply:
        """Ask, and wait for the answer if it is pending."""
        reply = _reply(await self.client.call_tool("ask_expert", dict(arguments)))
        deadline = time.monotonic() + self.wait_s
        while reply.status == "pending" and time.monotonic() < deadline:
            await anyio.sleep(_POLL_S)
            asked = {"question_id": reply.question_id}
            now = _reply(await self.client.call_tool("expert_status", asked))
            if now.status == "error":
                return now
            reply = now if now.question_id else reply
        return reply

    async def report(self, question_id: str, *, solved: bool, evidence: str) -> str:
        """Report an outcome; return the tool's text."""
        result = await self.client.call_tool(
            "report_outcome",
            {"question_id": question_id, "solved": solved, "evidence": evidence},
        )
        return _text(result)


def _reply(result: CallToolResult) -> ToolReply:
    if result.is_error:
        return ToolReply(status="error", reason=_text(result))
    body = _structured(result)
    return ToolReply(
        status=str(body.get("status") or "error"),
        question_id=str(body.get("question_id") or ""),
        answer=str(body.get("answer") or ""),
        reason=str(body.get("reason") or ""),
        next_step=str(body.get("next_step") or ""),
        cost_usd=str(body.get("cost_usd") or "0"),
        cached=bool(body.get("cached")),
    )


def _structured(result: CallToolResult) -> Mapping[str, Any]:
    if result.structured_content is not None:
        return result.structured_content
    try:
        body: object = json.loads(_text(result))
    except ValueError:
        return {}
    return cast("dict[str, Any]", body) if isinstance(body, dict) else {}


def _text(result: CallToolResult) -> str:
    return "\n".join(
        part.text for part in result.content if isinstance(part, TextContent)
    )
