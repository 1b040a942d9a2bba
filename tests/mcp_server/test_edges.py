"""What the agent reads when something does not fit, breaks, or comes from elsewhere."""

import logging
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import TextContent

from ask_expert.errors import AskExpertError
from ask_expert.escalation import Escalator
from ask_expert.mcp_server.runtime import Runtime
from ask_expert.mcp_server.server import build_server
from ask_expert.mcp_server.tools import Connection

pytestmark = pytest.mark.anyio

KEY = "sk-proj-Zz9Yy8Xx7Ww6Vv5Uu4Tt3Ss2"


class BrokenRuntime(Runtime):
    """A runtime with a bug."""

    async def escalator(self, context: object = None) -> Escalator:
        raise KeyError("a detail for the log alone")


async def called(runtime: Runtime, tool: str, arguments: dict[str, Any]) -> str:
    """Call a tool, expect an error, and return what the model reads."""
    connection = Connection(session="s_test", project="/")
    async with runtime.open(), Client(build_server(runtime, connection)) as client:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@pytest.mark.parametrize(
    ("tool", "arguments", "text"),
    [
        ("ask_expert", {}, "`question` is missing."),
        ("ask_expert", {"question": 7}, "`question` must be text, not a number."),
        (
            "ask_expert",
            {"question": "q", "confidence": 10**400},
            "`confidence` must be a number.",
        ),
        (
            "ask_expert",
            {"question": "q", "tried": [["a"]], "confidence": "much"},
            (
                "item 1 of `tried` must be text, not a list. "
                "`confidence` must be a number, not text."
            ),
        ),
        (
            "ask_expert",
            {"question": "q", "files": {"a": 1}},
            "`files` must be a list of texts, not an object.",
        ),
        (
            "report_outcome",
            {"question_id": None, "solved": "perhaps"},
            (
                "`question_id` must be text, not null. "
                "`solved` must be true or false, not text."
            ),
        ),
    ],
    ids=["missing", "number", "size", "two", "object", "outcome"],
)
async def test_an_argument_that_does_not_fit_is_named_with_what_is_expected(
    home: Path, tool: str, arguments: dict[str, Any], text: str
) -> None:
    shown = await called(Runtime(home=home, flags={}), tool, arguments)

    assert shown == text


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("ask_expert", {"question": "Why?"}),
        ("report_outcome", {"question_id": "q_1", "solved": True}),
        ("expert_status", {}),
    ],
)
async def test_a_bug_is_one_sentence_for_the_model_and_a_trace_in_the_log(
    home: Path,
    caplog: pytest.LogCaptureFixture,
    tool: str,
    arguments: dict[str, Any],
) -> None:
    with caplog.at_level(logging.ERROR):
        shown = await called(BrokenRuntime(home=home, flags={}), tool, arguments)

    assert shown == (
        "An internal error (KeyError); go on without the expert and tell the user to "
        "look at the server's log."
    )
    assert "a detail for the log alone" in caplog.text


@pytest.mark.parametrize("tool", ["report_outcome", "expert_status"])
async def test_a_key_in_a_wrong_field_of_the_settings_is_not_repeated(
    home: Path, tool: str
) -> None:
    (home / "settings.yaml").write_text(f"time_zone: {KEY}\n")
    arguments = {"question_id": "q_1", "solved": True}

    shown = await called(
        Runtime(home=home, flags={}),
        tool,
        arguments if tool == "report_outcome" else {},
    )

    assert KEY not in shown
    assert "is no time zone" in shown


async def test_our_own_errors_keep_their_words(home: Path) -> None:
    class Refusing(Runtime):
        async def escalator(self, context: object = None) -> Escalator:
            raise AskExpertError("The server is closing.")

    shown = await called(Refusing(home=home, flags={}), "expert_status", {})

    assert shown.endswith("The server is closing.")
