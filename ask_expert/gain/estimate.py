"""The one value that every estimate is, and what it rests on."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from statistics import NormalDist
from typing import Generic, Literal, TypeVar

LEVEL = 0.95
"""Of the intervals, unless another is named."""

Design = Literal["hold_out", "pairs", "escalated"]
"""
Where the comparison comes from: tasks held out at random; both sides of the same
question; or no comparison, only what came of the escalations.
"""

Source = Literal["check", "person", "judge", "agent"]
"""Who said whether a question was solved, most trusted first."""

N = TypeVar("N", float, Decimal)
_NUSD = Decimal("1e-9")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """
    What an estimate rests on.

    Attributes:
        design: Where the comparison comes from.
        sources: How many of the outcomes each source gave, most trusted first;
            None stands for outcomes whose source was not handed in.
        unknown: How many outcomes are unknown; they are in no estimate.
    """

    design: Design
    sources: tuple[tuple[Source | None, int], ...]
    unknown: int

    @property
    def unknown_share(self) -> float:
        """Share of the outcomes that is unknown, in [0, 1]; 0 where there are none."""
        total = self.unknown + sum(count for _, count in self.sources)
        return self.unknown / total if total else 0.0

    @property
    def text(self) -> str:
        """The same for people, such as `hold-out: 40 check, 3 agent; 5 unknown`."""
        found = ", ".join(
            f"{count} {source or 'of unstated source'}"
            for source, count in self.sources
        )
        design = self.design.replace("_", "-")
        return f"{design}: {found or 'no outcome'}; {self.unknown} unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate(Generic[N]):
    """
    A number, how far to believe it, how it was made and from what.

    Attributes:
        value: A share or a difference of shares as float, or US dollars as `Decimal`;
            None where there is none to give, and `note` says why.
        low: Lower end of the interval; None without one.
        high: Upper end of the interval; None without one.
        level: How often such an interval holds the truth, in (0, 1).
        method: Name of the method.
        n_treated: How many known outcomes of escalated tasks are in it.
        n_control: How many known outcomes of the other arm are in it.
        evidence: What it rests on.
        note: What a reader has to know beside the number; may be empty.
    """

    value: N | None
    low: N | None
    high: N | None
    level: float
    method: str
    n_treated: int
    n_control: int
    evidence: Evidence
    note: str = ""

    @property
    def is_above_zero(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low is not None and self.low > 0

    @property
    def is_below_zero(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.high is not None and self.high < 0


Share = Estimate[float]
"""An estimate of a share or of a difference of shares; a name for types, not to call."""

Dollars = Estimate[Decimal]
"""An estimate in US dollars; likewise."""


def normal_quantile(level: float) -> float:
    """
    Return z, so that a standard normal lies within ±z with probability `level`.

    Raises:
        ValueError: `level` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, got {level}")
    return NormalDist().inv_cdf(0.5 + level / 2)


def in_nusd(
    value: Decimal, low: Decimal, high: Decimal
) -> tuple[Decimal, Decimal, Decimal]:
    """Round dollars to whole nano-dollars, the ends of the interval outwards."""
    return (
        value.quantize(_NUSD, ROUND_HALF_EVEN),
        low.quantize(_NUSD, ROUND_FLOOR),
        high.quantize(_NUSD, ROUND_CEILING),
    )
