"""Build and run the MCP server over standard input and output."""

import os
import secrets
import signal
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskStatus
from mcp.server.context import (
    CallNext,
    HandlerResult,
    ServerMiddleware,
    ServerRequestContext,
)
from mcp.server.mcpserver import MCPServer
from mcp.server.request_state import RequestStateSecurity

from ask_expert.mcp_server import logs, texts
from ask_expert.mcp_server.approval import STATE_LIFE_S
from ask_expert.mcp_server.doors import Host, Peer
from ask_expert.mcp_server.runtime import Runtime
from ask_expert.mcp_server.tools import Connection, build_tools

_FLUSH_S = 0.3
_GREETINGS = {"initialize", "server/discover", "ping"}


def build_server(
    runtime: Host,
    connection: Peer,
    *,
    security: RequestStateSecurity | None = None,
) -> MCPServer[Any]:
    """
    Return a server whose tools ask the runtime's escalator.

    Args:
        runtime: Who answers.
        connection: Who asks.
        security: How what travels between two rounds of a call is sealed; with a key
            of this process alone when absent.
    """

    class WarmUp(ServerMiddleware[Any]):
        async def __call__(
            self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
        ) -> HandlerResult:
            if ctx.method not in _GREETINGS:
                runtime.warm_up()
            return await call_next(ctx)

    return MCPServer(
        "ask-expert",
        title="ask-expert",
        instructions=texts.INSTRUCTIONS,
        version=version("ask-expert"),
        log_level="WARNING",
        subscriptions=False,
        request_state_security=security
        or RequestStateSecurity.ephemeral(ttl=STATE_LIFE_S),
        middleware=[WarmUp()],
        tools=build_tools(runtime, connection),
    )


async def serve_stdio(home: Path, flags: Mapping[str, object]) -> None:
    """
    Serve until standard input ends.

    Calls that were sent to an expert are finished first. A first SIGTERM waits for
    them too; a second one ends the process at once, and what was in flight stays
    counted at its worst case.
    """
    logs.configure()
    session = os.environ.get("ASK_EXPERT_SESSION") or f"s_{secrets.token_hex(8)}"
    runtime = Runtime(home=home, flags=dict(flags))
    async with anyio.create_task_group() as watch:
        await watch.start(_end_on_signal, runtime)
        async with runtime.open():
            server = build_server(runtime, Connection.of_this_process(session))
            await server.run_stdio_async()
        # Signals are watched until the last paid call is booked.
        watch.cancel_scope.cancel()


async def _end_on_signal(
    runtime: Runtime, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            # The reader of standard input blocks in a thread and cannot be
            # cancelled, so the process is left without waiting for it.
            if runtime.calls_in_flight == 0:
                os._exit(128 + number)
            logs.log().warning(
                "finishing paid calls; signal again to end now",
                calls=runtime.calls_in_flight,
            )
            break
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_exit_when_drained, runtime)
            async for number in signals:
                os._exit(128 + number)


async def _exit_when_drained(runtime: Runtime) -> None:
    while True:
        await runtime.drained()
        await anyio.sleep(_FLUSH_S)  # what was waited for goes out first
        # A question that was let in before the signal may have been sent meanwhile.
        if runtime.calls_in_flight == 0:
            os._exit(0)
