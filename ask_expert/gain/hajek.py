"""
The gain by inverse propensity weights that sum to one in each arm.

Source:
    Hájek (1971), comment on Basu; Lunceford and Davidian (2004), "Stratification and
    weighting via the propensity score", for the influence.
"""

from collections.abc import Sequence

from ask_expert.gain.enough import too_few
from ask_expert.gain.estimate import LEVEL, Share
from ask_expert.gain.observations import Observation, Unit, units
from ask_expert.gain.scores import arm, by_scores

METHOD = "Hájek"


def hajek_scores(known: Sequence[Unit]) -> list[float]:
    """Return the gain plus the influence of each task; their mean is the gain."""
    one, other = arm(known, treated=True), arm(known, treated=False)
    n = len(known)
    gain = one.share - other.share
    return [
        gain + unit.weight * (unit.solved - one.share) * n / one.weight
        if unit.treated
        else gain - unit.weight * (unit.solved - other.share) * n / other.weight
        for unit in known
    ]


def hajek(rows: Sequence[Observation], *, level: float = LEVEL) -> Share:
    """
    Return the gain of a hold-out by normalised weights.

    Raises:
        ValueError: As `units`.
    """
    lacking = too_few(rows, METHOD, level)
    if lacking is not None:
        return lacking
    return by_scores(rows, hajek_scores(units(rows)), METHOD, level=level)
