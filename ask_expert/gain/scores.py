"""
From one score a task to an estimate: the mean, and its interval by the normal curve.

Where the outcomes of an arm are all alike they vary by nothing, which would promise
certainty. Such an arm then adds the reach of its Wilson interval, squared, as
Newcombe's method does.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from ask_expert.gain.estimate import LEVEL, Estimate, Share, normal_quantile
from ask_expert.gain.observations import Observation, Unit, evidence, mean, units


class Arm(NamedTuple):
    """One arm, its tasks weighted by one over the probability of their draw."""

    weight: float
    share: float
    effective: float

    @property
    def is_constant(self) -> bool:
        """Whether its outcomes are all alike."""
        return self.share in (0.0, 1.0)


def arm(known: Sequence[Unit], *, treated: bool) -> Arm:
    """Return an arm; its effective number is that of as many equal weights."""
    own = [unit for unit in known if unit.treated is treated]
    weight = math.fsum(unit.weight for unit in own)
    solved = math.fsum(unit.weight for unit in own if unit.solved)
    squares = math.fsum(unit.weight**2 for unit in own)
    return Arm(weight, solved / weight, weight**2 / squares)


def constant_variance(known: Sequence[Unit], level: float) -> float:
    """Return what arms whose outcomes are all alike add to the variance of the gain."""
    z2 = normal_quantile(level) ** 2
    arms = (arm(known, treated=treated) for treated in (True, False))
    return math.fsum(
        z2 / (each.effective + z2) ** 2 for each in arms if each.is_constant
    )


def mean_variance(scores: Sequence[float]) -> float:
    """Return the variance of the mean of independent scores; infinite for one."""
    n = len(scores)
    if n < 2:  # noqa: PLR2004  # one score does not vary
        return math.inf
    middle = mean(scores)
    return math.fsum((score - middle) ** 2 for score in scores) / (n - 1) / n


def by_scores(
    rows: Sequence[Observation],
    scores: Sequence[float],
    method: str,
    *,
    level: float = LEVEL,
) -> Share:
    """
    Return the mean score of the drawn tasks with its interval.

    Args:
        rows: What was observed.
        scores: One for each task of known outcome, in the order of `units`.
        method: Name of the method.
        level: Of the interval, two-sided.
    """
    known = units(rows)
    value = mean(scores)
    variance = mean_variance(scores) + constant_variance(known, level)
    half = normal_quantile(level) * math.sqrt(variance)
    treated = sum(unit.treated for unit in known)
    return Estimate(
        value=value,
        low=max(min(-1.0, value), value - half),
        high=min(max(1.0, value), value + half),
        level=level,
        method=method,
        n_treated=treated,
        n_control=len(known) - treated,
        evidence=evidence(rows, "hold_out"),
    )
