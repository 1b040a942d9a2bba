"""The three tools; they translate between the protocol and the road, and decide nothing."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import BeforeValidator, Field, ValidationError

from ask_expert.budget import Room
from ask_expert.errors import AskExpertError
from ask_expert.home import user_name
from ask_expert.mcp_server import texts
from ask_expert.mcp_server.arguments import misfits
from ask_expert.mcp_server.asking import Asking
from ask_expert.mcp_server.doors import Host, Peer
from ask_expert.mcp_server.heartbeat import heartbeat
from ask_expert.mcp_server.logs import scrubbed
from ask_expert.mcp_server.results import number, result, structured
from ask_expert.question import Caller, Question


def _as_list(value: object) -> object:
    """Take a plain string as a list of one: weak models send either."""
    if isinstance(value, str):
        return [value] if value.strip() else None
    return value


_Text = str | None
_List = Annotated[list[str] | None, BeforeValidator(_as_list)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Who is at the other end of standard input and output."""

    session: str
    project: str

    def caller(self, context: Context[Any]) -> Caller:
        """Return the caller, by the name that the client gave itself."""
        params = context.session.client_params
        return Caller(
            session=self.session,
            project=self.project,
            user=user_name(),
            agent=params.client_info.name if params else "",
        )

    @staticmethod
    def admitted(question: Question) -> tuple[Question, tuple[str, ...]]:
        """Return the question as it is: files and checks are those of its own user."""
        return question, ()

    @classmethod
    def of_this_process(cls, session: str) -> "Connection":
        """Return the connection of a server that its client started."""
        return cls(session=session, project=str(Path.cwd()))


def build_tools(runtime: Host, connection: Peer) -> list[Tool]:
    """Return the three tools."""
    return [
        _ask_expert(runtime, connection),
        _report_outcome(runtime, connection),
        _expert_status(runtime, connection),
    ]


class _Tool(Tool):
    """Says what is wrong in a sentence that a model can act on."""

    async def run(
        self,
        arguments: dict[str, Any],
        context: Context[Any, Any],
        convert_result: bool = False,  # noqa: FBT001, FBT002  # as the base class has it
    ) -> Any:
        try:
            return await super().run(arguments, context, convert_result)
        except UnexpectedToolError as error:
            # The SDK logs the cause; nothing of its text reaches the client.
            kind = type(_innermost(error.__cause__)).__name__
            raise UnexpectedToolError(
                f"An internal error ({kind}); go on without the expert and tell the "
                "user to look at the server's log."
            ) from error.__cause__
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                text = misfits(error.__cause__)
                raise ToolError(text) from error.__cause__
            raise


def _innermost(error: BaseException | None) -> BaseException | None:
    """Return what broke; what breaks beside the heartbeat comes in a group."""
    while isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        error = group.exceptions[0]
    return error


def _tool(function: Callable[..., Any], description: str, **more: Any) -> Tool:
    tool = _Tool.from_function(function, description=description, **more)
    # Titles repeat the names, and every byte is read by the agent at every turn.
    tool.parameters.pop("title", None)
    for argument in tool.parameters.get("properties", {}).values():
        argument.pop("title", None)
    return tool


def _ask_expert(runtime: Host, connection: Peer) -> Tool:
    async def ask_expert(  # noqa: PLR0913, PLR0917  # one parameter an argument
        context_: Context[Any],
        question: Annotated[str, Field(description=texts.QUESTION)],
        context: Annotated[_Text, Field(description=texts.CONTEXT)] = None,
        tried: Annotated[_List, Field(description=texts.TRIED)] = None,
        my_answer: Annotated[_Text, Field(description=texts.MY_ANSWER)] = None,
        confidence: Annotated[float | None, Field(description=texts.CONFIDENCE)] = None,
        error: Annotated[_Text, Field(description=texts.ERROR)] = None,
        check: Annotated[_Text, Field(description=texts.CHECK)] = None,
        files: Annotated[_List, Field(description=texts.FILES)] = None,
        task: Annotated[_Text, Field(description=texts.TASK)] = None,
        thread: Annotated[_Text, Field(description=texts.THREAD)] = None,
    ) -> CallToolResult | InputRequiredResult:
        if confidence is not None and not math.isfinite(confidence):
            raise ToolError("`confidence` must be a number between 0 and 1.")
        given = Question(
            text=question,
            caller=connection.caller(context_),
            context=context,
            tried=None if tried is None else tuple(tried),
            my_answer=my_answer,
            stated_confidence=confidence,
            error=error,
            check=check or None,
            files=tuple(files or ()),
            task=task,
            thread=thread or None,
        )
        asked, left_out = connection.admitted(given)
        async with heartbeat(context_) as heart:
            outcome = await Asking(runtime, context_, asked, heart, left_out).run()
        if isinstance(outcome, AskExpertError):
            raise ToolError(scrubbed(str(outcome))) from outcome
        if isinstance(outcome, InputRequiredResult):
            return outcome
        return result(outcome)

    return _tool(
        ask_expert,
        texts.ASK,
        annotations=ToolAnnotations(
            title="Ask an expert",
            read_only_hint=False,
            destructive_hint=False,
            idempotent_hint=True,
            open_world_hint=True,
        ),
        meta={"anthropic/alwaysLoad": True},
    )


def _report_outcome(runtime: Host, connection: Peer) -> Tool:
    async def report_outcome(
        context_: Context[Any],
        question_id: Annotated[str, Field(description=texts.QUESTION_ID)],
        solved: Annotated[bool, Field(description=texts.SOLVED)],
        evidence: Annotated[_Text, Field(description=texts.EVIDENCE)] = None,
    ) -> CallToolResult:
        try:
            escalator = await runtime.escalator(context_)
            verdict = await escalator.report_outcome(
                question_id,
                caller=connection.caller(context_),
                solved=solved,
                evidence=evidence,
            )
        except AskExpertError as failure:
            raise ToolError(scrubbed(str(failure))) from failure
        return result({"question_id": question_id, "verdict": verdict})

    return _tool(
        report_outcome,
        texts.REPORT,
        annotations=ToolAnnotations(
            title="Report the outcome",
            read_only_hint=False,
            destructive_hint=False,
            idempotent_hint=True,
            open_world_hint=False,
        ),
    )


def _expert_status(runtime: Host, connection: Peer) -> Tool:
    async def expert_status(
        context_: Context[Any],
        question_id: Annotated[_Text, Field(description=texts.QUESTION_ID)] = None,
    ) -> CallToolResult:
        caller = connection.caller(context_)
        try:
            escalator = await runtime.escalator(context_)
            if question_id:
                return result(structured(await escalator.status(question_id, caller)))
            rooms = await escalator.rooms(caller)
        except AskExpertError as failure:
            raise ToolError(scrubbed(str(failure))) from failure
        return result({"policy": escalator.policy_name, "budgets": _budgets(rooms)})

    return _tool(
        expert_status,
        texts.STATUS,
        annotations=ToolAnnotations(
            title="Expert status", read_only_hint=True, open_world_hint=False
        ),
    )


def _budgets(rooms: Sequence[Room]) -> list[dict[str, object]]:
    return [
        {
            "budget": room.cap.label,
            "left_usd": number(room.left_nusd),
            "left_calls": room.calls_left,
            "left_tokens": room.tokens_left,
        }
        for room in rooms
    ]
