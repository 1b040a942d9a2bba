"""Where a team's server listens, and how long it waits for a request."""

import asyncio
import json
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import uvicorn
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from ask_expert import house as houses
from ask_expert.escalation import Escalator
from ask_expert.mcp_server.gate import Gate, said_in_json
from ask_expert.mcp_server.http_server import Address, Patient
from ask_expert.mcp_server.team import Team


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("::", False),
        ("10.0.0.7", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, *, loopback: bool) -> None:
    assert Address(host=host, port=0).is_loopback is loopback


def test_a_server_goes_by_the_loopback_s_names_its_address_and_those_allowed() -> None:
    address = Address(
        host="10.0.0.7",
        port=80,
        allowed_hosts=("team.example.org",),
        allowed_origins=("https://tools.example.org",),
    )

    security = address.security()

    assert security.enable_dns_rebinding_protection
    for name in ("127.0.0.1", "localhost", "[::1]", "10.0.0.7", "team.example.org"):
        assert {name, f"{name}:*"} <= {*security.allowed_hosts}
    assert "https://tools.example.org" in security.allowed_origins
    assert "http://localhost:*" in security.allowed_origins
    assert all("10.0.0.7" not in origin for origin in security.allowed_origins)


def test_names_are_compared_in_small_letters() -> None:
    security = Address(
        host="Box.local", port=80, allowed_hosts=("Team.Example.org",)
    ).security()

    assert {"box.local", "team.example.org"} <= {*security.allowed_hosts}


def test_an_address_for_all_networks_is_no_name_to_go_by() -> None:
    security = Address(host="0.0.0.0", port=80).security()  # noqa: S104

    assert [name for name in security.allowed_hosts if name.startswith("0")] == []


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.anyio
async def test_a_body_that_does_not_come_is_not_waited_for_for_ever(
    home: Path,
) -> None:
    house = houses.build(home, environ={})
    gate = Gate(
        app=_nothing,
        team=Team(house=house, root=Escalator(house)),
        tokens=None,
        security=TransportSecuritySettings(allowed_hosts=["here"]),
        max_body=1000,
        body_s=0.05,
    )
    sent: list[Message] = []

    async def never() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "query_string": b"",
        "headers": [(b"host", b"here")],
    }
    with anyio.fail_after(20):
        await gate(scope, never, send)
    house.ledger.close()

    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


class Hasty(Patient):
    """One that does not wait long."""

    head_s = 0.1


@pytest.mark.anyio
async def test_a_head_that_does_not_come_ends_its_connection_and_no_other() -> None:
    server = uvicorn.Server(
        uvicorn.Config(_nothing, http=Hasty, ws="none", log_config=None)
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        port = listener.getsockname()[1]

        def drips(said: bytes) -> bytes:
            with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                client.sendall(said)
                return client.recv(100)

        slow = await anyio.to_thread.run_sync(drips, b"GET / HTTP/1.1\r\nHost")
        silent = await anyio.to_thread.run_sync(drips, b"")
        whole = await anyio.to_thread.run_sync(
            drips, b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
        )
        server.should_exit = True
        await serving

    assert (slow, silent) == (b"", b"")
    assert whole.startswith(b"HTTP/1.1 204")


class Narrow(Patient):
    """One that lets in few more than it serves, and is in no hurry."""

    head_s = 3600.0
    slack = 1


@pytest.mark.anyio
async def test_silent_connections_above_the_most_are_closed_at_once() -> None:
    most = 3
    config = uvicorn.Config(
        _nothing, http=Narrow, ws="none", log_config=None, limit_concurrency=most
    )
    server = uvicorn.Server(config)
    with ExitStack() as open_ones:
        listener = open_ones.enter_context(socket.create_server(("127.0.0.1", 0)))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        place = listener.getsockname()

        def one_more() -> socket.socket:
            return open_ones.enter_context(socket.create_connection(place, timeout=20))

        def is_closed(client: socket.socket) -> bool:
            try:
                return client.recv(100) == b""
            except ConnectionResetError:
                return True

        def is_told_so(client: socket.socket) -> bool:
            client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            return client.recv(100).startswith(b"HTTP/1.1 503")

        kept = [one_more() for _ in range(most + Narrow.slack)]
        closed = [await anyio.to_thread.run_sync(is_closed, one_more()) for _ in "12"]
        told = await anyio.to_thread.run_sync(is_told_so, kept[-1])
        server.should_exit = True
        await serving

    assert closed == [True, True]
    assert told


@pytest.mark.anyio
async def test_a_bug_is_told_in_json_and_without_its_text() -> None:
    request = Request({"type": "http", "method": "GET", "path": "/", "headers": []})

    reply = await said_in_json(request, RuntimeError("a detail for the log alone"))

    said = json.loads(bytes(reply.body))
    assert (reply.status_code, said["error"]) == (500, "internal")
    assert "RuntimeError" in said["error_description"]
    assert "detail" not in said["error_description"]
