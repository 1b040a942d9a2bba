"""
What one more solved problem costs (the incremental cost-effectiveness ratio).

Source:
    Fieller (1954); Willan and O'Brien (1996), "Confidence intervals for
    cost-effectiveness ratios: an application of Fieller's theorem".
"""

from collections.abc import Sequence
from decimal import Decimal

from ask_expert.gain.contrast import contrast
from ask_expert.gain.enough import too_few
from ask_expert.gain.estimate import LEVEL, Dollars, Estimate, in_nusd
from ask_expert.gain.fieller import fieller
from ask_expert.gain.observations import Observation, evidence, units

METHOD = "ICER, Fieller"
UNDEFINED = (
    "Not defined: the gain is not different from zero, so that one more solved problem "
    "may cost anything; read the net benefit."
)
FLATTERED = (
    "Given only where the gain is clearly above zero, which makes small gains look "
    "cheap; read the net benefit too."
)
DOMINATED = "Not defined: escalating solves fewer, so that no price buys a solution."


def icer(rows: Sequence[Observation], *, level: float = LEVEL) -> Dollars:
    """
    Return the dollars that each problem more cost to solve.

    A negative price means that escalating solves more and costs less.

    Raises:
        ValueError: As `units`.
    """
    lacking = too_few(rows, METHOD, level)
    value: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    known = units(rows)
    treated = sum(unit.treated for unit in known)
    note = ""
    if lacking is not None:
        note = lacking.note
    else:
        means = contrast(known, level=level)
        ends = fieller(means, level=level)
        if ends is None or means.effect <= 0:
            note = UNDEFINED if ends is None else DOMINATED
        else:
            value, low, high = in_nusd(means.cost / means.effect, *ends)
            note = FLATTERED
    return Estimate(
        value=value,
        low=low,
        high=high,
        level=level,
        method=METHOD,
        n_treated=treated,
        n_control=len(known) - treated,
        evidence=evidence(rows, "hold_out"),
        note=note,
    )
