"""What a client and its model see before the first question."""

import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from ask_expert.mcp_server import texts
from ask_expert.mcp_server.runtime import Runtime
from ask_expert.mcp_server.server import build_server
from ask_expert.mcp_server.tools import Connection

pytestmark = pytest.mark.anyio


async def listed(home: Path) -> dict[str, Any]:
    runtime = Runtime(home=home, flags={})
    connection = Connection(session="s_test", project=str(home))
    async with runtime.open(), Client(build_server(runtime, connection)) as client:
        result = await client.list_tools()
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def test_the_tools_cost_an_agent_less_than_4000_bytes_of_its_context(
    home: Path,
) -> None:
    result = await listed(home)

    size = len(json.dumps(result, separators=(",", ":")).encode())
    print(f"tools/list: {size} bytes")
    assert size < 4000


def test_the_instructions_are_shorter_than_1200_bytes() -> None:
    size = len(texts.INSTRUCTIONS.encode())

    print(f"instructions: {size} bytes")
    assert size < 1200


async def test_there_are_three_tools_with_flat_described_arguments_and_no_output_schema(
    home: Path,
) -> None:
    result = await listed(home)

    tools: list[dict[str, Any]] = result["tools"]
    assert [tool["name"] for tool in tools] == [
        "ask_expert",
        "report_outcome",
        "expert_status",
    ]
    for tool in tools:
        assert "outputSchema" not in tool
        assert "$ref" not in json.dumps(tool)
        for argument in tool["inputSchema"]["properties"].values():
            assert argument["description"]
    assert tools[0]["_meta"] == {"anthropic/alwaysLoad": True}
    assert tools[0]["inputSchema"]["required"] == ["question"]
