"""What the tools need to know of the door that a client came in by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ask_expert.question import Caller, Question

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context

    from ask_expert.escalation import Escalator
    from ask_expert.experts.desk import Progress
    from ask_expert.reply import Reply


class Peer(Protocol):
    """Who is at the other end, and what may come in from there."""

    def caller(self, context: Context[Any]) -> Caller:
        """Return who asks."""
        ...

    def admitted(self, question: Question) -> tuple[Question, tuple[str, ...]]:
        """Return the question without what this door does not take, and what that is."""
        ...


class Host(Protocol):
    """Who answers behind the door."""

    def warm_up(self) -> None:
        """Begin with what the first question needs."""
        ...

    async def escalator(self, context: Context[Any]) -> Escalator:
        """
        Return the escalator that serves whoever calls.

        Raises:
            AskExpertError: Settings, policy or ledger are wrong.
        """
        ...

    def progress(self) -> Progress:
        """Return what shows how far one question has come; use it after `escalator`."""
        ...

    def decider(self, context: Context[Any], caller: Caller) -> str | None:
        """Return whose word on a question it is that comes from there; None is nobody."""
        ...

    def said(self, reply: Reply) -> Reply:
        """Return a reply with what this door has to add."""
        ...
