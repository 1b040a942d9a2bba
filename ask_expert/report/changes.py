"""What was changed in tokens, policies and caps, for people."""

from collections.abc import Sequence
from typing import cast

from ask_expert.access import BudgetLine, words
from ask_expert.ledger.changes import Change, State
from ask_expert.ledger.export import moment

HEAD = ("when", "who", "what", "old", "new")
"""Names of the cells of a change."""

_NOTHING = "none"
_HASH_SHOWN = 8


def cells(change: Change) -> tuple[str, ...]:
    """Return a change as a table shows it."""
    short = {"token": _token, "policy": _policy, "cap": _cap}[change.kind]
    new = short(change.new)
    if change.kind == "policy" and change.old and change.new:
        new += f": {', '.join(_parts(change.old, change.new))}"
    return (
        moment(change.at_us)[:19] + "Z",
        change.by,
        f"{change.kind} {change.name}",
        short(change.old),
        new,
    )


def as_json(change: Change) -> dict[str, object]:
    """Return a change as JSON can carry it."""
    return {
        "number": change.id,
        "at": moment(change.at_us),
        "by": change.by,
        "kind": change.kind,
        "name": change.name,
        "old": change.old,
        "new": change.new,
    }


def _cap(state: State | None) -> str:
    return words(state) if state else _NOTHING


def _token(state: State | None) -> str:
    if state is None:
        return _NOTHING
    if "revoked_us" in state:
        return "revoked"
    budgets = cast("Sequence[BudgetLine]", state["budgets"])
    parts = [
        f"{state['role']} {state['user']} in {state['project']}",
        *([f"policy {state['policy']}"] if "policy" in state else []),
        *(words(each) for each in budgets),
    ]
    return "; ".join(parts)


def _policy(state: State | None) -> str:
    return str(state["hash"])[:_HASH_SHOWN] if state else _NOTHING


def _parts(old: State, new: State) -> list[str]:
    """Return the keys of a policy that differ."""
    before = cast("State", old["document"])
    after = cast("State", new["document"])
    names = [*after, *(name for name in before if name not in after)]
    return [name for name in names if before.get(name) != after.get(name)]
