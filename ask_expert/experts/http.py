"""
The one module that sends: one try over HTTP, never two.

`httpx2` is httpx's maintained line. Whoever calls reserves money for each try, so
nothing in here retries, follows a redirect or keeps a cookie.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx2 as httpx

from ask_expert.errors import (
    ConfigError,
    ExpertError,
    ExpertRejectedError,
    ExpertReplyError,
    ExpertUnavailableError,
)
from ask_expert.experts import body as bodies
from ask_expert.experts.echo import (
    keys_sent,
    text_without_key,
    without_key,
    without_start_of_key,
)
from ask_expert.experts.failures import complaint
from ask_expert.experts.framing import framing_for
from ask_expert.experts.incoming import MOST_BYTES, Incoming
from ask_expert.experts.inflate import Inflater, UnreadableError
from ask_expert.experts.reading import request_id
from ask_expert.experts.wire import Wire, WireRequest
from ask_expert.reply import ExpertAnswer
from ask_expert.settings import ExpertSettings

__all__ = ["MOST_BYTES", "new_client", "send"]

_CONNECT_S = 15.0
_TAIL_S = 5.0
_GENERATION_ID = "x-generation-id"
_BEFORE_SENDING = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)


def new_client() -> httpx.AsyncClient:
    """
    Return a client; proxies and certificates come from the environment.

    Only connecting has a time limit of its own: a model may think for minutes
    before its first byte, and `send` bounds the whole.
    """
    return httpx.AsyncClient(
        follow_redirects=False,
        timeout=httpx.Timeout(None, connect=_CONNECT_S, pool=_CONNECT_S),
        limits=httpx.Limits(
            max_connections=64, max_keepalive_connections=8, keepalive_expiry=5
        ),
        headers={"user-agent": "ask-expert", "accept-encoding": "gzip"},
        # A proxy of the environment has no way to this machine's own loopback.
        mounts={f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")},
    )


async def send(  # noqa: PLR0913  # two of them only listen
    client: httpx.AsyncClient,
    expert: ExpertSettings,
    wire: Wire,
    request: WireRequest,
    *,
    key: str | None,
    deadline_s: float,
    watch: Callable[[int], None] | None = None,
    heard: Callable[[str], None] | None = None,
) -> ExpertAnswer:
    """
    Send one request, once, and return the answer.

    An answer whose stream breaks after its first text is given as far as it came:
    its `finish` is `partial`, and its `finish_reason` says what broke.

    Args:
        client: From `new_client`.
        expert: Who is asked.
        wire: How.
        request: The final bytes.
        key: The expert's key, if it needs one. What authenticates the request is taken
            out of answers and errors, whoever made it.
        deadline_s: For connecting, sending and reading together, in seconds.
        watch: Called with the characters of the answer so far, while a stream comes.
        heard: Called with each id that the provider gives the request, as it comes.

    Raises:
        ExpertUnavailableError: No connection, or a status worth another try.
        ExpertRejectedError: A status that no retry mends, or a redirect.
        ExpertReplyError: The reply broke off before any text, timed out, is too
            large or makes no sense; it may be billed.
        ConfigError: The key or the address cannot be sent at all.
    """
    came = _Came(watch=watch, heard=heard)
    broke: _Broke | None = None
    try:
        with anyio.fail_after(deadline_s) as scope:
            await _exchange(
                client, expert, wire, request, key=key, came=came, scope=scope
            )
    except TimeoutError as error:
        late = _late(expert, deadline_s, sent=came.sent)
        broke = _Broke(f"deadline of {deadline_s:g} s", late, error)
    except httpx.TransportError as error:
        what = f"stream broke: {type(error).__name__}"
        broke = _Broke(what, _broken(expert, error, sent=came.sent), error)
    except httpx.InvalidURL as error:
        raise ConfigError(
            f"base_url of expert {expert.name!r} is no address."
        ) from error
    except UnreadableError as error:
        early = isinstance(error, _EndedError)
        what = "stream ended early" if early else f"stream broke: it {error}"
        broke = _Broke(what, _unread(expert, error), error)
    if came.stream is not None:
        return _streamed(expert, wire, came, came.stream, broke=broke)
    if broke is not None:
        raise broke.failure from broke.cause
    return _in_one_piece(expert, wire, came)


@dataclass(slots=True, kw_only=True)
class _Came:
    """
    What has come of a request so far.

    Attributes:
        watch: See `send`.
        heard: See `send`.
        sent: The first byte of the body was about to leave.
        sent_at: When that was, on the monotonic clock.
        keys: What authenticates the request, and must not come back.
        status: HTTP status.
        headers: Names in lower case, without the keys.
        body: What came in one piece, decompressed.
        stream: What comes in pieces.
    """

    watch: Callable[[int], None] | None
    heard: Callable[[str], None] | None
    sent: bool = False
    sent_at: float = field(default_factory=time.monotonic)
    keys: tuple[str, ...] = ()
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    stream: Incoming | None = None

    async def trace(self, event: str, info: Mapping[str, object]) -> None:
        """Take note of the client's own steps."""
        method = getattr(info.get("request"), "method", b"")
        if event.endswith("send_request_body.started") and method != b"CONNECT":
            self.sent = True
            self.sent_at = time.monotonic()

    def take(self, response: httpx.Response) -> None:
        """Take over status and headers; a server may quote a key in either part of these."""
        names = [key.lower() for key in self.keys]
        self.status = response.status_code
        self.headers = {
            text_without_key(name.lower(), *names): text_without_key(value, *self.keys)
            for name, value in response.headers.items()
        }
        for told in (request_id(self.headers), self.headers.get(_GENERATION_ID)):
            if told and self.heard is not None:
                self.heard(told)


