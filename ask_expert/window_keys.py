"""What tells the windows of budgets apart, and how it is written as a key; pure."""

from collections.abc import Iterable, Mapping
from itertools import chain, combinations

from ask_expert.question import Caller

OWN: Mapping[str, tuple[str, ...]] = {
    "task": ("project", "task", "user"),
    "session": ("session",),
    "thread": ("thread",),
    "agent": ("agent",),
    "user": ("user",),
    "project": ("project",),
    "expert": ("expert",),
}
"""
What tells the windows of a scope, or of a `per`, apart.

A task's name means nothing outside its user and project.
"""

_FREE = ("agent", "project", "session", "thread", "user")
_BETWEEN = "\x1f"

_TOGETHER = tuple(
    tuple(sorted({*names, *task}))
    for size in range(len(_FREE) + 1)
    for names in combinations(_FREE, size)
    for task in ((), ("task",))
    if not task or {"project", "user"} <= {*names}
)
"""What may tell a window apart, one with another."""


def key_of(pairs: Mapping[str, str]) -> str:
    """Return the key of a window from what tells it apart; values may hold anything."""
    return _BETWEEN.join(f"{name}={_escaped(pairs[name])}" for name in sorted(pairs))


def pairs_of(key: str) -> dict[str, str]:
    """Return what tells the window of a key apart."""
    pairs: dict[str, str] = {}
    for part in key.split(_BETWEEN) if key else ():
        name, _, value = part.partition("=")
        pairs[name] = value.replace("%1F", _BETWEEN).replace("%25", "%")
    return pairs


def _escaped(value: str) -> str:
    return value.replace("%", "%25").replace(_BETWEEN, "%1F")


def dimensions(caller: Caller, *, task: str, thread: str | None) -> dict[str, str]:
    """Return everything, beside the expert, that tells windows of a try apart."""
    return {
        "agent": caller.agent,
        "project": caller.project,
        "session": caller.session,
        "task": task,
        "thread": thread or "",
        "user": caller.user,
    }


def possible_keys(pairs: Mapping[str, str]) -> list[str]:
    """Return the key of every window, of whatever budget, that a try can fall into."""
    parts = {name: f"{name}={_escaped(value)}" for name, value in pairs.items()}
    return [_BETWEEN.join([parts[name] for name in names]) for names in _TOGETHER]


def told_apart_by(scope: str, per: Iterable[str]) -> frozenset[str]:
    """Return what tells the windows of a budget apart, e.g. `project` and `expert`."""
    return frozenset(chain.from_iterable(OWN.get(name, ()) for name in (scope, *per)))
