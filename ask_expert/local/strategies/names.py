"""How a policy or a benchmark names a strategy with its options; plain data."""

from dataclasses import dataclass
from typing import Literal, get_args

By = Literal["check", "logprob", "p_true"]
"""What `best_of_n` chooses by."""

Name = Literal[
    "greedy",
    "think",
    "vote",
    "weighted_vote",
    "best_of_n",
    "refine",
    "mixture",
    "search",
]
NAMES: tuple[Name, ...] = get_args(Name)

COUNTED: dict[Name, int] = {
    "vote": 5,
    "weighted_vote": 5,
    "best_of_n": 4,
    "refine": 2,
    "search": 16,
}
"""Strategies with a number, and what it is where none is given."""

THINKING_TIMES = 4
"""How much longer an answer may be that comes after thinking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """
    A strategy with its options.

    Attributes:
        name: Which one.
        n: Samples of a vote, answers of `best_of_n`, times that `refine` mends,
            nodes of `search`; the strategy's own number when absent.
        by: What `best_of_n` chooses by.
    """

    name: Name
    n: int | None = None
    by: By = "check"

    @property
    def count(self) -> int:
        """The number that holds; 1 for a strategy without one."""
        return self.n or COUNTED.get(self.name, 1)

    @property
    def needs_check(self) -> bool:
        """Whether it can do nothing where no check says which answer is right."""
        return self.name == "refine" or (
            self.name == "best_of_n" and self.by == "check"
        )

    def answers(self, *, models: int = 1) -> int:
        """
        Return how many whole answers it may have to pay for out of its tokens.

        Args:
            models: How many models a mixture has.
        """
        if self.name == "think":
            return THINKING_TIMES
        if self.name == "mixture":
            return models
        return self.count + (1 if self.name == "refine" else 0)

    @property
    def label(self) -> str:
        """How people read it, e.g. `best_of_n of 4 by p_true`."""
        of = f" of {self.count}" if self.name in COUNTED else ""
        by = f" by {self.by}" if self.name == "best_of_n" else ""
        return f"{self.name}{of}{by}"
