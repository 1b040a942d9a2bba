"""One line of a policy's `budgets` as code sees it, and what it must count; pure."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Literal, Protocol

from ask_expert.settings import ExpertSettings, needs_calls_budget

Mode = Literal["hard", "soft", "degrade"]
"""What happens to a question that a budget has no room for."""


class Limit(Protocol):
    """One line of a policy's `budgets`."""

    @property
    def scope(self) -> str:
        """`call`, `total`, a calendar period, or whose a window is: `task` …."""
        ...

    @property
    def usd(self) -> Decimal | None:
        """Most that may be spent in a window, in USD; None is no limit."""
        ...

    @property
    def calls(self) -> int | None:
        """Most tries that may be sent in a window; None is no limit."""
        ...

    @property
    def tokens(self) -> int | None:
        """Most tokens, input and output together; None is no limit."""
        ...

    @property
    def per(self) -> Sequence[str]:
        """What gets a window of its own, e.g. `expert`."""
        ...

    @property
    def rolling(self) -> bool:
        """Whether the period ends now instead of following the calendar."""
        ...

    @property
    def mode(self) -> Mode:
        """What happens to a question that it has no room for."""
        ...


class CountsCalls(Protocol):
    """A budget, in a policy or in a window."""

    @property
    def calls(self) -> int | None:
        """Most tries that may be sent; None is no limit."""
        ...


def without_calls(expert: ExpertSettings, budgets: Iterable[CountsCalls]) -> str | None:
    """Return what is missing where a subscription pays and no budget counts calls."""
    if not needs_calls_budget(expert):
        return None
    if any(budget.calls is not None for budget in budgets):
        return None
    return (
        f"{expert.name} is paid by a subscription, and no budget of the policy counts "
        "calls: add one, e.g. {scope: day, calls: 20}."
    )
