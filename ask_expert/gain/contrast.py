"""
How much more the escalated arm solves and costs, by the same weights, in decimals.

The influence of each task is that of Hájek's estimator. Costs come in whole
nano-dollars and stay decimals throughout.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal, localcontext

from ask_expert.gain.estimate import LEVEL
from ask_expert.gain.fieller import DIGITS, Means
from ask_expert.gain.observations import Unit
from ask_expert.gain.scores import constant_variance
from ask_expert.money import usd

Column = list[Decimal]


def contrast(known: Sequence[Unit], *, level: float = LEVEL) -> Means:
    """
    Return the two differences of a hold-out, with their variances.

    An arm whose outcomes are all alike adds to the variance as in `scores`.

    Args:
        known: Drawn tasks of known outcome, in both arms.
        level: Of the intervals that will be made of it.
    """
    with localcontext(prec=DIGITS):
        cost, costs = _column(known, [usd(unit.cost_nusd) for unit in known])
        effect, effects = _column(known, [Decimal(int(unit.solved)) for unit in known])
        return Means(
            cost=cost,
            effect=effect,
            cost_variance=product(costs, costs),
            effect_variance=product(effects, effects)
            + Decimal(repr(constant_variance(known, level))),
            covariance=product(costs, effects),
        )


def product(one: Column, other: Column) -> Decimal:
    """Return the covariance of the means of two columns whose mean is zero."""
    n = len(one)
    if n < 2:  # noqa: PLR2004  # one row does not vary
        return Decimal(0)
    total = sum((a * b for a, b in zip(one, other, strict=True)), Decimal(0))
    return total / (n * (n - 1))


def _column(known: Sequence[Unit], values: Column) -> tuple[Decimal, Column]:
    """Return the weighted difference of a column between the arms, and influences."""
    weights = [1 / _chance(unit) for unit in known]
    n = Decimal(len(known))
    mean = {True: Decimal(0), False: Decimal(0)}
    mass = {True: Decimal(0), False: Decimal(0)}
    for treated in mean:
        own = [
            (weight, value)
            for unit, weight, value in zip(known, weights, values, strict=True)
            if unit.treated is treated
        ]
        mass[treated] = _total(weight for weight, _ in own)
        mean[treated] = _total(weight * value for weight, value in own) / mass[treated]
    influences = [
        (1 if unit.treated else -1)
        * weight
        * (value - mean[unit.treated])
        * n
        / mass[unit.treated]
        for unit, weight, value in zip(known, weights, values, strict=True)
    ]
    return mean[True] - mean[False], influences


def _chance(unit: Unit) -> Decimal:
    """Return the probability of the arm that was drawn, as it was written down."""
    escalated = Decimal(repr(unit.propensity))
    return escalated if unit.treated else 1 - escalated


def _total(values: Iterable[Decimal]) -> Decimal:
    return sum(values, Decimal(0))
