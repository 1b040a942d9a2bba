"""How far the decisions stayed behind an oracle that knows both outcomes."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from ask_expert.gain.bootstrap import DRAWS, Draws, Totals, bootstrap, sums
from ask_expert.gain.enough import LEAST_PER_ARM
from ask_expert.gain.estimate import LEVEL, Estimate, Share
from ask_expert.gain.observations import Observation, Pair, evidence, pairs
from ask_expert.money import usd

METHOD = "regret, bootstrap by task"


@dataclass(frozen=True, slots=True, kw_only=True)
class Regret:
    """
    What an oracle would have done better on the questions of which both sides are known.

    Attributes:
        solved: Share of questions that an oracle solves and these decisions did not.
        same_calls: The same against an oracle that escalates no more often than was
            done.
        missed: Questions that stayed local and that only the expert would have solved.
        harmed: Questions that were escalated and that only the local model solves.
        needless_usd: What was paid for escalations that made nothing solved.
    """

    solved: Share
    same_calls: Share
    missed: int
    harmed: int
    needless_usd: Decimal


def regret(
    rows: Sequence[Observation],
    rng: Draws,
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
) -> Regret:
    """
    Compare decisions with an oracle; needs rows of which both outcomes are known.

    Args:
        rows: What was observed.
        rng: Source of chance.
        level: Of the intervals, two-sided.
        draws: How many resamples.
    """
    found = pairs(rows)
    treated = [pair for pair in found if pair.treated]
    totals = _by_task(found)

    def share(statistic: Callable[[Sequence[float]], float]) -> Share:
        few = len(totals) < LEAST_PER_ARM
        ends = (
            None if few else bootstrap(totals, statistic, rng, level=level, draws=draws)
        )
        value = None if few else statistic(sums(totals))
        note = f"Not enough data: {len(totals)} tasks, and {LEAST_PER_ARM} are needed."
        return Estimate(
            value=value,
            low=ends and ends[0],
            high=ends and ends[1],
            level=level,
            method=METHOD,
            n_treated=len(treated),
            n_control=len(found) - len(treated),
            evidence=evidence(rows, "pairs"),
            note=note if few else "",
        )

    return Regret(
        solved=share(lambda total: (total[2] + total[4]) / total[0]),
        same_calls=share(_same_calls),
        missed=sum(pair.difference > 0 for pair in found if not pair.treated),
        harmed=sum(pair.difference < 0 for pair in treated),
        needless_usd=usd(
            sum(pair.cost_nusd for pair in treated if pair.difference <= 0)
        ),
    )


def _by_task(found: Iterable[Pair]) -> list[Totals]:
    """Return of each task: pairs, escalated, missed gains, taken gains, and harms."""
    totals: dict[str, list[int]] = defaultdict(lambda: [0] * 5)
    for pair in found:
        own = totals[pair.task]
        own[0] += 1
        own[1] += pair.treated
        own[2] += pair.difference > 0 and not pair.treated
        own[3] += pair.difference > 0 and pair.treated
        own[4] += pair.difference < 0 and pair.treated
    return [tuple(map(float, own)) for own in totals.values()]


def _same_calls(total: Sequence[float]) -> float:
    """Return the regret where the oracle has no more calls: it takes gains first."""
    count, calls, missed, taken, harmed = total
    return (min(calls, missed + taken) - (taken - harmed)) / count
