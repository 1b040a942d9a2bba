"""
The one module that sends: one try over HTTP, never two.

`httpx2` is httpx's maintained line. Whoever calls reserves money for each try, so
nothing in here retries, follows a redirect or keeps a cookie.
"""

import zlib
from collections.abc import Mapping
from urllib.parse import urlsplit

import anyio
import httpx2 as httpx

from ask_expert.errors import (
    ConfigError,
    ExpertError,
    ExpertRejectedError,
    ExpertReplyError,
    ExpertUnavailableError,
)
from ask_expert.experts import body as bodies
from ask_expert.experts.reading import request_id
from ask_expert.experts.wire import Wire, WireRequest
from ask_expert.reply import ExpertAnswer
from ask_expert.settings import ExpertSettings

MOST_BYTES = 8_000_000
"""A longer reply, before or after decompression, is broken off."""

_CONNECT_S = 15.0
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_LEAST_KEY = 8
_BEFORE_SENDING = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)


class _TooLargeError(Exception):
    """The reply is over `MOST_BYTES`."""


class _GarbledError(Exception):
    """The reply's compression is broken, or not what was asked for."""


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


async def send(
    client: httpx.AsyncClient,
    expert: ExpertSettings,
    wire: Wire,
    request: WireRequest,
    *,
    key: str | None,
    deadline_s: float,
) -> ExpertAnswer:
    """
    Send one request, once, and return the answer.

    Args:
        client: From `new_client`.
        expert: Who is asked.
        wire: How.
        request: The final bytes.
        key: The expert's key, if it needs one; it is in no error's text.
        deadline_s: For connecting, sending and reading together, in seconds.

    Raises:
        ExpertUnavailableError: No connection, or a status worth another try.
        ExpertRejectedError: A status that no retry mends, or a redirect.
        ExpertReplyError: The reply broke off, timed out, is too large or makes no
            sense; it may be billed.
        ConfigError: The key or the address cannot be sent at all.
    """
    sent = _Sent()
    try:
        with anyio.fail_after(deadline_s):
            status, headers, body = await _exchange(
                client, expert, wire, request, key=key, sent=sent
            )
    except TimeoutError as error:
        raise _late(expert, deadline_s, sent=bool(sent)) from error
    except httpx.TransportError as error:
        raise _broken(expert, error, sent=bool(sent)) from error
    except httpx.InvalidURL as error:
        raise ConfigError(
            f"base_url of expert {expert.name!r} is no address."
        ) from error
    except (_TooLargeError, _GarbledError) as error:
        raise ExpertReplyError(
            expert.name, f"the reply {error}; it may have been billed."
        ) from error
    if key is not None and len(key) >= _LEAST_KEY:
        body = body.replace(key.encode(), b"[key]")  # some servers quote it back
    if httpx.codes.is_success(status):
        return wire.decode(expert, body, headers)
    if httpx.codes.is_redirect(status):
        raise _redirected(expert, status, headers)
    raise wire.failure(expert, status, headers, body)


class _Sent:
    """Turns true when the first byte of the body is about to leave."""

    def __init__(self) -> None:
        self._sent = False

    def __bool__(self) -> bool:
        return self._sent

    async def trace(self, event: str, info: Mapping[str, object]) -> None:
        method = getattr(info.get("request"), "method", b"")
        if event.endswith("send_request_body.started") and method != b"CONNECT":
            self._sent = True


async def _exchange(
    client: httpx.AsyncClient,
    expert: ExpertSettings,
    wire: Wire,
    request: WireRequest,
    *,
    key: str | None,
    sent: _Sent,
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers in lower case, and the body decompressed."""
    url = bodies.base_url(expert, wire.default_base_url) + request.path
    auth = wire.auth(_sendable(expert, key)) if key is not None else {}
    async with client.stream(
        "POST",
        url,
        content=request.body,
        headers={**request.headers, **auth},
        extensions={"trace": sent.trace},
    ) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
        try:
            raw = await _read(response)
            body = _decompressed(raw, headers.get("content-encoding", ""))
        except (httpx.TransportError, _TooLargeError, _GarbledError):
            if httpx.codes.is_success(response.status_code):
                raise
            body = b""  # the status says enough
        return response.status_code, headers, body


async def _read(response: httpx.Response) -> bytes:
    raw = bytearray()
    async for chunk in response.aiter_raw():
        raw += chunk
        if len(raw) > MOST_BYTES:
            raise _TooLargeError(f"is larger than {MOST_BYTES:,} bytes")
    return bytes(raw)


def _decompressed(raw: bytes, encoding: str) -> bytes:
    """Return the plain bytes; a bomb is given up at `MOST_BYTES`, not inflated."""
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return raw
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise _GarbledError(f"is compressed as {encoding[:40]!r}, unasked")
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        plain = inflater.decompress(raw, MOST_BYTES + 1)
    except zlib.error as error:
        raise _GarbledError("has broken compression") from error
    if len(plain) > MOST_BYTES:
        raise _TooLargeError(f"is larger than {MOST_BYTES:,} bytes")
    if not inflater.eof:
        raise _GarbledError("ends in the middle of its compression")
    return plain


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
    target = urlsplit(headers.get("location", ""))
    where = f" to {target.scheme}://{target.hostname}" if target.hostname else ""
    return ExpertRejectedError(
        expert.name,
        f"HTTP {status}: redirected{where}, which is not followed, since the key "
        "would go along. Set `base_url` to the final address.",
        http_status=status,
        request_id=request_id(headers),
    )
