"""Serve a team over HTTP: the protocol, health and the team's own API on one port."""

import asyncio
import ipaddress
import os
import secrets
import signal
import socket
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import uvicorn
from anyio.abc import TaskStatus
from mcp.server.request_state import RequestStateSecurity
from mcp.server.transport_security import (
    DEFAULT_MAX_REQUEST_BODY_SIZE,
    TransportSecuritySettings,
)
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from ask_expert import house as houses
from ask_expert.errors import ConfigError
from ask_expert.escalation import Escalator
from ask_expert.home import user_name
from ask_expert.house import House
from ask_expert.ledger import access_tokens
from ask_expert.mcp_server import logs
from ask_expert.mcp_server.approval import STATE_LIFE_S
from ask_expert.mcp_server.bearer import Tokens
from ask_expert.mcp_server.gate import MCP, Gate, said_in_json
from ask_expert.mcp_server.server import build_server
from ask_expert.mcp_server.team import HttpPeer, Team
from ask_expert.mcp_server.team_api import TeamApi
from ask_expert.question import Caller

HEAD_S: Final = 20.0
"""How long a connection may take to send the head of a request, in seconds."""

KEEP_S: Final = 75
"""How long a connection is kept for its next request, in seconds."""

MOST_CONNECTIONS: Final = 800
"""Above so many the next request is told 503: each holds a file descriptor."""

SLACK: Final = 32
"""How many more are let in to be told so; the next ones are closed at once."""

