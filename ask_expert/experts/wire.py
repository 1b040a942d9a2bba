"""
What every wire format can do: translate, and nothing else.

A wire knows no network, no clock and no retry; `http` sends what it encodes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ask_expert.errors import ExpertError
from ask_expert.question import Prompt
from ask_expert.reply import ExpertAnswer
from ask_expert.settings import ExpertSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """
    One request, ready to send.

    Attributes:
        path: Joined to the base URL; starts with a slash.
        base_url: Where, if it depends on more than `default_base_url` can tell, such
            as a region; the expert's own base URL goes first.
        headers: All headers but those of authentication.
        body: The final bytes, compact UTF-8 JSON: what is scanned is what is sent.
        streams: Whether it asks for the reply in pieces.
    """

    path: str
    base_url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes
    streams: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One piece of a streamed reply: its name, if it has one, and its JSON."""

    name: str
    data: str


class StreamedReply(Protocol):
    """Puts the pieces of one streamed reply together."""

    @property
    def text(self) -> str:
        """What the answer says so far; thoughts are no part of it."""
        ...

    @property
    def chars(self) -> int:
        """How many characters `text` has, cheap enough to ask after every piece."""
        ...

    @property
    def has_text(self) -> bool:
        """Whether `text` holds more than white space; as cheap."""
        ...

    @property
    def is_whole(self) -> bool:
        """Whether the provider has said that the answer is at its end."""
        ...

    def add(self, event: Event) -> None:
        """
        Take one piece.

        Raises:
            ValueError: It is no piece of such a reply.
        """
        ...

    def body(self) -> bytes:
        """Return what has come, in the shape of a reply that is not streamed."""
        ...


class Wire(Protocol):
    """One provider's way of asking and answering."""

    default_base_url: str
    """Where the vendor serves it."""

    own_credentials: bool
    """Whether `auth` finds the credentials itself, so that no key is looked up."""

    def encode(
        self, expert: ExpertSettings, prompt: Prompt, *, max_output_tokens: int
    ) -> WireRequest:
        """
        Return the request for a prompt.

        Args:
            expert: Model, effort and extras.
            prompt: What to ask.
            max_output_tokens: Granted output ceiling, reasoning included.

        Raises:
            ConfigError: `extra_body` or `extra_headers` would break the cap or the key.
        """
        ...

    def auth(
        self, expert: ExpertSettings, key: str, *, url: str, body: bytes
    ) -> dict[str, str]:
        """
        Return the headers that carry the key, or a signature made with it.

        Where `own_credentials` is set the key may be empty; the vendor's library may
        then read files or ask a token server, so it is called in a thread.

        Raises:
            ConfigError: There are no credentials; says what to set.
        """
        ...

    def decode(
        self, expert: ExpertSettings, body: bytes, headers: Mapping[str, str]
    ) -> ExpertAnswer:
        """
        Return the answer in a reply of status 200.

        Raises:
            ExpertReplyError: The body makes no sense or holds no answer.
            ExpertUnavailableError: The provider failed while it worked.
            ExpertRejectedError: The provider turned the request down, with status 200.
        """
        ...

    def failure(
        self,
        expert: ExpertSettings,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
    ) -> ExpertError:
        """Return, not raise, the error that a reply of another status means."""
        ...

    def gather(self) -> StreamedReply:
        """Return what puts one streamed reply together; `decode` reads its body."""
        ...
