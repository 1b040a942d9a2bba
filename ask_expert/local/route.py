"""
Choose which of several local servers takes a conversation; pure.

A server's window is a bound, never a wish. The order of the settings is the order of
preference among those that fit; `long` is kept for what fits nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ask_expert.experts.tokens import turn_bound
from ask_expert.local_settings import GENERAL, LONG, LocalSettings
from ask_expert.question import Turn

_SPECIALIST, _GENERALIST, _OTHER, _LAST = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """
    What a conversation needs.

    Attributes:
        tokens: Most tokens of prompt and answer together.
        role: Kind of the question; None when it is not known.
        began_at: Label of the server where the conversation began; None for a new one.
    """

    tokens: int
    role: str | None = None
    began_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    Where a conversation goes.

    Attributes:
        local: The server; None when it fits into no window.
        reason: Why, as one sentence.
        moved_from: Label of the server that it had to leave; None when it did not.
    """

    local: LocalSettings | None
    reason: str
    moved_from: str | None = None


def tokens_needed(turns: Sequence[Turn], *, max_tokens: int) -> int:
    """Return the most tokens that a conversation and its answer can have together."""
    return sum(map(turn_bound, turns)) + max_tokens


def choose(locals_: Sequence[LocalSettings], need: Need) -> Route:
    """
    Return the server that takes a conversation.

    One that has begun stays where it is, whatever its kind, unless the window there is
    too small: another model would read what this one said as if it were its own, and
    this one's cache holds the beginning.

    Raises:
        ValueError: There is no server to choose from.
    """
    if not locals_:
        raise ValueError("there is no local server to choose from")
    fitting = [each for each in locals_ if _fits(each, need)]
    if need.began_at is None:
        return _best(locals_, fitting, need)
    for each in fitting:
        if each.label == need.began_at:
            reason = f"the conversation began at {each.label}"
            return Route(local=each, reason=reason)
    best = _best(locals_, fitting, need)
    if best.local is None:
        return best
    began = [each for each in locals_ if each.label == need.began_at]
    why = (
        f"{need.tokens:,} tokens are over the {began[0].window:,} of {need.began_at}"
        if began
        else f"{need.began_at} is no longer in the settings"
    )
    reason = f"moved from {need.began_at}: {why}; {best.reason}"
    return Route(local=best.local, reason=reason, moved_from=need.began_at)


def _best(
    locals_: Sequence[LocalSettings], fitting: Sequence[LocalSettings], need: Need
) -> Route:
    if not fitting:
        widest = max(locals_, key=lambda each: each.window or 0)
        reason = (
            f"{need.tokens:,} tokens fit into no window; the largest is "
            f"{widest.window:,} ({widest.label})"
        )
        return Route(local=None, reason=reason)
    best = min(fitting, key=lambda each: _rank(each, need))
    wished = min(locals_, key=lambda each: _rank(each, need))
    if wished is not best:
        reason = (
            f"{need.tokens:,} tokens are over the {wished.window:,} of {wished.label}; "
            f"{best.label} has room"
        )
    elif _rank(best, need) == _SPECIALIST:
        reason = f"{best.label} is for {best.role} questions"
    else:
        reason = f"{best.label} is the first that fits"
    return Route(local=best, reason=reason)


def _fits(local: LocalSettings, need: Need) -> bool:
    return local.window is None or need.tokens <= local.window


def _rank(local: LocalSettings, need: Need) -> int:
    if need.role is not None and local.role == need.role != GENERAL:
        return _SPECIALIST
    ranks = {GENERAL: _GENERALIST, LONG: _LAST}
    return ranks.get(local.role, _OTHER)
