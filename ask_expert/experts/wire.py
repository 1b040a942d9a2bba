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
        path: Joined to the expert's base URL; starts with a slash.
        headers: All headers but those of authentication.
        body: The final bytes, compact UTF-8 JSON: what is scanned is what is sent.
    """

    path: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes


class Wire(Protocol):
    """One provider's way of asking and answering."""

    default_base_url: str
    """Where the vendor serves it."""

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

    def auth(self, key: str) -> dict[str, str]:
        """Return the headers that carry the key."""
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
