"""One call of `ask_expert`: it asks the road, and a person where the road says so."""

from dataclasses import dataclass, replace
from typing import Any

from mcp.server.mcpserver import Context
from mcp.types import InputRequiredResult

from ask_expert import advice
from ask_expert.errors import AskExpertError, ConfigError
from ask_expert.mcp_server import approval
from ask_expert.mcp_server.doors import Host
from ask_expert.mcp_server.heartbeat import Heartbeat
from ask_expert.mcp_server.logs import scrubbed
from ask_expert.mcp_server.results import structured
from ask_expert.question import Question
from ask_expert.reply import Approval, Reply

Fields = dict[str, object]


@dataclass(frozen=True, slots=True)
class Asking:
    """
    One call of `ask_expert`: ask, let a person decide where one has to, ask again.

    Errors come back as values: raised beside the heartbeat they would come in a group.

    Attributes:
        runtime: Who answers.
        context: The call.
        question: What is asked.
        heart: Its signs of life.
        left_out: What the agent gave and the door did not take.
    """

    runtime: Host
    context: Context[Any]
    question: Question
    heart: Heartbeat
    left_out: tuple[str, ...] = ()

    async def run(self) -> Fields | InputRequiredResult | AskExpertError:
        """Return the reply's fields, or the form that a person has to fill in."""
        try:
            said = approval.said_in_this_round(self.context)
            if said is not None:
                return await self._obey(*said)
            reply = await self._ask()
            if reply.approval is None or not self._reaches_person():
                return structured(reply)
            return await self._ask_person(reply, reply.approval)
        except ConfigError as failure:
            return structured(_not_set_up(failure))
        except AskExpertError as failure:
            return failure

    async def _ask(self) -> Reply:
        escalator = await self.runtime.escalator(self.context)
        progress = self.runtime.progress()
        self.heart.line = progress.line
        reply = await escalator.ask(self.question, progress=progress)
        reply = replace(reply, left_out=(*reply.left_out, *self.left_out))
        return self.runtime.said(reply)

    def _reaches_person(self) -> bool:
        return self._decider() is not None and approval.can_ask(self.context)

    def _decider(self) -> str | None:
        return self.runtime.decider(self.context, self.question.caller)

    async def _ask_person(
        self, reply: Reply, wanted: Approval
    ) -> Fields | InputRequiredResult:
        text = approval.message(wanted, self.question.caller.agent)
        fields = structured(reply)
        if approval.comes_again(self.context):
            return approval.ask_in_a_new_round(text, fields)
        self.heart.line = lambda: "waiting for the user to decide"
        return await self._obey(fields, await approval.ask_now(self.context, text))

    async def _obey(self, fields: Fields, choice: approval.Choice | None) -> Fields:
        """Put the person's word on record and do what it says."""
        if choice is None:
            return approval.undecided(fields)
        caller = self.question.caller
        escalator = await self.runtime.escalator(self.context)
        await escalator.approve(
            str(fields["question_id"]),
            scope=approval.SCOPES[choice],
            by=approval.by(self._decider() or ""),
            caller=caller,
        )
        if choice == "deny":
            return approval.denied(fields)
        # Whatever comes now, the person is not asked twice in one call.
        reply = await self._ask()
        if reply.status == "needs_approval":
            reply = replace(reply, next_step=advice.APPROVED_IN_VAIN)
        return structured(reply)


def _not_set_up(failure: ConfigError) -> Reply:
    return Reply(
        status="unavailable",
        question_id="",
        thread=None,
        reason=scrubbed(f"ask-expert is not set up rightly: {failure}"),
        next_step=(
            "Go on without the expert and tell the user this reason; "
            "`ask-expert doctor` shows more."
        ),
    )
