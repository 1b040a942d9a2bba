"""
The gain by inverse propensity weights: unbiased, and wide.

Source:
    Horvitz and Thompson (1952), "A generalization of sampling without replacement
    from a finite universe".
"""

from collections.abc import Sequence

from ask_expert.gain.enough import too_few
from ask_expert.gain.estimate import LEVEL, Share
from ask_expert.gain.observations import Observation, Unit, units
from ask_expert.gain.scores import by_scores

METHOD = "IPW"


def ipw_scores(known: Sequence[Unit]) -> list[float]:
    """Return A Y / e - (1 - A) Y / (1 - e) of each task."""
    return [unit.weight * unit.solved * (1 if unit.treated else -1) for unit in known]


def ipw(rows: Sequence[Observation], *, level: float = LEVEL) -> Share:
    """
    Return the gain of a hold-out by inverse propensity weights.

    Raises:
        ValueError: As `units`.
    """
    lacking = too_few(rows, METHOD, level)
    if lacking is not None:
        return lacking
    return by_scores(rows, ipw_scores(units(rows)), METHOD, level=level)
