"""
Whoever comes over HTTP: each token with its own policy, budgets and identity.

All of them share one ledger, one HTTP client, the keys and the calls in flight.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
from mcp.server.mcpserver import Context
from pydantic import ValidationError

from ask_expert.access import AccessToken, BudgetLine, may, said_by
from ask_expert.errors import ConfigError
from ask_expert.escalation import Escalator
from ask_expert.experts.desk import Progress
from ask_expert.home import expanded
from ask_expert.house import House, put_on_record
from ask_expert.mcp_server.bearer import SCOPE_KEY
from ask_expert.mcp_server.logs import log, scrubbed
from ask_expert.policy import presets
from ask_expert.policy.budget_text import of_one_session
from ask_expert.policy.budgets import Budget
from ask_expert.policy.document import Policy
from ask_expert.question import Caller, Question
from ask_expert.reply import Reply

ASK_A_LEAD: Final = (
    "A person has to approve this: a lead or an owner of the team's server, by the "
    "question_id {!r}. Tell the user so, go on with what you can do alone, and ask the "
    "same question again once it is approved."
)
ELSEWHERE: Final = (
    "Ask the same question again in some seconds: then another server of the team "
    "takes it."
)
_MOST_VIEWS = 1000


@dataclass(slots=True, kw_only=True)
class Team:
    """
    Answers for every token, by its own policy and budgets.

    Attributes:
        house: The house under the server's own policy.
        root: Its escalator, which is open while the server runs.
        draining: Whether this server is about to end.
    """

    house: House
    root: Escalator
    draining: bool = False
    _policies: dict[str, Policy] = field(default_factory=dict[str, Policy])
    _views: dict[tuple[str | None, str], Escalator] = field(
        default_factory=dict[tuple[str | None, str], Escalator]
    )

    def __post_init__(self) -> None:
        # A token may name the very file that is the server's own policy.
        self._policies[self._place(self.house.settings.policy)] = self.house.policy

    def warm_up(self) -> None:
        """Do nothing: the server listens once all is built."""

    async def escalator(self, context: Context[Any]) -> Escalator:
        """
        Return the escalator under the policy and budgets of whoever calls.

        Raises:
            ConfigError: The token's policy or budgets cannot be used.
        """
        return await self.serving(token_of(context))

    async def serving(self, token: AccessToken | None) -> Escalator:
        """
        Return the escalator under a token's policy and budgets.

        Raises:
            ConfigError: They cannot be used.
        """
        if token is None or (token.policy is None and not token.budgets):
            return self.root
        key = (token.policy, json.dumps([dict(each) for each in token.budgets]))
        view = self._views.get(key)
        if view is None:
            view = await anyio.to_thread.run_sync(lambda: self._view(token))
            if len(self._views) >= _MOST_VIEWS:
                self._views.clear()
            self._views[key] = view
        return view

    def _view(self, token: AccessToken) -> Escalator:
        house = self.house
        try:
            policy = house.policy
            if token.policy is not None:
                policy = self._policy(token.policy)
            view = house.under(policy, own_budgets(token.budgets))
        except ConfigError as error:
            log().error(
                "a token cannot be served", token=token.name, error=scrubbed(str(error))
            )
            raise ConfigError(f"the access token {token.name!r}: {error}") from error
        put_on_record(house.ledger, policy, now_us=house.now_us())
        return self.root.under(view)

    def _policy(self, name: str) -> Policy:
        """
        Return a policy as it was when a token of this process first named it.

        One text for all: a file that changes while the server runs must not bind some
        tokens and not others.
        """
        place = self._place(name)
        known = self._policies.get(place)
        if known is not None:
            return known
        loaded = presets.load(name, home=self.house.home)
        return self._policies.setdefault(place, loaded)

    def _place(self, name: str) -> str:
        return os.path.realpath(self.house.home / expanded(Path(name)))

    @staticmethod
    def progress() -> Progress:
        """Return what shows how far one question has come."""
        return Progress()

    @staticmethod
    def decider(context: Context[Any], caller: Caller) -> str | None:
        """
        Return the token, if its role approves questions.

        An agent holds its user's token: were a member's enough, it could fill in the
        form itself.
        """
        token = token_of(context)
        if token is None:
            return caller.agent
        return said_by(token) if may(token, "approve", token.project) else None

    def said(self, reply: Reply) -> Reply:
        """Return a reply with what to do about it from afar."""
        if reply.status == "needs_approval":
            return replace(reply, next_step=ASK_A_LEAD.format(reply.question_id))
        if self.draining and reply.status == "unavailable":
            return replace(reply, next_step=ELSEWHERE)
        return reply

    def state_key(self) -> bytes:
        """
        Return the key that seals what travels between two rounds of a call.

        It follows from the home's key, which the replicas share: the second round may
        come to another one of them.
        """
        about = b"ask-expert request state"
        return hmac.new(self.house.mask_key, about, hashlib.sha256).digest()


def own_budgets(lines: tuple[BudgetLine, ...]) -> tuple[Budget, ...]:
    """
    Return a token's budgets, each in windows of this token's own.

    Raises:
        ConfigError: One of them is no budget.
    """
    try:
        return tuple(of_one_session(Budget.model_validate(line)) for line in lines)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ConfigError(f"its budgets: {first['msg']}") from error


def token_of(context: Context[Any]) -> AccessToken | None:
    """Return the token that a call came with; None where the server asks for none."""
    request: Any = context.request_context.request
    return None if request is None else request.scope.get(SCOPE_KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPeer:
    """
    Who is at the other end of an HTTP request: what its token says.

    Attributes:
        nobody: Who asks where the server takes requests without a token.
    """

    nobody: Caller

    def caller(self, context: Context[Any]) -> Caller:
        """Return the token's user, project and session, and the client's name."""
        agent = _agent(context)
        token = token_of(context)
        if token is None:
            return replace(self.nobody, agent=agent)
        return Caller(
            session=token.id, project=token.project, user=token.user, agent=agent
        )

    @staticmethod
    def admitted(question: Question) -> tuple[Question, tuple[str, ...]]:
        """Return the question without files and checks: they would be the server's."""
        left_out = [
            f"{path}: files are not read over HTTP; copy what matters into `context`"
            for path in question.files
        ]
        if question.check is not None:
            left_out.append(
                f"check {question.check}: checks are not run over HTTP; run it "
                "yourself and put its output into `error`"
            )
        return replace(question, files=(), check=None), tuple(left_out)


def _agent(context: Context[Any]) -> str:
    """Return the client's name; requests of the older era may not carry it."""
    params = context.session.client_params
    if params is not None:
        return params.client_info.name
    header = (context.headers or {}).get("user-agent", "")
    words = header.split("/")[0].split()
    return words[0] if words else "unknown"
