"""
The difference of two shares, each with its Wilson interval, squared and added.

Source:
    Newcombe (1998), "Interval estimation for the difference between independent
    proportions", method 10.
"""

import math
from collections.abc import Sequence

from ask_expert.gain.enough import too_few
from ask_expert.gain.estimate import LEVEL, Estimate, Share
from ask_expert.gain.observations import Observation, evidence, mean, units
from ask_expert.gain.wilson import wilson

METHOD = "Newcombe"
_SAME = 1e-9


def newcombe_interval(
    treated: tuple[float, float],
    control: tuple[float, float],
    *,
    level: float = LEVEL,
) -> tuple[float, float]:
    """
    Return the interval of the treated share less the control share.

    Args:
        treated: The share, and of how many.
        control: The same of the other arm.
        level: Of the interval, two-sided.
    """
    (one, n_one), (other, n_other) = treated, control
    low_one, high_one = wilson(one, n_one, level=level)
    low_other, high_other = wilson(other, n_other, level=level)
    difference = one - other
    return (
        difference - math.hypot(one - low_one, high_other - other),
        difference + math.hypot(high_one - one, other - low_other),
    )


def is_constant(propensities: Sequence[float]) -> bool:
    """Return whether every task was drawn with the same probability."""
    return max(propensities) - min(propensities) < _SAME


def newcombe(rows: Sequence[Observation], *, level: float = LEVEL) -> Share:
    """
    Return the gain by the raw arms of a hold-out.

    Where the propensity varies the arms are made of different kinds of tasks: then
    there is no value, and the note names what to read instead.

    Raises:
        ValueError: As `units`.
    """
    lacking = too_few(rows, METHOD, level)
    if lacking is not None:
        return lacking
    known = units(rows)
    arms = [
        [unit.solved for unit in known if unit.treated is treated]
        for treated in (True, False)
    ]
    one, other = mean(arms[0]), mean(arms[1])
    value: float | None = None
    low: float | None = None
    high: float | None = None
    note = ""
    if is_constant([unit.propensity for unit in known]):
        value = one - other
        low, high = newcombe_interval(
            (one, len(arms[0])), (other, len(arms[1])), level=level
        )
    else:
        note = "The propensity varies, so raw arms are not alike; read Hájek or AIPW."
    return Estimate(
        value=value,
        low=low,
        high=high,
        level=level,
        method=METHOD,
        n_treated=len(arms[0]),
        n_control=len(arms[1]),
        evidence=evidence(rows, "hold_out"),
        note=note,
    )
