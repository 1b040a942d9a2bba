"""
Whether escalating is worth its money to somebody to whom a solution is worth so much.

Source:
    Stinnett and Mullahy (1998), "Net health benefits: a new framework for the analysis
    of uncertainty in cost-effectiveness analysis".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from statistics import NormalDist

from ask_expert.gain.contrast import contrast
from ask_expert.gain.enough import too_few
from ask_expert.gain.estimate import LEVEL, Dollars, Estimate, in_nusd
from ask_expert.gain.fieller import DIGITS, Means, decimal_quantile
from ask_expert.gain.observations import Observation, evidence, units

METHOD = "net benefit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptability:
    """
    One point of the curve.

    Attributes:
        value_usd: What a solution is worth.
        net_benefit: What an escalation brings at that, less what it costs, USD.
        probability: How sure one may be that it is above zero, in [0, 1]; None where
            there are too few outcomes.
    """

    value_usd: Decimal
    net_benefit: Dollars
    probability: float | None


def net_benefit(
    rows: Sequence[Observation], value_usd: Decimal, *, level: float = LEVEL
) -> Dollars:
    """
    Return the gain times the value of a solution, less the cost, per task, in USD.

    Args:
        rows: What was observed.
        value_usd: What one more solved problem is worth.
        level: Of the interval, two-sided.

    Raises:
        ValueError: As `units`, or the value is negative or no number.
    """
    return acceptability(rows, (value_usd,), level=level)[0].net_benefit


def acceptability(
    rows: Sequence[Observation], values_usd: Iterable[Decimal], *, level: float = LEVEL
) -> list[Acceptability]:
    """
    Return the net benefit at each value of a solution, and how sure it is above zero.

    Raises:
        ValueError: As `units`, or a value is negative or no number.
    """
    values = list(values_usd)
    for each in values:
        if not each.is_finite() or each < 0:
            raise ValueError(f"a solution is worth zero dollars or more, got {each}")
    lacking = too_few(rows, METHOD, level)
    known = units(rows)
    means = None if lacking is not None else contrast(known, level=level)
    treated = sum(unit.treated for unit in known)
    rest = evidence(rows, "hold_out")
    points: list[Acceptability] = []
    for worth in values:
        found = None if means is None else _at(means, worth, level)
        value, low, high, probability = found or (None, None, None, None)
        estimate = Estimate(
            value=value,
            low=low,
            high=high,
            level=level,
            method=METHOD,
            n_treated=treated,
            n_control=len(known) - treated,
            evidence=rest,
            note="" if lacking is None else lacking.note,
        )
        points.append(
            Acceptability(
                value_usd=worth, net_benefit=estimate, probability=probability
            )
        )
    return points


def _at(
    means: Means, worth: Decimal, level: float
) -> tuple[Decimal, Decimal, Decimal, float]:
    """Return the net benefit, its interval, and the probability that it is positive."""
    with localcontext(prec=DIGITS):
        value = worth * means.effect - means.cost
        variance = (
            worth**2 * means.effect_variance
            + means.cost_variance
            - 2 * worth * means.covariance
        )
        error = max(Decimal(0), variance).sqrt()
        half = decimal_quantile(level) * error
        ends = in_nusd(value, value - half, value + half)
        if error:
            probability = NormalDist().cdf(float(value / error))
        else:
            probability = 0.5 if value == 0 else float(value > 0)
    return (*ends, probability)
