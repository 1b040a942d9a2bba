"""
Ask a provider for its own record of one request: what it billed, answer or none.

Few keep one that can be asked for. Anthropic, Gemini, Bedrock and Vertex have none of
a single request; OpenAI's can be fetched only of responses that it stored, and it is
asked to store none. A wire whose provider keeps one has the two methods of
`KeepsRecords` besides those of `Wire`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, runtime_checkable

import anyio

from ask_expert.errors import AskExpertError, ExpertError
from ask_expert.experts import body as bodies
from ask_expert.experts import http
from ask_expert.experts.inflate import Inflater, UnreadableError
from ask_expert.experts.registry import WIRES, wire_for
from ask_expert.experts.wire import Wire
from ask_expert.reply import Usage
from ask_expert.settings import ExpertSettings

_DEADLINE_S = 15.0
_MOST_BYTES = 500_000
_NOT_FOUND = 404
_OK = 200
_OF_ALL = {401, 403, 429}
"""Statuses by which a provider answers whatever it is asked for just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """
    What a provider has on record of one request.

    Attributes:
        cost_usd: What it billed; 0 if nothing.
        usage: Its counts; None where it names none.
        served_model: The model that worked.
        provider: The upstream that served it.
        finish_reason: Why it stopped.
    """

    cost_usd: Decimal
    usage: Usage | None = None
    served_model: str | None = None
    provider: str | None = None
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRecord:
    """
    Why there is no record of a request.

    Attributes:
        why: For people, as half a sentence.
        unreachable: The provider could not say; asked later, it may.
        of_all: Nor could it say now of any other request, so it need not be asked.
    """

    why: str
    unreachable: bool = False
    of_all: bool = False


@runtime_checkable
class KeepsRecords(Protocol):
    """What a wire can do besides, whose provider tells what one request cost."""

    def record_path(self, request_id: str) -> str | None:
        """Return where the record of a request is; None if it is no id of that kind."""
        ...

    def record(
        self,
        expert: ExpertSettings,
        request_id: str,
        body: bytes,
        headers: Mapping[str, str],
    ) -> UsageRecord | None:
        """
        Return the record in a reply of status 200; None while it tells no cost.

        Raises:
            ExpertReplyError: It makes no sense.
        """
        ...


def keeper(expert: ExpertSettings) -> KeepsRecords | None:
    """
    Return what asks an expert's provider for records; None where there are none.

    Raises:
        ConfigError: There is no such wire.
    """
    wire = wire_for(expert.api)
    if bodies.served_by(expert, wire.default_base_url, "openrouter.ai"):
        wire = wire_for("openrouter")
    return wire if isinstance(wire, KeepsRecords) else None


def better(expert: ExpertSettings, known: str | None, told: str) -> str:
    """Return which of two ids of one request to keep: the one to ask by, or the first."""
    found = keeper(expert)
    if known is None or (found is not None and found.record_path(told) is not None):
        return told
    return known


def cannot_ask(expert: ExpertSettings | None, request_id: str | None) -> str | None:
    """Return why a provider cannot be asked for a record at all; None if it can be."""
    if expert is None:
        return "the expert is not in the settings any more"
    try:
        found = keeper(expert)
    except AskExpertError as error:
        return str(error).rstrip(".")
    if found is None:
        return "its provider keeps no record that can be asked for"
    if request_id is None or found.record_path(request_id) is None:
        return "the call ended before the provider named it"
    return None


def is_of_another(expert: ExpertSettings, request_id: str | None) -> bool:
    """
    Return whether an id shows that a provider keeps its record, but not this expert's.

    Then the expert's name meant another one where the request was sent. So it may
    have where this expert's wire is not to be had.
    """
    try:
        if keeper(expert) is not None or request_id is None:
            return False
    except AskExpertError:
        return True
    wires = map(wire_for, WIRES)
    return any(
        isinstance(wire, KeepsRecords) and wire.record_path(request_id) is not None
        for wire in wires
    )


async def ask(
    client: http.httpx.AsyncClient,
    expert: ExpertSettings,
    request_id: str,
    *,
    key: str | None,
) -> UsageRecord | NoRecord:
    """
    Ask for the record of a request; reading it costs nothing.

    Args:
        client: From `http.new_client`.
        expert: Who was asked, as the settings have it now.
        request_id: The provider's id, one that `cannot_ask` has no reason against.
        key: The expert's key, if it needs one.
    """
    found = keeper(expert)
    path = None if found is None else found.record_path(request_id)
    if found is None or path is None:
        return NoRecord(why=cannot_ask(expert, request_id) or "it has no id")
    reply = await _reply(client, expert, path, key=key)
    if isinstance(reply, NoRecord):
        return reply
    try:
        record = found.record(expert, request_id, reply.body, reply.headers)
    except ExpertError as error:
        return NoRecord(why=f"its record is unreadable: {error}", unreachable=True)
    return record or NoRecord(why="the provider's record names no cost (yet)")


@dataclass(frozen=True, slots=True)
class _Reply:
    """A reply of status 200."""

    headers: Mapping[str, str]
    body: bytes


async def _reply(
    client: http.httpx.AsyncClient,
    expert: ExpertSettings,
    path: str,
    *,
    key: str | None,
) -> _Reply | NoRecord:
    wire = wire_for(expert.api)
    url = bodies.base_url(expert, wire.default_base_url) + path
    try:
        with anyio.fail_after(_DEADLINE_S):
            status, headers, body = await _get(client, expert, wire, url, key=key)
    except TimeoutError:
        why = f"no reply within {_DEADLINE_S:g} s"
        return NoRecord(why=why, unreachable=True, of_all=True)
    except (http.httpx.TransportError, http.httpx.InvalidURL) as error:
        why = f"it could not be reached ({type(error).__name__})"
        return NoRecord(why=why, unreachable=True, of_all=True)
    except UnreadableError as error:
        return NoRecord(why=f"its record {error}", unreachable=True)
    except AskExpertError as error:
        why = f"it could not be asked: {error}"
        return NoRecord(why=why, unreachable=True, of_all=True)
    if status == _OK:
        return _Reply(headers, body)
    why = f"the provider answered HTTP {status}"
    if status == _NOT_FOUND:
        why = "the provider knows no such request (yet)"
    return NoRecord(why=why, unreachable=status != _NOT_FOUND, of_all=status in _OF_ALL)


async def _get(
    client: http.httpx.AsyncClient,
    expert: ExpertSettings,
    wire: Wire,
    url: str,
    *,
    key: str | None,
) -> tuple[int, dict[str, str], bytes]:
    auth = {} if key is None else wire.auth(expert, key, url=url, body=b"")
    asked = {"accept": "application/json", **auth}
    async with client.stream("GET", url, headers=asked) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        inflater = Inflater(headers.get("content-encoding", ""))
        plain = bytearray()
        async for raw in response.aiter_raw():
            for part in inflater.feed(raw):
                plain += part
                if len(plain) > _MOST_BYTES:
                    raise UnreadableError(f"is larger than {_MOST_BYTES:,} bytes")
        inflater.end()
        return response.status_code, headers, bytes(plain)
