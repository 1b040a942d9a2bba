"""
The JSON API beside the protocol: health, and what a team's people do with tokens.

Every route is thin: the ledger does it, and `access.may` says who may.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeVar, cast

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ask_expert import access
from ask_expert.access import (
    AccessToken,
    issue_trouble,
    masked_trouble,
    may,
    said_by,
)
from ask_expert.budget import to_us
from ask_expert.errors import AskExpertError, LedgerError, NameTakenError
from ask_expert.ledger import access_tokens, team_reads
from ask_expert.ledger.export import moment
from ask_expert.mcp_server.bearer import SCOPE_KEY
from ask_expert.mcp_server.gate import HEALTH, complaint
from ask_expert.mcp_server.logs import log, scrubbed
from ask_expert.mcp_server.team import Team
from ask_expert.mcp_server.team_requests import (
    WINDOWS,
    NewToken,
    Problem,
    Word,
    is_name,
    read,
)
from ask_expert.money import usd_text
from ask_expert.periods import window
from ask_expert.policy import presets
from ask_expert.report import tokens

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]

LOOK_S: Final = 1.0
"""How long one look at the ledger is good for readiness, in seconds."""

PATIENCE_S: Final = 2.0
"""How long the ledger may take to answer before this server is not ready, in seconds."""

WAITING_FOR: Final = timedelta(days=30)
"""How long ago a question may have been asked that is shown as waiting."""

_MOST_WAITING = 200
_SHOWN_CHARS = 300
_NO_QUESTION = "There is no question {!r} here."


@dataclass(slots=True, kw_only=True)
class TeamApi:
    """
    Serves health and `/team`.

    Attributes:
        team: Who answers questions, and where their ledger is.
    """

    team: Team
    _looked: tuple[float, bool] | None = None
    _looking: anyio.Lock = field(default_factory=anyio.Lock)

    def routes(self) -> list[Route]:
        """Return all routes."""
        one = "/team/tokens/{name}"
        return [
            Route(f"{HEALTH}live", self.live, methods=["GET"]),
            Route(f"{HEALTH}ready", self.ready, methods=["GET"]),
            Route("/team/questions", _guarded(self.questions), methods=["GET"]),
            Route("/team/approve", _guarded(self.approve), methods=["POST"]),
            Route("/team/usage", _guarded(self.usage), methods=["GET"]),
            Route("/team/tokens", _guarded(self.tokens), methods=["GET"]),
            Route("/team/tokens", _guarded(self.issue), methods=["POST"]),
            Route(one, _guarded(self.revoke), methods=["DELETE"]),
        ]

    @staticmethod
    async def live(request: Request) -> Response:
        """Say that the process runs."""
        del request
        return _json({"status": "live"})

    async def ready(self, request: Request) -> Response:
        """Say whether questions may be sent here: the ledger answers, no end is near."""
        del request
        if self.team.draining:
            return _json({"status": "draining"}, 503)
        if not await self._ledger_answers():
            return _json({"status": "ledger unavailable"}, 503)
        return _json({"status": "ready"})

    async def _ledger_answers(self) -> bool:
        # Whoever asks, and however often: the ledger is looked at once a second.
        async with self._looking:
            now_s = anyio.current_time()
            if self._looked is not None and now_s - self._looked[0] < LOOK_S:
                return self._looked[1]
            found = False
            try:
                with anyio.move_on_after(PATIENCE_S):
                    ledger = self.team.house.ledger
                    look = partial(team_reads.answers, ledger)
                    await anyio.to_thread.run_sync(look, abandon_on_cancel=True)
                    found = True
            except LedgerError as error:
                log().error("the ledger does not answer", error=scrubbed(str(error)))
            self._looked = (anyio.current_time(), found)
            return found

    async def questions(self, request: Request) -> Response:
        """List the questions that wait for a person, as far as the token may see."""
        token = _token(request)
        status = request.query_params.get("status", "needs_approval")
        if status != "needs_approval":
            raise Problem(
                400, "invalid_request", "status: only needs_approval is known."
            )
        project, user = _reach(token)
        since_us = to_us(self.team.house.now() - WAITING_FOR)
        rows = await _in_thread(
            lambda: team_reads.waiting(
                self.team.house.ledger,
                project=project,
                user=user,
                since_us=since_us,
                limit=_MOST_WAITING,
            )
        )
        return _json({"questions": [_waiting(row) for row in rows]})

    async def approve(self, request: Request) -> Response:
        """Put a person's word on a question on record."""
        token = _token(request)
        word = read(Word, await _body(request))
        house = self.team.house
        row = await _in_thread(
            lambda: team_reads.question_of(house.ledger, word.question_id)
        )
        project, user = _reach(token)
        if (
            row is None
            or (project is not None and row.project != project)
            or (user is not None and row.user != user)
        ):
            raise Problem(404, "not_found", _NO_QUESTION.format(word.question_id))
        if not may(token, "approve", row.project):
            raise _forbidden(token, "approves no questions")
        if row.status != "needs_approval":
            raise Problem(
                409,
                "conflict",
                f"{word.question_id} waits for nobody: its status is {row.status!r}.",
            )
        if house.settings.storage == "none" and word.scope != "task":
            raise Problem(
                409,
                "conflict",
                "With `storage: none` nothing tells that the same question comes "
                "again; approve its task, or set `storage: hash` or more.",
            )
        await self.team.root.approve(
            word.question_id, scope=word.scope, by=said_by(token), caller=None
        )
        return _json({"question_id": word.question_id, "scope": word.scope})

    async def usage(self, request: Request) -> Response:
        """Show who spent what in which project, this day, week and month."""
        house = self.team.house
        project, user = _reach(_token(request))
        now = house.now()
        found: dict[str, object] = {}
        for scope in WINDOWS:
            start_us, end_us = window(scope, now, house.zone)
            rows = await _in_thread(
                partial(
                    team_reads.spent,
                    house.ledger,
                    project=project,
                    user=user,
                    since_us=start_us,
                )
            )
            found[scope] = {
                "since": moment(start_us),
                "until": moment(end_us),
                "spent": [_spent(row) for row in rows],
            }
        return _json(found)

    async def tokens(self, request: Request) -> Response:
        """List the tokens of the project, or all for an owner."""
        token = _token(request)
        if not may(token, "issue", token.project):
            raise _forbidden(token, "sees no tokens")
        ledger, now_us = self.team.house.ledger, self.team.house.now_us()
        every = await _in_thread(lambda: access_tokens.every(ledger))
        shown = [each for each in every if may(token, "issue", each.project)]
        return _json({"tokens": [tokens.as_json(each, now_us) for each in shown]})

    async def issue(self, request: Request) -> Response:
        """Issue a token; its secret is in this reply and nowhere else."""
        by = _token(request)
        asked = read(NewToken, await _body(request))
        house = self.team.house
        now = house.now()
        new = asked.made(by, now)
        trouble = issue_trouble(by, new)
        if trouble is not None:
            raise Problem(403, "forbidden", trouble)
        masked = masked_trouble(new, house.masker.scrub)
        if masked is not None:
            raise Problem(400, "invalid_request", masked)

        def add() -> str:
            if new.policy is not None:
                house.under(presets.load(new.policy, home=house.home))
            secret = access.new_secret()
            access_tokens.add(
                house.ledger,
                new,
                digest=access.digest(secret),
                at_us=to_us(now),
                by=new.by,
                issuer=by.id,
            )
            return secret

        secret = await _in_thread(add)
        return _json({"token": secret, **tokens.as_json(new, to_us(now))}, 201)

    async def revoke(self, request: Request) -> Response:
        """End a token for good."""
        by = _token(request)
        name = str(request.path_params["name"])
        house = self.team.house
        found = await _in_thread(
            lambda: access_tokens.named(house.ledger, name) if is_name(name) else None
        )
        if not may(by, "issue", by.project):
            raise _forbidden(by, "revokes no tokens")
        if found is None or not may(by, "issue", found.project):
            raise Problem(404, "not_found", f"There is no token {name[:80]!r} here.")
        if found.role != "member" and not may(by, "manage", found.project):
            raise _forbidden(by, "revokes tokens of members only")
        now_us = house.now_us()
        said = await _in_thread(
            lambda: tokens.revoke(house.ledger, name, now_us=now_us, by=said_by(by))
        )
        return _json({"name": name, "said": said})


