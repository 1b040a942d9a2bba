"""
Lets a local agent ask a stronger model when it is stuck, within a budget.

The names below are the public API; each is imported on first use, so that
`import ask_expert` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ask_expert.escalation import Escalator
    from ask_expert.policy.document import Policy
    from ask_expert.question import Question
    from ask_expert.reply import Reply
    from ask_expert.settings import Settings

__all__ = ["Escalator", "Policy", "Question", "Reply", "Settings"]

_HOMES = {
    "Escalator": "ask_expert.escalation",
    "Policy": "ask_expert.policy.document",
    "Question": "ask_expert.question",
    "Reply": "ask_expert.reply",
    "Settings": "ask_expert.settings",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
