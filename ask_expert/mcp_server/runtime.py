"""
The escalator behind the tools, built after the client has its first answer.

Nothing heavy is imported before `initialize` is answered: what the first question
needs is loaded by a worker thread as soon as the client goes on talking.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.abc
import anyio.to_thread

from ask_expert.errors import AskExpertError
from ask_expert.mcp_server.logs import log, scrub_with, scrubbed

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context

    from ask_expert.escalation import Escalator
    from ask_expert.experts.desk import Progress
    from ask_expert.question import Caller
    from ask_expert.reply import Reply


@dataclass(slots=True, kw_only=True)
class Runtime:
    """
    Holds the escalator for the life of the server.

    Attributes:
        home: Folder of the settings.
        flags: Settings from the command line.
    """

    home: Path
    flags: dict[str, object]
    _tasks: anyio.abc.TaskGroup | None = None
    _escalator: Escalator | None = None
    _error: AskExpertError | None = None
    _ready: anyio.Event | None = None
    _closing: anyio.Event = field(default_factory=anyio.Event)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncGenerator[Runtime]:
        """Run; at the end wait for calls that were sent, up to their deadlines."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                yield self
            finally:
                self._closing.set()
                if self.calls_in_flight:
                    log().info("finishing paid calls", calls=self.calls_in_flight)

    def warm_up(self) -> None:
        """Begin to build the escalator, unless that has begun."""
        if self._ready is None and self._tasks is not None:
            self._ready = anyio.Event()
            self._tasks.start_soon(self._host, self._ready)

    async def escalator(self, context: Context[Any] | None = None) -> Escalator:
        """
        Return the escalator once it is built; one serves every call.

        Raises:
            AskExpertError: Settings, policy or ledger are wrong; a later call tries anew.
        """
        del context
        if self._escalator is None and self._ready and self._ready.is_set():
            self._ready = None  # it failed before; the user may have mended it
        self.warm_up()
        if self._ready is not None:
            await self._ready.wait()
        if self._escalator is None:
            raise self._error or AskExpertError("The server is closing.")
        return self._escalator

    @staticmethod
    def progress() -> Progress:
        """Return what shows how far one question has come; use it after `escalator`."""
        from ask_expert.experts.desk import Progress  # noqa: PLC0415  # as `_build` does

        return Progress()

    @staticmethod
    def decider(context: Context[Any], caller: Caller) -> str:
        """Return the client: whoever started this server sits before it."""
        del context
        return caller.agent

    @staticmethod
    def said(reply: Reply) -> Reply:
        """Return a reply as it is."""
        return reply

    @property
    def calls_in_flight(self) -> int:
        """How many calls are on their way, or wait to be booked."""
        return self._escalator.calls_in_flight if self._escalator else 0

    async def drained(self) -> None:
        """Take no more questions, and wait until each call has landed and is booked."""
        if self._escalator is not None:
            await self._escalator.drained()

    async def _host(self, ready: anyio.Event) -> None:
        """Own the escalator; one task enters and leaves its block."""
        try:
            escalator = await anyio.to_thread.run_sync(self._build)
        except AskExpertError as error:
            log().error("cannot serve questions", error=scrubbed(str(error)))
            self._error = error
            ready.set()
            return
        async with escalator.open():
            self._escalator = escalator
            ready.set()
            await self._closing.wait()
        self._escalator = None

    def _build(self) -> Escalator:
        # The imports are the point: they cost more than all else before the first
        # question, and none of them is needed to answer `initialize`.
        from ask_expert import escalation, house  # noqa: PLC0415

        built = house.build(self.home, flags=self.flags)
        scrub: Callable[[str], str] = built.masker.scrub
        scrub_with(
            scrub, level=built.settings.log.level, form=built.settings.log.format
        )
        return escalation.Escalator(built)
