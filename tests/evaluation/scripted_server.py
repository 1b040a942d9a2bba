"""
An MCP server on stdio that answers from a script; a test starts it as a process.

`python scripted_server.py FOLDER` reads `FOLDER/script.json`, a list of replies
(`ask_expert` and `expert_status` take the next one each; a string is a tool
error), and appends every call to `FOLDER/calls.jsonl`.
"""

import json
import sys
from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, TextContent

FOLDER = Path(sys.argv[1])
SCRIPT: list[dict[str, Any] | str] = json.loads((FOLDER / "script.json").read_text())

server = MCPServer("scripted", log_level="ERROR")


def _called(tool: str, arguments: dict[str, Any]) -> None:
    given = {name: value for name, value in arguments.items() if value is not None}
    with (FOLDER / "calls.jsonl").open("a") as file:
        file.write(json.dumps({"tool": tool, **given}) + "\n")


def _next() -> CallToolResult:
    reply = SCRIPT.pop(0)
    if isinstance(reply, str):
        raise ToolError(reply)
    text = TextContent(type="text", text=json.dumps(reply))
    return CallToolResult(content=[text], structured_content=reply)


@server.tool()
async def ask_expert(
    question: str,
    context: str | None = None,
    tried: list[str] | None = None,
    my_answer: str | None = None,
    confidence: float | None = None,
    error: str | None = None,
    task: str | None = None,
) -> CallToolResult:
    _called(
        "ask_expert",
        {
            "question": question,
            "context": context,
            "tried": tried,
            "my_answer": my_answer,
            "confidence": confidence,
            "error": error,
            "task": task,
        },
    )
    return _next()


@server.tool()
async def expert_status(question_id: str) -> CallToolResult:
    _called("expert_status", {"question_id": question_id})
    return _next()


@server.tool()
async def report_outcome(
    question_id: str, solved: bool, evidence: str | None = None
) -> CallToolResult:
    _called(
        "report_outcome",
        {"question_id": question_id, "solved": solved, "evidence": evidence},
    )
    verdict = {"question_id": question_id, "verdict": "helped"}
    return CallToolResult(
        content=[TextContent(type="text", text="recorded")], structured_content=verdict
    )


if __name__ == "__main__":
    server.run()
