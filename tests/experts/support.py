"""Values that the tests of this room share."""

from datetime import UTC, datetime
from random import Random
from typing import Any

from ask_expert.question import Prompt, Turn
from ask_expert.settings import ExpertSettings

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
KEY = "sk-test-0123456789abcdef"
PROMPT = Prompt(
    system="Help.",
    turns=(
        Turn(role="user", text="Why does it hang?"),
        Turn(role="assistant", text="A lock."),
        Turn(role="user", text="Which – «SECRET:token:1»?"),
    ),
    template="advise 1",
)


def an_expert(**facts: Any) -> ExpertSettings:
    given = {"name": "flagship", "api": "openai_chat", "model": "gpt-6.1-sol", **facts}
    return ExpertSettings.model_validate(given)


def dice(seed: int = 1) -> Random:
    """Return reproducible jitter."""
    return Random(seed)  # noqa: S311  # no secret
