"""What is counted in one simulated truth: how often each interval holds it."""

import math
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from ask_expert.gain.asymptotic import LEAST
from ask_expert.gain.enough import LEAST_PER_ARM
from benchmarks import gain_pairs, gain_vectors
from benchmarks.gain_vectors import Log, Z
from benchmarks.gain_worlds import CHANCES, World, drawn, graded

WORTH_USD = 0.10
BLOCK = 25
DRAWS = 1000

FIXED_METHODS = {
    "Newcombe": gain_vectors.newcombe,
    "Hájek": gain_vectors.hajek,
    "AIPW": gain_vectors.aipw,
    "IPW": gain_vectors.ipw,
}


class Tally:
    """Means of what was counted, each with how many runs it was counted in."""

    def __init__(self) -> None:
        self._sum: dict[str, float] = defaultdict(float)
        self._count: dict[str, int] = defaultdict(int)

    def add(self, name: str, values: ArrayLike, where: ArrayLike | None = None) -> None:
        """Count values, of all runs or of some."""
        own = np.asarray(values, dtype=np.float64)
        if where is not None:
            own = own[np.asarray(where, dtype=np.bool_)]
        self._sum[name] += float(own.sum())
        self._count[name] += len(own)

    def mean(self, name: str) -> float:
        """Return the mean; not a number where nothing was counted."""
        count = self._count[name]
        return self._sum[name] / count if count else math.nan

    def short_of(self, name: str, promise: float) -> bool:
        """Return whether it is below a promise by more than chance explains."""
        count = self._count[name]
        error = math.sqrt(promise * (1 - promise) / count) if count else 0.0
        return self.mean(name) < promise - 3 * error


def blocks(runs: int) -> Iterable[int]:
    """Yield sizes of blocks that fit into a cache."""
    for begun in range(0, runs, BLOCK):
        yield min(BLOCK, runs - begun)


def seeded(*parts: object) -> np.random.Generator:
    """Return chance of its own for each simulation, whatever else is run."""
    return np.random.default_rng([*"/".join(map(str, parts)).encode()])


def one_look(tally: Tally, log: Log, world: World) -> None:
    """Count the intervals that are for one look, where there is enough to show one."""
    shown = log.shown()
    tally.add("shown", shown)
    for name, method in FIXED_METHODS.items():
        if name == "Newcombe" and len(set(CHANCES[world.design])) > 1:
            continue
        found = method(log)
        tally.add(name, found.cover(world.gain), shown)
        tally.add(f"{name} width", found.width, shown)
    money = gain_vectors.money(log, WORTH_USD)
    net = WORTH_USD * world.gain - world.more_usd
    tally.add("net benefit", money.benefit.cover(net), shown)
    if world.gain > 0:
        price = world.more_usd / world.gain
        tally.add("ICER defined", money.defined, shown)
        tally.add("ICER", money.held(price), shown & money.defined)
        tally.add("Fieller set", money.held(price) | ~money.defined, shown)
    rate = (log.solved * log.treated * log.known).sum(1) / log.counts()[0]
    low, high = gain_vectors.wilson(rate, log.counts()[0])
    tally.add("naive", rate, shown)
    tally.add("naive holds", (low <= world.gain) & (world.gain <= high), shown)
    truth = world.base + world.gain
    if not world.missing and len(set(CHANCES[world.design])) == 1:
        tally.add("Wilson", (low <= truth) & (truth <= high), shown)


