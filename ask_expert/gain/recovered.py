"""
What an answer costs that only the expert had: the price per recovered answer.

Source:
    Fieller (1954) for the interval; means and variances over tasks.
"""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal, localcontext

from ask_expert.gain.contrast import product
from ask_expert.gain.enough import LEAST_PER_ARM
from ask_expert.gain.estimate import LEVEL, Dollars, Estimate, in_nusd
from ask_expert.gain.fieller import DIGITS, Means, decimal_quantile, fieller
from ask_expert.gain.observations import Observation, Pair, evidence, pairs
from ask_expert.gain.paired import constant_reach
from ask_expert.money import usd

METHOD = "price per recovered answer, Fieller"


def price_per_recovered(
    rows: Sequence[Observation], *, level: float = LEVEL
) -> Dollars:
    """
    Return what the escalated pairs cost over recovered answers less harmed ones.

    Args:
        rows: What was observed; only escalated pairs of known outcome count.
        level: Of the interval, two-sided.
    """
    found = [pair for pair in pairs(rows) if pair.treated]
    tasks = len({pair.task for pair in found})
    net = sum(pair.difference for pair in found)
    value: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    note = ""
    if tasks < LEAST_PER_ARM:
        note = (
            f"Not enough data: pairs of {tasks} tasks, and {LEAST_PER_ARM} are needed."
        )
    elif net <= 0:
        note = "Not defined: the expert recovered no more answers than it harmed."
    else:
        means = _means(found, level)
        ends = fieller(means, level=level)
        if ends is None:
            note = "Not defined: recovered and harmed answers do not differ clearly."
        else:
            value, low, high = in_nusd(means.cost / means.effect, *ends)
    return Estimate(
        value=value,
        low=low,
        high=high,
        level=level,
        method=METHOD,
        n_treated=len(found),
        n_control=len(found),
        evidence=evidence(rows, "pairs"),
        note=note,
    )


def _means(found: Sequence[Pair], level: float) -> Means:
    """Return mean cost and mean difference per task."""
    cost: dict[str, Decimal] = defaultdict(Decimal)
    effect: dict[str, Decimal] = defaultdict(Decimal)
    for pair in found:
        cost[pair.task] += usd(pair.cost_nusd)
        effect[pair.task] += pair.difference
    with localcontext(prec=DIGITS):
        costs, mean_cost = _centred([*cost.values()])
        effects, mean_effect = _centred([*effect.values()])
        reach = Decimal(repr(constant_reach(len(effects), level)))
        floor = Decimal(0) if any(effects) else (reach / decimal_quantile(level)) ** 2
        return Means(
            cost=mean_cost,
            effect=mean_effect,
            cost_variance=product(costs, costs),
            effect_variance=product(effects, effects) + floor,
            covariance=product(costs, effects),
        )


def _centred(values: list[Decimal]) -> tuple[list[Decimal], Decimal]:
    middle = sum(values, Decimal(0)) / len(values)
    return [value - middle for value in values], middle