BACKLOG: Final = 32
"""
How many wait to be let in.

As many are taken at a time, before any can be closed, so it is small: all of them
together stay below 1024 file descriptors.
"""

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_ANY = {"0.0.0.0", "::"}  # noqa: S104  # compared with, never bound to
_NO_TOKENS = (
    "Refusing to listen on {host} while no access token is in use: whoever reaches the "
    "port could spend your budgets. Create the first one with `ask-expert token create "
    "NAME --user USER --project PROJECT --role owner`, then start the server again."
)
_NOT_ALONE = (
    "--no-token goes with a loopback address alone, and {host} is none: create tokens "
    "with `ask-expert token create` instead."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """
    Where and for whom the server listens.

    Attributes:
        host: Name or address that is bound.
        port: Port; 0 takes a free one.
        allowed_hosts: Names it goes by, beside those of the loopback.
        allowed_origins: Origins of pages that may call it, as browsers write them.
        trusted_proxies: Addresses whose `X-Forwarded-For` and `-Proto` are believed.
        no_token: Whether it takes requests without a token.
    """

    host: str
    port: int
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    no_token: bool = False

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def shown_host(self) -> str:
        """The host as an address on the web has it."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def security(self) -> TransportSecuritySettings:
        """Return whose Host and Origin headers are taken."""
        own = () if self.host in _ANY else (self.shown_host,)
        names = dict.fromkeys(
            each.lower() for each in (*_LOOPBACK, *own, *self.allowed_hosts)
        )
        local = [f"{way}://{name}" for way in ("http", "https") for name in _LOOPBACK]
        return TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=[each for name in names for each in (name, f"{name}:*")],
            allowed_origins=[
                *(each for origin in local for each in (origin, f"{origin}:*")),
                *self.allowed_origins,
            ],
        )


async def serve_http(home: Path, flags: Mapping[str, object], address: Address) -> None:
    """
    Serve until a signal ends it.

    After the first SIGTERM or SIGINT it is not ready any more, takes no question, and
    ends once every call in flight is booked; a second one ends the process at once,
    and what was in flight stays counted at its worst case.

    Raises:
        AskExpertError: Settings, policy, ledger, tokens or the address do not do.
    """
    logs.configure()
    house = await anyio.to_thread.run_sync(lambda: _built(home, flags, address))
    with _listening(address) as listener:
        async with anyio.create_task_group() as tasks:
            async with _opened(house) as team:
                server = _Server(_config(team, address))
                await tasks.start(_drain_on_signal, team, server)
                logs.log().info(
                    "serving",
                    url=f"http://{address.shown_host}:{listener.getsockname()[1]}{MCP}",
                    tokens="none asked for" if address.no_token else "required",
                )
                await server.serve(sockets=[listener])
                # Nobody waits any more; what was sent is booked before the end.
                await team.root.drained()
            # Signals are watched until the last call is booked.
            tasks.cancel_scope.cancel()


def _built(home: Path, flags: Mapping[str, object], address: Address) -> House:
    if address.no_token and not address.is_loopback:
        raise ConfigError(_NOT_ALONE.format(host=address.host))
    house = houses.build(home, flags=flags)
    logs.scrub_with(
        # A masker that learns of a key is another one.
        lambda text: house.masker.scrub(text),  # noqa: PLW0108
        level=house.settings.log.level,
        form=house.settings.log.format,
    )
    if not address.is_loopback and not _any_token(house):
        house.ledger.close()
        raise ConfigError(_NO_TOKENS.format(host=address.host))
    return house


def _any_token(house: House) -> bool:
    now_us = house.now_us()
    return any(
        token.trouble(now_us) is None for token in access_tokens.every(house.ledger)
    )


@contextmanager
def _listening(address: Address) -> Generator[socket.socket]:
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, where = found[0]
        both = address.host == "::" and socket.has_dualstack_ipv6()
        listener = socket.create_server(
            where[:2], family=family, backlog=BACKLOG, dualstack_ipv6=both
        )
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"It cannot listen on {address.shown_host}:{address.port}: {error}."
        ) from error
    with listener:
        yield listener


@asynccontextmanager
async def _opened(house: House) -> AsyncGenerator[Team]:
    async with Escalator(house).open() as root:
        yield Team(house=house, root=root)


def _app(team: Team, address: Address) -> ASGIApp:
    """Return all that is served, behind its gate."""
    nobody = Caller(
        session=os.environ.get("ASK_EXPERT_SESSION") or f"s_{secrets.token_hex(8)}",
        project=str(Path.cwd()),
        user=user_name(),
    )
    sealed = RequestStateSecurity(keys=[team.state_key()], ttl=STATE_LIFE_S)
    server = build_server(team, HttpPeer(nobody=nobody), security=sealed)
    longest = max(DEFAULT_MAX_REQUEST_BODY_SIZE, 2 * team.house.settings.send.max_bytes)
    inner = server.streamable_http_app(
        streamable_http_path=MCP,
        json_response=False,  # it would drop the signs of life
        stateless_http=True,
        max_request_body_size=longest,
        # The gate has looked at Host and Origin, whose case means nothing to it.
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=False
        ),
    )
    inner.router.routes.extend(TeamApi(team=team).routes())
    inner.add_exception_handler(HTTPException, said_in_json)
    inner.add_exception_handler(Exception, said_in_json)
    gate = Gate(
        app=inner,
        team=team,
        tokens=None if address.no_token else Tokens(house=team.house),
        security=address.security(),
        max_body=longest,
    )
    # A browser asks first, without the token, whether a page may call.
    return CORSMiddleware(
        gate,
        allow_origins=address.allowed_origins,
        allow_methods=("GET", "POST", "DELETE"),
        allow_headers=("*",),
        expose_headers=("WWW-Authenticate", "Retry-After"),
    )


def _config(team: Team, address: Address) -> uvicorn.Config:
    return uvicorn.Config(
        _app(team, address),
        http=Patient,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(address.trusted_proxies),
        forwarded_allow_ips=[*address.trusted_proxies],
        limit_concurrency=MOST_CONNECTIONS,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_S,
        # Every answer is `pending` by then, at the latest.
        timeout_graceful_shutdown=int(team.house.settings.answer_within_s) + 10,
    )


class _Server(uvicorn.Server):
    """Leaves the signals to us."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class Patient(H11Protocol):
    """
    Closes a connection that does not send the head of a request in time.

    One too many is closed at once: silent ones would take every file descriptor, and
    no database or expert could be reached any more.

    Attributes:
        head_s: How long it may take, in seconds.
        slack: How many connections there may be above those that are served.
    """

    head_s: float = HEAD_S
    slack: int = SLACK
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first head, unless there are too many."""
        super().connection_made(transport)
        most = self.limit_concurrency
        if most is not None and len(self.connections) > most + self.slack:
            transport.abort()
            return
        self._head_timer = self.loop.call_later(self.head_s, self._give_up)

    def data_received(self, data: bytes) -> None:
        """Wait no more for a head that is whole; begin to wait for the next one's rest."""
        super().data_received(data)
        cycle: Any = self.cycle  # None before the first request
        if cycle is not None and not cycle.response_complete:
            self._stop()
        elif self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self.head_s, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop()
        super().connection_lost(exc)

    def _stop(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


async def _drain_on_signal(
    team: Team,
    server: uvicorn.Server,
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async with anyio.create_task_group() as tasks:
            async for number in signals:
                if team.draining:
                    os._exit(128 + number)
                team.draining = True
                logs.log().warning(
                    "draining; signal again to end now", calls=team.root.calls_in_flight
                )
                tasks.start_soon(_close_when_drained, team, server)


async def _close_when_drained(team: Team, server: uvicorn.Server) -> None:
    # It goes on answering, so that whoever waits here gets the answer, and whoever
    # balances the load sees that this server is not ready.
    await team.root.drained()
    server.should_exit = True
