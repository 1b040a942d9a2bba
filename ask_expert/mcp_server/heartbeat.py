"""Signs of life: clients give up on a call that is silent, after 5 to 60 seconds."""

import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import anyio
from mcp.server.mcpserver import Context

LOOK_S = 0.5
"""Pause between two looks at whether there is something new to say, in seconds."""

LOOKS = 8
"""Looks without news until the next sign of life: 4 seconds."""


@dataclass(slots=True, kw_only=True)
class Heartbeat:
    """
    What the signs of life say.

    Attributes:
        line: Returns where the call stands, as one line.
    """

    line: Callable[[], str] = lambda: "asking the expert"


@contextlib.asynccontextmanager
async def heartbeat(context: Context[Any]) -> AsyncGenerator[Heartbeat]:
    """Show a sign of life at once, then when there is news, and every few seconds."""
    heart = Heartbeat()

    async def beat() -> None:
        for number in count(1):
            said = heart.line()
            await context.report_progress(number, None, said)
            for _ in range(LOOKS):
                await anyio.sleep(LOOK_S)
                if heart.line() != said:
                    break

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(beat)
        try:
            yield heart
        finally:
            tasks.cancel_scope.cancel()