def every_look(tally: Tally, log: Log, world: World) -> None:
    """Count the intervals under a look after every task."""
    found = gain_vectors.walk(log)
    tally.add("betting", gain_vectors.betting_holds(found, world.gain))
    middle, half = gain_vectors.bernstein(found)
    held = (np.abs(middle - world.gain) <= half).all(1)
    tally.add("Bernstein", held)
    low = np.maximum.accumulate(middle - half, axis=1)[:, -1].clip(-1, 1)
    high = np.minimum.accumulate(middle + half, axis=1)[:, -1].clip(-1, 1)
    tally.add("Bernstein width", high - low, held)
    middle, spread, few = gain_vectors.normal_walk(found)
    t = gain_vectors.times(found.live)
    off = np.abs(middle - world.gain)
    late = few >= LEAST
    factor = gain_vectors.asymptotic_factor(t)
    outside = ((off > spread * factor) & late).any(1)
    tally.add("asymptotic", ~outside, late[:, -1])
    tally.add("asymptotic width", 2 * (spread * factor)[:, -1], late[:, -1])
    looked = few >= LEAST_PER_ARM
    wald = ((off > Z * spread / np.sqrt(t)) & looked).any(1)
    tally.add("Wald", ~wald, looked[:, -1])


@np.errstate(divide="ignore", invalid="ignore")
def simulated(world: World, runs: int, *, widths: int = 0) -> Tally:
    """Return the counts of a world without missing outcomes."""
    tally, rng = Tally(), seeded(world)
    for size in blocks(runs):
        log = drawn(world, size, rng)
        one_look(tally, log, world)
        every_look(tally, log, world)
        if widths > 0:
            few = gain_vectors.walk(drawn(world, min(widths, size), rng))
            tally.add("betting width", gain_vectors.betting(few, 16).width)
            widths -= size
    return tally


@np.errstate(divide="ignore", invalid="ignore")
def simulated_missing(world: World, runs: int) -> Tally:
    """Return the counts of a world of which outcomes are missing, not at random."""
    tally, rng = Tally(), seeded(world)
    varies = len(set(CHANCES[world.design])) > 1
    method = gain_vectors.hajek if varies else gain_vectors.newcombe
    for size in blocks(runs):
        log = drawn(world, size, rng)
        shown = log.shown()
        found = method(log)
        least = method(log.assumed(treated=0.0, control=1.0))
        most = method(log.assumed(treated=1.0, control=0.0))
        tally.add("known", found.cover(world.gain), shown)
        tally.add("bias", found.value - world.gain, shown)
        held = (least.low <= world.gain) & (world.gain <= most.high)
        tally.add("bounds", held, shown)
        tally.add("width", most.high - least.low, shown)
        tally.add("missing", (~log.known).mean(1))
        tally.add("known says more", found.low > 0, shown)
        tally.add("says more", (found.low > 0) & (least.low > 0), shown)
        walk = gain_vectors.walk(log)
        tally.add("betting", gain_vectors.betting_holds(walk, world.gain))
    return tally


@np.errstate(divide="ignore", invalid="ignore")
def simulated_pairs(gain: float, tasks: int, runs: int) -> Tally:
    """Return the counts of what is read from pairs; truths by a very large table."""
    tally, rng = Tally(), seeded("pairs", gain, tasks)
    large = graded(gain, 300_000, 1, rng)
    whole = gain_pairs.totals(large).sum(1)
    figures = {
        "bootstrap": (gain_pairs.gained, gain),
        "regret": (gain_pairs.regretted, float(gain_pairs.regretted(whole)[0])),
        "regret, same calls": (
            gain_pairs.regretted_at_same_calls,
            float(gain_pairs.regretted_at_same_calls(whole)[0]),
        ),
    }
    harm = float(gain_pairs.harm(large).value[0])
    price = float(gain_pairs.recovered(large)[0].value[0])
    for size in blocks(runs):
        found = graded(gain, tasks, size, rng)
        statistics = [statistic for statistic, _ in figures.values()]
        ends = gain_pairs.bootstrap(gain_pairs.totals(found), statistics, DRAWS, rng)
        for (name, (_, truth)), each in zip(figures.items(), ends, strict=True):
            tally.add(name, each.cover(truth))
        tally.add("harm", gain_pairs.harm(found).cover(harm))
        tally.add("McNemar", np.full(size, gain_pairs.surprised(found)))
        if gain > 0:
            paid, defined = gain_pairs.recovered(found)
            tally.add("price defined", defined)
            tally.add("price", paid.cover(price), defined)
            tally.add("price set", paid.cover(price) | ~defined)
    return tally
