"""
The interval of a ratio of two means.

Source:
    Fieller (1954), "Some problems in interval estimation".
"""

from dataclasses import dataclass
from decimal import Decimal, localcontext

from ask_expert.gain.estimate import LEVEL, normal_quantile

DIGITS = 40
"""Precision in which money is reckoned before it is rounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """
    Two means and how they vary together.

    Attributes:
        cost: Mean cost or difference of mean costs, USD.
        effect: Mean effect or difference of shares.
        cost_variance: Variance of `cost`.
        effect_variance: Variance of `effect`.
        covariance: Of the two.
    """

    cost: Decimal
    effect: Decimal
    cost_variance: Decimal
    effect_variance: Decimal
    covariance: Decimal


def decimal_quantile(level: float) -> Decimal:
    """Return z as a decimal."""
    return Decimal(repr(normal_quantile(level)))


def fieller(means: Means, *, level: float = LEVEL) -> tuple[Decimal, Decimal] | None:
    """
    Return the interval of cost over effect.

    None where the effect is not different from zero at that level: the ratio can then
    be anything, and has no interval.
    """
    with localcontext(prec=DIGITS):
        z2 = decimal_quantile(level) ** 2
        a = means.effect**2 - z2 * means.effect_variance
        b = means.effect * means.cost - z2 * means.covariance
        c = means.cost**2 - z2 * means.cost_variance
        if a <= 0:
            return None
        root = max(Decimal(0), b * b - a * c).sqrt()
        return (b - root) / a, (b + root) / a
