"""Everything that a randomised hold-out says, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from ask_expert.gain.aipw import aipw
from ask_expert.gain.asymptotic import asymptotic
from ask_expert.gain.betting import betting
from ask_expert.gain.bounds import Bounds, assumed, bounds
from ask_expert.gain.empirical_bernstein import empirical_bernstein
from ask_expert.gain.estimate import LEVEL, Dollars, Share
from ask_expert.gain.hajek import hajek
from ask_expert.gain.headline import headline
from ask_expert.gain.icer import icer
from ask_expert.gain.ipw import ipw
from ask_expert.gain.net_benefit import net_benefit
from ask_expert.gain.newcombe import newcombe
from ask_expert.gain.observations import Observation
from ask_expert.gain.verdict import Verdict, verdict

FIXED = (newcombe, hajek, aipw, ipw)
"""Estimators whose interval holds for one look, settled beforehand."""

SEQUENCES = (betting, empirical_bernstein, asymptotic)
"""Estimators whose interval holds whenever one looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOut:
    """
    The gain of a hold-out.

    Attributes:
        headline: The estimate that comes first.
        fixed: All estimates for one look.
        sequences: All estimates for any number of looks.
        worst: Bounds for the unknown outcomes.
        icer: What one more solved problem costs.
        net_benefit: At the value of a solution; None where none was named.
        verdict: What may be said.
    """

    headline: Share
    fixed: tuple[Share, ...]
    sequences: tuple[Share, ...]
    worst: Bounds
    icer: Dollars
    net_benefit: Dollars | None
    verdict: Verdict


def hold_out(
    rows: Sequence[Observation],
    *,
    value_usd: Decimal | None = None,
    level: float = LEVEL,
) -> HoldOut:
    """
    Return everything that the drawn tasks say.

    Args:
        rows: Drawn tasks, one row each (`one_per_task`), in the order of their draws.
        value_usd: What one more solved problem is worth; None leaves worth out.
        level: Of the intervals, two-sided.

    Raises:
        ValueError: As `units`, or the value is negative or no number.
    """
    first = headline(rows, level=level)
    worst = bounds(rows, level=level)
    benefit: Dollars | None = None
    at_worst: Dollars | None = None
    if value_usd is not None:
        benefit = net_benefit(rows, value_usd, level=level)
        against = assumed(rows, treated=False, control=True)
        at_worst = net_benefit(against, value_usd, level=level)
    return HoldOut(
        headline=first,
        fixed=tuple(each(rows, level=level) for each in FIXED),
        sequences=tuple(each(rows, level=level) for each in SEQUENCES),
        worst=worst,
        icer=icer(rows, level=level),
        net_benefit=benefit,
        verdict=verdict(first, worst, value_usd=value_usd, worth=at_worst),
    )
