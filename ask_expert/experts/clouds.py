"""What the wires of the clouds have in common."""

import json
from typing import Protocol, cast, runtime_checkable

from ask_expert.errors import ConfigError
from ask_expert.experts.wire import WireRequest
from ask_expert.settings import ExpertSettings


@runtime_checkable
class Placed(Protocol):
    """A wire whose address depends on the region."""

    def address(self, expert: ExpertSettings) -> str:
        """
        Return where it is served without a `base_url`.

        Raises:
            ConfigError: No region is named anywhere.
        """
        ...


def claude_body(request: WireRequest, version: str) -> dict[str, object]:
    """Return the body of Anthropic Messages as a cloud takes it: its path says the model."""
    body = cast("dict[str, object]", json.loads(request.body))
    del body["model"]
    return {"anthropic_version": version, **body}


def compact(body: dict[str, object]) -> bytes:
    """Return a body as compact UTF-8."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def refuse_dearer(expert: ExpertSettings, prefix: str) -> None:
    """
    Refuse headers that choose a service level, where only the list tells the price.

    Raises:
        ConfigError: There is such a header, and no `price:`.
    """
    for name in expert.extra_headers:
        if name.lower().startswith(prefix) and expert.price is None:
            raise ConfigError(
                f"expert {expert.name!r}: with the header {name!r} a call may cost "
                "more than the price list says; give `price:`.",
                key=f"experts.{expert.name}.extra_headers.{name}",
            )
