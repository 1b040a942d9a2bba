"""
A confidence sequence for large arms: narrower, and valid only in the limit.

Source:
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), "Time-uniform central limit
    theory and asymptotic confidence sequences", 2103.06476.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from ask_expert.gain.enough import too_few
from ask_expert.gain.estimate import LEVEL, Share
from ask_expert.gain.observations import Observation, mean, units
from ask_expert.gain.scores import constant_variance, mean_variance
from ask_expert.gain.sequence import by_sequence, running_scores

METHOD = "asymptotic confidence sequence"
LEAST = 100
"""With a smaller arm the limit is too far away, and no estimate is given."""

IN_THE_LIMIT = "Valid whenever you look, in the limit of many tasks."

BEST_AT = 500
"""Number of tasks at which the sequence is made to be narrowest."""


def asymptotic_half(
    t: int, deviation: float, *, level: float = LEVEL, best_at: int = BEST_AT
) -> float:
    """
    Return the half width after `t` scores of this standard deviation.

    Args:
        t: How many scores there are.
        deviation: Their standard deviation.
        level: Of the sequence, two-sided.
        best_at: Where it is narrowest; settled before the first look.
    """
    alpha = 1 - level
    odds = -2 * math.log(alpha)
    rho2 = (odds + math.log1p(odds)) / best_at
    grown = t * rho2 + 1
    return deviation * math.sqrt(grown / (t * t * rho2) * math.log(grown / alpha**2))


def asymptotic(rows: Sequence[Observation], *, level: float = LEVEL) -> Share:
    """
    Return the gain of a hold-out with bounds that hold from `LEAST` an arm on.

    Raises:
        ValueError: As `units`.
    """
    lacking = too_few(rows, METHOD, level)
    if lacking is not None:
        return lacking
    known = units(rows)
    scores = [score.value for score in running_scores(known)]
    value, t = mean(scores), len(scores)
    variance = mean_variance(scores) + constant_variance(known, level)
    half = asymptotic_half(t, math.sqrt(variance * t), level=level)
    found = (value, max(-1.0, value - half), min(1.0, value + half))
    whole = by_sequence(rows, known, found, METHOD, level=level)
    if min(whole.n_treated, whole.n_control) >= LEAST:
        return replace(whole, note=IN_THE_LIMIT)
    note = f"Not enough data: this method needs {LEAST} known outcomes in each arm."
    return replace(whole, value=None, low=None, high=None, note=note)
