"""
Who comes with which bearer token.

The tokens are this server's own rows in the ledger, given by a header that never
changes: no OAuth server is behind them, so none is announced to the clients, who
would go looking for it. That is why the SDK's own middleware is not used, which also
does not guard other routes, nor say that a token expired.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
import anyio.to_thread

from ask_expert import access
from ask_expert.access import AccessToken
from ask_expert.house import House
from ask_expert.ledger import access_tokens

CACHE_S: Final = 2.0
"""How long a token is not looked up again, in seconds: a revocation holds after it."""

SCOPE_KEY: Final = "ask_expert.token"
"""Where the token of a request stands in its ASGI scope."""

_MOST_CACHED = 10_000
_SCHEME = "bearer "
_MOST_CHARS = 512


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """
    Why a request is not let in.

    Attributes:
        error: One of RFC 6750's codes, or empty where no token came at all.
        description: What to do about it.
    """

    error: str
    description: str


NO_TOKEN: Final = TurnedAway(
    "",
    "An access token is missing: send the header `Authorization: Bearer TOKEN`, with a "
    "token that `ask-expert token create` printed.",
)
UNKNOWN: Final = TurnedAway(
    "invalid_token",
    "This access token is not known here; ask whoever runs this server for one.",
)


@dataclass(slots=True, kw_only=True)
class Tokens:
    """
    Looks tokens up by the digest of their secret: one read along an index each.

    Attributes:
        house: Its ledger holds the tokens.
        clock_s: Monotonic seconds, for the age of what was looked up.
    """

    house: House
    clock_s: Callable[[], float] = time.monotonic
    _seen: dict[str, tuple[float, AccessToken]] = field(
        default_factory=dict[str, tuple[float, AccessToken]]
    )
    _lookers: anyio.CapacityLimiter = field(
        default_factory=lambda: anyio.CapacityLimiter(8)
    )

    async def check(self, header: str | None) -> AccessToken | TurnedAway:
        """
        Return the token that an `Authorization` header holds, if it is good now.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        if header is None or not header.lower().startswith(_SCHEME):
            return NO_TOKEN
        secret = header[len(_SCHEME) :].strip()
        if not secret:
            return NO_TOKEN
        if len(secret) > _MOST_CHARS:
            return UNKNOWN
        token = await self._find(access.digest(secret))
        if token is None:
            return UNKNOWN
        # The clock is looked at each time: an expiry holds at once.
        trouble = token.trouble(self.house.now_us())
        return token if trouble is None else TurnedAway("invalid_token", trouble)

    async def _find(self, digest: str) -> AccessToken | None:
        now_s = self.clock_s()
        seen = self._seen.get(digest)
        if seen is not None and now_s - seen[0] < CACHE_S:
            return seen[1]
        token = await anyio.to_thread.run_sync(
            lambda: access_tokens.find(self.house.ledger, digest),
            limiter=self._lookers,
        )
        self._seen.pop(digest, None)
        if token is not None:
            if len(self._seen) >= _MOST_CACHED:
                self._seen.clear()
            self._seen[digest] = (now_s, token)
        return token
