"""Intervals of what is read from pairs, over many simulated tables at a time."""

from collections.abc import Callable, Sequence

import numpy as np

from ask_expert.gain.mcnemar import sign_test
from benchmarks.gain_vectors import Ends, Flags, Floats, fieller, wilson
from benchmarks.gain_worlds import Graded

Statistic = Callable[[Floats], Floats]
"""Makes a figure of totals in the last axis, whose columns are `totals`'."""


def totals(found: Graded) -> Floats:
    """
    Return by run and task: pairs, differences, calls, missed, taken and harmed.

    The last three are as in `regret`.
    """
    better = found.expert & ~found.local
    worse = found.local & ~found.expert
    columns = [
        found.present,
        better.astype(np.int8) - worse,
        found.treated,
        better & ~found.treated,
        better & found.treated,
        worse & found.treated,
    ]
    return np.stack([column.sum(2) for column in columns], -1).astype(np.float64)


def gained(total: Floats) -> Floats:
    return total[..., 1] / total[..., 0]


def regretted(total: Floats) -> Floats:
    return (total[..., 3] + total[..., 5]) / total[..., 0]


def regretted_at_same_calls(total: Floats) -> Floats:
    gains = total[..., 3] + total[..., 4]
    done = total[..., 4] - total[..., 5]
    return (np.minimum(total[..., 2], gains) - done) / total[..., 0]


def bootstrap(
    tasks: Floats, statistics: Sequence[Statistic], draws: int, rng: np.random.Generator
) -> list[Ends]:
    """
    Return the percentile intervals of each run, one for each statistic.

    Tasks with the same totals are drawn as one kind, which is the same law.
    """
    ends: list[list[Floats]] = [[] for _ in statistics]
    for run in tasks:
        kinds, count = np.unique(run, axis=0, return_counts=True)
        drawn = rng.multinomial(len(run), count / len(run), draws).astype(np.float64)
        for own, statistic in zip(ends, statistics, strict=True):
            own.append(np.quantile(statistic(drawn @ kinds), [0.025, 0.975]))
    found: list[Ends] = []
    for own, statistic in zip(ends, statistics, strict=True):
        low, high = np.array(own).T
        value = statistic(tasks.sum(1))
        found.append(Ends(value, np.minimum(low, value), np.maximum(high, value)))
    return found


def harm(found: Graded) -> Ends:
    """Return the share of pairs that are harmed, with as much evidence as tasks."""
    n = found.present.sum((1, 2))
    share = (found.local & ~found.expert).sum((1, 2)) / n
    tasks = np.full(len(share), float(found.present.shape[1]))
    return Ends(share, *wilson(share, tasks))


def recovered(found: Graded) -> tuple[Ends, Flags]:
    """Return the price per recovered answer, and where it has an interval."""
    cost = found.cost.sum(2)
    effect = (found.expert.astype(np.int8) - found.local).sum(2).astype(np.float64)
    n = cost.shape[1]
    costs, effects = cost - cost.mean(1)[:, None], effect - effect.mean(1)[:, None]
    divisor = n * (n - 1)
    ends, defined = fieller(
        cost.mean(1),
        effect.mean(1),
        (costs**2).sum(1) / divisor,
        (effects**2).sum(1) / divisor,
        (costs * effects).sum(1) / divisor,
    )
    return ends, defined & (effect.sum(1) > 0)


def surprised(found: Graded) -> float:
    """Return how often McNemar's test says `different`, by one pair of each task."""
    better = (found.expert & ~found.local)[:, :, 0].sum(1)
    worse = (found.local & ~found.expert)[:, :, 0].sum(1)
    tests = [sign_test(int(b), int(c)) for b, c in zip(better, worse, strict=True)]
    return float(np.mean(np.array(tests) < 0.05))