@dataclass(frozen=True, slots=True)
class _Broke:
    """What broke: in words for the record, as an error, and what caused it."""

    what: str
    failure: ExpertError
    cause: Exception


async def _exchange(
    client: httpx.AsyncClient,
    expert: ExpertSettings,
    wire: Wire,
    request: WireRequest,
    *,
    key: str | None,
    came: _Came,
    scope: anyio.CancelScope,
) -> None:
    """Send, and keep what comes where it survives an end in the middle."""
    base = request.base_url or wire.default_base_url
    url = bodies.base_url(expert, base) + request.path
    auth = await _auth(expert, wire, key, url=url, body=request.body)
    came.keys = keys_sent(auth, key)
    async with client.stream(
        "POST",
        url,
        content=request.body,
        headers={**request.headers, **auth},
        extensions={"trace": came.trace},
    ) as response:
        came.take(response)
        encoding = came.headers.get("content-encoding", "")
        framing = framing_for(came.headers.get("content-type", ""))
        if framing is not None and httpx.codes.is_success(came.status):
            came.stream = Incoming(
                framing=framing,
                inflater=Inflater(encoding),
                reply=wire.gather(),
                sent_at=came.sent_at,
                watch=came.watch,
                heard=came.heard,
            )
            await _follow(response, came.stream, scope)
            return
        try:
            came.body = await _read(response, Inflater(encoding))
        except (httpx.TransportError, UnreadableError):
            if httpx.codes.is_success(came.status):
                raise  # of another status, the status says enough


async def _auth(
    expert: ExpertSettings, wire: Wire, key: str | None, *, url: str, body: bytes
) -> dict[str, str]:
    if wire.own_credentials:
        sendable = _sendable(expert, key) if key else ""
        return await anyio.to_thread.run_sync(
            lambda: wire.auth(expert, sendable, url=url, body=body)
        )
    if key is None:
        return {}
    return wire.auth(expert, _sendable(expert, key), url=url, body=body)


async def _follow(
    response: httpx.Response, stream: Incoming, scope: anyio.CancelScope
) -> None:
    """
    Take a stream to its end.

    After the answer's own end only counts may follow: a server that holds the
    connection open then is not waited for.
    """
    deadline = scope.deadline
    async for raw in response.aiter_raw():
        for had_event in stream.feed(raw):
            if had_event and stream.reply.is_whole:
                scope.deadline = min(deadline, anyio.current_time() + _TAIL_S)
            await anyio.lowlevel.checkpoint()
    stream.end()
    if not stream.reply.is_whole:
        raise _EndedError("ended early")


class _EndedError(UnreadableError):
    """The stream came to its end before the answer did."""


