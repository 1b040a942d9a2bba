"""
The gain by augmented weights: what an arm is expected to solve, mended by its draws.

What is expected of a task is fitted on all other tasks (cross-fitted with as many
folds as tasks), so that neither the order of the rows nor a draw of folds matters,
and the estimate is unbiased whatever the expectation is worth.

Source:
    Robins, Rotnitzky and Zhao (1994); Wu and Gagnon-Bartsch (2018), "The LOOP
    estimator", for leaving one out.
"""

import math
from collections import defaultdict
from collections.abc import Sequence

from ask_expert.gain.enough import too_few
from ask_expert.gain.estimate import LEVEL, Share
from ask_expert.gain.observations import Observation, Unit, units
from ask_expert.gain.scores import by_scores

METHOD = "AIPW"
LEAST_OTHERS = 5
"""With fewer other tasks in its stratum and arm, a task is expected to be like its arm."""


class _Sums:
    """Weights of the tasks of a group, and of the solved ones; one can be left out."""

    def __init__(self, own: Sequence[Unit]) -> None:
        self._count = len(own)
        self._weight = math.fsum(unit.weight for unit in own)
        self._solved = math.fsum(unit.weight for unit in own if unit.solved)

    def without(self, unit: Unit | None) -> tuple[int, float]:
        """Return how many are left, and the share of them that is solved."""
        count, weight, solved = self._count, self._weight, self._solved
        if unit is not None:
            count -= 1
            weight -= unit.weight
            solved -= unit.weight * unit.solved
        return (count, min(1.0, max(0.0, solved / weight))) if count > 0 else (0, 0.5)


def aipw_scores(known: Sequence[Unit]) -> list[float]:
    """Return the score of each task, expectations fitted on all other tasks."""
    whole: dict[bool, list[Unit]] = defaultdict(list)
    parts: dict[tuple[bool, str], list[Unit]] = defaultdict(list)
    for unit in known:
        whole[unit.treated].append(unit)
        parts[unit.treated, unit.stratum].append(unit)
    arms = {treated: _Sums(own) for treated, own in whole.items()}
    cells = {key: _Sums(own) for key, own in parts.items()}
    nothing = _Sums(())

    def expected(unit: Unit, *, treated: bool) -> float:
        left_out = unit if unit.treated is treated else None
        cell = cells.get((treated, unit.stratum), nothing)
        count, share = cell.without(left_out)
        if count >= LEAST_OTHERS:
            return share
        return arms.get(treated, nothing).without(left_out)[1]

    scores: list[float] = []
    for unit in known:
        one, other = expected(unit, treated=True), expected(unit, treated=False)
        own, sign = (one, 1) if unit.treated else (other, -1)
        scores.append(one - other + sign * unit.weight * (unit.solved - own))
    return scores


def aipw(rows: Sequence[Observation], *, level: float = LEVEL) -> Share:
    """
    Return the gain of a hold-out, made more precise by the strata.

    Raises:
        ValueError: As `units`.
    """
    lacking = too_few(rows, METHOD, level)
    if lacking is not None:
        return lacking
    return by_scores(rows, aipw_scores(units(rows)), METHOD, level=level)