def _guarded(handler: Handler) -> Handler:
    """Return the handler with what goes wrong put into words."""

    async def serve(request: Request) -> Response:
        try:
            return await handler(request)
        except Problem as problem:
            return complaint(problem.status, problem.error, problem.description)
        except NameTakenError as error:
            return complaint(409, "conflict", str(error))
        except LedgerError as error:
            log().error("the ledger cannot be used", error=scrubbed(str(error)))
            return complaint(
                503,
                "unavailable",
                "The ledger cannot be used; try again.",
                {"Retry-After": "2"},
            )
        except AskExpertError as error:
            return complaint(400, "invalid_request", scrubbed(str(error)))

    return serve


def _token(request: Request) -> AccessToken:
    token = request.scope.get(SCOPE_KEY)
    if not isinstance(token, AccessToken):
        raise Problem(
            403, "forbidden", "This server runs without tokens: it knows no roles."
        )
    return token


async def _body(request: Request) -> object:
    try:
        return cast("object", await request.json())
    except (ValueError, RecursionError) as error:
        raise Problem(400, "invalid_request", "The body is no JSON.") from error


def _reach(token: AccessToken) -> tuple[str | None, str | None]:
    """Return the project and the user that a token sees; None is all of them."""
    if may(token, "manage", token.project):
        return None, None
    if may(token, "see", token.project):
        return token.project, None
    return token.project, token.user


def _forbidden(token: AccessToken, what: str) -> Problem:
    return Problem(403, "forbidden", f"A {token.role}'s token {what}.")


def _waiting(row: Any) -> dict[str, object]:
    texts = cast("dict[str, str]", row.texts or {})
    text = texts.get("question")
    worst = row.worst_case_nusd
    return {
        "question_id": row.id,
        "asked_at": moment(row.created_us),
        "user": row.user,
        "project": row.project,
        "agent": row.agent,
        "task": row.task,
        "question": text if text is None else text[:_SHOWN_CHARS],
        "worst_case_usd": None if worst is None else _usd(worst),
        "why": f"{row.rule}: {row.reason}",
    }


def _spent(row: Any) -> dict[str, object]:
    return {
        "user": row.user,
        "project": row.project,
        "spent_usd": _usd(row.cost_nusd),
        "held_usd": _usd(row.held_nusd),
        "calls": row.calls,
    }


def _usd(nusd: int) -> str | None:
    return usd_text(nusd, by_subscription=False)


def _json(fields: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse(fields, status, headers={"Cache-Control": "no-store"})


async def _in_thread(work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work)