async def _read(response: httpx.Response, inflater: Inflater) -> bytes:
    plain = bytearray()
    packed = 0
    async for raw in response.aiter_raw():
        packed += len(raw)
        for part in inflater.feed(raw):
            plain += part
            if max(packed, len(plain)) > MOST_BYTES:
                raise UnreadableError(f"is larger than {MOST_BYTES:,} bytes")
    inflater.end()
    return bytes(plain)


def _in_one_piece(expert: ExpertSettings, wire: Wire, came: _Came) -> ExpertAnswer:
    body = without_key(came.body, *came.keys)
    if httpx.codes.is_success(came.status):
        return _decoded(expert, wire, came, body)
    if httpx.codes.is_redirect(came.status):
        raise _redirected(expert, came.status, came.headers)
    raise wire.failure(expert, came.status, came.headers, body)


def _decoded(
    expert: ExpertSettings, wire: Wire, came: _Came, body: bytes
) -> ExpertAnswer:
    """Return the answer; a key may come to light where its text is put together."""
    answer = wire.decode(expert, body, came.headers)
    return replace(answer, text=text_without_key(answer.text, *came.keys))


def _streamed(
    expert: ExpertSettings,
    wire: Wire,
    came: _Came,
    stream: Incoming,
    *,
    broke: _Broke | None,
) -> ExpertAnswer:
    """Read what a stream left: the answer, a part of it, or why there is none."""
    stream.look()
    body = without_key(stream.reply.body(), *came.keys)
    whole = stream.reply.is_whole
    said = None if whole else complaint(body)
    has_text = bool(stream.reply.text.strip())
    if broke is not None and not (whole or has_text or said):
        raise broke.failure from broke.cause
    answer = _decoded(expert, wire, came, body)
    answer = replace(answer, first_token_us=stream.first_token_us)
    if broke is None or whole:
        return answer
    what = f"stream broke: {said}" if said else broke.what
    return _partial(answer, what, came.keys)


def _partial(answer: ExpertAnswer, what: str, keys: tuple[str, ...]) -> ExpertAnswer:
    """Mark an answer as broken off; what its output costs is not told any more."""
    usage = answer.usage
    if usage.source == "provider":
        usage = replace(usage, source="partial")
    return replace(
        answer,
        text=without_start_of_key(answer.text, *keys),
        finish="partial",
        usage=usage,
        provenance=replace(answer.provenance, finish_reason=what),
    )


def _unread(expert: ExpertSettings, error: UnreadableError) -> ExpertReplyError:
    return ExpertReplyError(expert.name, f"the reply {error}; it may have been billed.")


def _sendable(expert: ExpertSettings, key: str) -> str:
    """Refuse a key that HTTP cannot carry here, lest the error further on quotes it."""
    if key and key.isascii() and key.isprintable() and " " not in key:
        return key
    raise ConfigError(
        f"the key of expert {expert.name!r} is empty or holds characters that no "
        "key has; set it again."
    )


def _late(expert: ExpertSettings, deadline_s: float, *, sent: bool) -> ExpertError:
    if sent:
        return ExpertReplyError(
            expert.name, f"no reply within {deadline_s:g} s; it may have been billed."
        )
    return ExpertUnavailableError(
        expert.name, f"no connection within {deadline_s:g} s.", billed="no"
    )


def _broken(
    expert: ExpertSettings, error: httpx.TransportError, *, sent: bool
) -> ExpertError:
    what = type(error).__name__
    if sent and not isinstance(error, _BEFORE_SENDING):
        return ExpertReplyError(
            expert.name, f"the connection broke ({what}); it may have been billed."
        )
    host = urlsplit(expert.base_url or "").netloc or "the vendor's address"
    return ExpertUnavailableError(
        expert.name, f"cannot reach {host} ({what}).", billed="no"
    )


def _redirected(
    expert: ExpertSettings, status: int, headers: Mapping[str, str]
) -> ExpertRejectedError:
    where = ""
    with contextlib.suppress(ValueError):  # an address that is none
        target = urlsplit(headers.get("location", ""))
        where = f" to {target.scheme}://{target.hostname}" if target.hostname else ""
    return ExpertRejectedError(
        expert.name,
        f"HTTP {status}: redirected{where}, which is not followed, since the key "
        "would go along. Set `base_url` to the final address.",
        http_status=status,
        request_id=request_id(headers),
    )
