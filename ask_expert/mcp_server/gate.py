"""
What every HTTP request passes before anything is done for it.

Its Host and Origin, its token, and that its body comes whole, soon, and is not too
long. Health stands before the gate: whoever balances the load holds no token.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import anyio
from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken as Principal
from mcp.server.transport_security import (
    RequestBodyLimitMiddleware,
    TransportSecurityMiddleware,
    TransportSecuritySettings,
)
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ask_expert.access import AccessToken
from ask_expert.errors import LedgerError
from ask_expert.mcp_server.bearer import SCOPE_KEY, Tokens, TurnedAway
from ask_expert.mcp_server.logs import log, scrubbed
from ask_expert.mcp_server.team import Team

MCP: Final = "/mcp"
"""Where the protocol is spoken."""

HEALTH: Final = "/health/"
BODY_S: Final = 30.0
"""How long a request's body may take to come, in seconds."""

NOT_FOUND: Final = 404

_MISDIRECTED = {421: "wrong_host", 403: "wrong_origin"}
_DESCRIBED = {
    "wrong_host": "This server does not go by the name in the Host header; it is "
    "started with `--allow-host NAME` to do so.",
    "wrong_origin": "Pages of this origin may not call this server; it is started "
    "with `--allow-origin ORIGIN` to let them.",
}


class _TooSlowError(Exception):
    """The body did not come in time."""


def complaint(
    status: int, error: str, description: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an error in the form that all of them have here."""
    fields = {"error": error, "error_description": description}
    return JSONResponse(fields, status, headers={**_NO_STORE, **(headers or {})})


async def said_in_json(request: Request, error: Exception) -> Response:
    """Return what the web framework would say in plain text, as a complaint."""
    if isinstance(error, HTTPException):
        code = "not_found" if error.status_code == NOT_FOUND else "invalid_request"
        what = f"{request.method} {request.url.path[:80]}: {error.detail}."
        return complaint(error.status_code, code, what, error.headers)
    return complaint(
        500, "internal", f"An internal error ({type(error).__name__}); see the log."
    )


_NO_STORE = {"Cache-Control": "no-store"}


@dataclass(slots=True, kw_only=True)
class Gate:
    """
    Stands before the application.

    Attributes:
        app: What is done for a request that passed.
        team: Who answers; says whether the server is ending.
        tokens: Who is let in; None lets in everybody.
        security: Whose Host and Origin are taken.
        max_body: Most bytes of a body.
        body_s: How long a body may take to come, in seconds.
    """

    app: ASGIApp
    team: Team
    tokens: Tokens | None
    security: TransportSecuritySettings
    max_body: int
    body_s: float = BODY_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = self._closing(send)
        if scope["path"].startswith(HEALTH):
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        turned_away = await self._misdirected(request) or await self._let_in(request)
        if turned_away is not None:
            await turned_away(scope, receive, send)
            return
        try:
            await self._serve(scope, self._patient(receive), send)
        except _TooSlowError:
            late = complaint(
                408,
                "too_slow",
                f"The body did not come within {self.body_s:g} s.",
                {"Connection": "close"},
            )
            await late(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        limited = RequestBodyLimitMiddleware(self.app, self.max_body)
        # The SDK binds what it seals to the principal that it finds here.
        known = auth_context_var.set(scope.get("user"))
        try:
            await limited(scope, receive, send)
        finally:
            auth_context_var.reset(known)

    async def _misdirected(self, request: Request) -> Response | None:
        found = await TransportSecurityMiddleware(self.security).validate_request(
            _in_small_letters(request)
        )
        if found is not None:
            error = _MISDIRECTED[found.status_code]
            return complaint(found.status_code, error, _DESCRIBED[error])
        if request.url.path == MCP and request.method != "POST":
            # Nothing is sent but answers, and there are no sessions to end.
            return complaint(
                405, "post_only", "This server takes POST here.", {"Allow": "POST"}
            )
        return None

    async def _let_in(self, request: Request) -> Response | None:
        if self.tokens is None:
            return None
        try:
            found = await self.tokens.check(request.headers.get("authorization"))
        except LedgerError as error:
            log().error("tokens cannot be read", error=scrubbed(str(error)))
            return complaint(
                503,
                "unavailable",
                "The ledger that holds the access tokens cannot be read; try again.",
                {"Retry-After": "2"},
            )
        if isinstance(found, AccessToken):
            request.scope[SCOPE_KEY] = found
            request.scope["user"] = AuthenticatedUser(
                Principal(token="", client_id=found.id, scopes=[], subject=found.user)
            )
            return None
        return _unauthorized(request, found)

    def _patient(self, receive: Receive) -> Receive:
        deadline = anyio.current_time() + self.body_s
        whole = False

        async def hear() -> Message:
            nonlocal whole
            if whole:
                return await receive()
            with anyio.move_on_at(deadline):
                message = await receive()
                whole = not message.get("more_body", False)
                return message
            raise _TooSlowError

        return hear

    def _closing(self, send: Send) -> Send:
        """While the server ends, no connection is kept for another request."""

        async def say(message: Message) -> None:
            if message["type"] == "http.response.start" and self.team.draining:
                headers = [
                    each for each in message["headers"] if each[0] != b"connection"
                ]
                message["headers"] = [*headers, (b"connection", b"close")]
            await send(message)

        return say


def _in_small_letters(request: Request) -> Request:
    """Return a request with its Host and Origin, whose case means nothing, made small."""
    headers = [
        (name, value.lower() if name in {b"host", b"origin"} else value)
        for name, value in request.scope["headers"]
    ]
    return Request({**request.scope, "headers": headers})


def _unauthorized(request: Request, why: TurnedAway) -> Response:
    client = request.client.host if request.client else "unknown"
    log().warning("turned away", client=client, why=why.description)
    challenge = 'Bearer realm="ask-expert"'
    if why.error:
        challenge += f', error="{why.error}"'
    return complaint(
        401,
        why.error or "missing_token",
        why.description,
        {"WWW-Authenticate": challenge},
    )
