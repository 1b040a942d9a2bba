"""
The gain by pairs: both sides of the same questions, resampled by task.

Source:
    As `bootstrap`; where every task shows the same, which resampling cannot vary, the
    reach of Wilson's interval (1927) over the number of tasks.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from ask_expert.gain.bootstrap import DRAWS, Draws, bootstrap
from ask_expert.gain.enough import LEAST_PER_ARM
from ask_expert.gain.estimate import LEVEL, Estimate, Share, normal_quantile
from ask_expert.gain.observations import Observation, Pair, evidence, pairs

METHOD = "paired bootstrap by task"
Total = tuple[float, float]
"""Of one task: how many pairs, and the sum of their differences."""


def paired(
    rows: Sequence[Observation],
    rng: Draws,
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
) -> Share:
    """
    Return the share of questions that only the expert solves, less the reverse.

    Args:
        rows: What was observed; pairs of which a side is unknown are left out.
        rng: Source of chance.
        level: Of the interval, two-sided.
        draws: How many resamples.
    """
    found = pairs(rows)
    totals = by_task(found)
    value: float | None = None
    low: float | None = None
    high: float | None = None
    note = ""
    if len(totals) < LEAST_PER_ARM:
        note = (
            f"Not enough data: pairs of {len(totals)} tasks, and {LEAST_PER_ARM} are "
            f"needed; {LEAST_PER_ARM - len(totals)} more."
        )
    else:
        value = _rate([len(found), sum(pair.difference for pair in found)])
        low, high = _interval(totals, rng, level=level, draws=draws)
        low, high = min(low, value), max(high, value)
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


def by_task(found: Iterable[Pair]) -> list[Total]:
    """Return the totals of each task, in order of size."""
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for pair in found:
        totals[pair.task][0] += 1
        totals[pair.task][1] += pair.difference
    return sorted((float(count), float(gained)) for count, gained in totals.values())


def _rate(total: Sequence[float]) -> float:
    return total[1] / total[0]


def _interval(
    totals: list[Total], rng: Draws, *, level: float, draws: int
) -> tuple[float, float]:
    """
    Return the interval; that of the exchanged arms is its mirror image to the bit.

    Of a table and its mirror image the same one is resampled.
    """
    mirrored = sorted((count, -gained) for count, gained in totals)
    own = max(totals, mirrored)
    low, high = bootstrap(own, _rate, rng, level=level, draws=draws)
    if low == high:
        reach = constant_reach(len(totals), level)
        low, high = max(-1.0, low - reach), min(1.0, high + reach)
    if totals == mirrored:
        half = (high - low) / 2
        return -half, half
    return (low, high) if own == totals else (-high, -low)


def constant_reach(n: int, level: float) -> float:
    """Return how far Wilson's interval reaches where all of `n` show the same."""
    z2 = normal_quantile(level) ** 2
    return z2 / (n + z2)
