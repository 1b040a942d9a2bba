"""
The estimators of `ask_expert.gain` over many simulated hold-outs at a time, in numpy.

A test holds each of them to the same numbers as the pure one. Rows are runs, columns
tasks in the order of their draws; `known` marks the outcomes that are not missing.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ask_expert.gain.aipw import LEAST_OTHERS
from ask_expert.gain.asymptotic import BEST_AT
from ask_expert.gain.enough import LEAST_PER_ARM
from ask_expert.gain.estimate import LEVEL, normal_quantile
from ask_expert.gain.sequence import BET

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

Z = normal_quantile(LEVEL)
ODDS = math.log(2 / (1 - LEVEL))


class Ends(NamedTuple):
    """An estimate of each run."""

    value: Floats
    low: Floats
    high: Floats

    def cover(self, truth: float) -> Flags:
        return (self.low <= truth) & (truth <= self.high)

    @property
    def width(self) -> Floats:
        return self.high - self.low


@dataclass(frozen=True, kw_only=True)
class Log:
    """
    Simulated hold-outs.

    Attributes:
        treated: Arms.
        chance: Propensities.
        solved: Outcomes, also those that are missing.
        cost: USD.
        stratum: 0 or 1.
        known: Which outcomes are not missing.
    """

    treated: Flags
    chance: Floats
    solved: Floats
    cost: Floats
    stratum: NDArray[np.int8]
    known: Flags

    @cached_property
    def weight(self) -> Floats:
        """One over the probability of the arm; zero where the outcome is missing."""
        own = np.where(self.treated, self.chance, 1 - self.chance)
        return self.known / own

    def assumed(self, *, treated: float, control: float) -> "Log":
        """Return it with every missing outcome put in."""
        put = np.where(self.treated, treated, control)
        solved = np.where(self.known, self.solved, put)
        return replace(self, solved=solved, known=np.ones_like(self.known))

    def counts(self) -> tuple[Floats, Floats]:
        """Return how many outcomes are known in each arm."""
        one = (self.treated & self.known).sum(1).astype(np.float64)
        return one, self.known.sum(1) - one

    def shown(self) -> Flags:
        """Return in which runs there is enough to give an estimate."""
        return np.minimum(*self.counts()) >= LEAST_PER_ARM


def wilson(share: Floats, n: Floats) -> tuple[Floats, Floats]:
    middle = share + Z**2 / (2 * n)
    half = np.sqrt(Z**2 * (share * (1 - share) / n + Z**2 / (4 * n**2)))
    scale = 1 + Z**2 / n
    return np.maximum(0, (middle - half) / scale), np.minimum(
        1, (middle + half) / scale
    )


def newcombe(log: Log) -> Ends:
    n1, n0 = log.counts()
    solved = log.solved * log.known
    p1 = (solved * log.treated).sum(1) / n1
    p0 = (solved * ~log.treated).sum(1) / n0
    (l1, u1), (l0, u0) = wilson(p1, n1), wilson(p0, n0)
    gain = p1 - p0
    return Ends(
        gain, gain - np.hypot(p1 - l1, u0 - p0), gain + np.hypot(u1 - p1, p0 - l0)
    )


class Arms(NamedTuple):
    """Weighted sums of one arm of each run."""

    weight: Floats
    share: Floats
    effective: Floats


def arm(log: Log, own: Flags) -> Arms:
    weight = log.weight * own
    total = weight.sum(1)
    share = (weight * log.solved).sum(1) / total
    return Arms(total, share, total**2 / (weight**2).sum(1))


def both(log: Log) -> tuple[Arms, Arms]:
    return arm(log, log.treated), arm(log, ~log.treated)


def constant_variance(arms: tuple[Arms, Arms]) -> Floats:
    parts = [
        np.where((each.share == 0) | (each.share == 1), each.effective, np.inf)
        for each in arms
    ]
    return sum((Z**2 / (n + Z**2) ** 2 for n in parts), np.zeros(len(parts[0])))


def by_scores(log: Log, scores: Floats) -> Ends:
    n = log.known.sum(1)
    value = (scores * log.known).sum(1) / n
    spread = (((scores - value[:, None]) ** 2) * log.known).sum(1) / (n - 1) / n
    half = Z * np.sqrt(spread + constant_variance(both(log)))
    low = np.maximum(np.minimum(-1, value), value - half)
    return Ends(value, low, np.minimum(np.maximum(1, value), value + half))


def ipw(log: Log) -> Ends:
    return by_scores(log, log.weight * log.solved * np.where(log.treated, 1, -1))


def influences(log: Log, values: Floats) -> tuple[Floats, Floats]:
    """Return the weighted difference of a column between the arms, and influences."""
    n = log.known.sum(1)[:, None]
    sides: list[Floats] = []
    means: list[Floats] = []
    for own in (log.treated, ~log.treated):
        weight = log.weight * own
        total = weight.sum(1)
        middle = (weight * values).sum(1) / total
        means.append(middle)
        sides.append(weight * (values - middle[:, None]) * n / total[:, None])
    return means[0] - means[1], sides[0] - sides[1]


def hajek(log: Log) -> Ends:
    gain, influence = influences(log, log.solved)
    return by_scores(log, gain[:, None] + influence)


def aipw(log: Log) -> Ends:
    expected = [_expected(log, log.treated), _expected(log, ~log.treated)]
    sign = np.where(log.treated, 1, -1)
    own = np.where(log.treated, *expected)
    mended = sign * log.weight * (log.solved - own)
    return by_scores(log, expected[0] - expected[1] + mended)


def _expected(log: Log, own: Flags) -> Floats:
    """Return what an arm is expected to solve of each task, by all other tasks."""
    whole = _left_out(log, own, np.ones_like(own))[1]
    for stratum in (0, 1):
        inside = log.stratum == stratum
        count, share = _left_out(log, own, inside)
        whole = np.where(inside & (count >= LEAST_OTHERS), share, whole)
    return whole


def _left_out(log: Log, own: Flags, inside: Flags) -> tuple[Floats, Floats]:
    member = (own & inside & log.known).astype(np.float64)
    weight = log.weight * member
    count = member.sum(1)[:, None] - member
    total = weight.sum(1)[:, None] - weight
    solved = (weight * log.solved).sum(1)[:, None] - weight * log.solved
    share = np.clip(solved / np.where(count > 0, total, 1), 0, 1)
    return count, np.where(count > 0, share, 0.5)


class Ratio(NamedTuple):
    """Dollars per solved problem in each run, and the net benefit."""

    price: Ends
    defined: Flags
    benefit: Ends

    def held(self, truth: float) -> Flags:
        """Return where the interval is defined and holds the truth."""
        return self.defined & self.price.cover(truth)


def money(log: Log, value_usd: float) -> Ratio:
    effect, effects = influences(log, log.solved)
    cost, costs = influences(log, log.cost)
    n = log.known.sum(1)
    divisor = n * (n - 1)
    ve = (effects**2).sum(1) / divisor + constant_variance(both(log))
    vc = (costs**2).sum(1) / divisor
    cov = (effects * costs).sum(1) / divisor
    ends, defined = fieller(cost, effect, vc, ve, cov)
    half = Z * np.sqrt(np.maximum(0, value_usd**2 * ve + vc - 2 * value_usd * cov))
    net = value_usd * effect - cost
    defined &= effect > 0
    return Ratio(ends, defined, Ends(net, net - half, net + half))


def fieller(
    cost: Floats, effect: Floats, vc: Floats, ve: Floats, cov: Floats
) -> tuple[Ends, Flags]:
    """Return cost over effect, and where it has an interval."""
    a = effect**2 - Z**2 * ve
    b = effect * cost - Z**2 * cov
    c = cost**2 - Z**2 * vc
    defined = a > 0
    safe = np.where(defined, a, 1)
    root = np.sqrt(np.maximum(0, b * b - safe * c))
    value = cost / np.where(effect == 0, 1, effect)
    return Ends(value, (b - root) / safe, (b + root) / safe), defined


class Walk(NamedTuple):
    """
    The doubly robust scores of each run with the bets on them, in time.

    Known outcomes come first in every row; behind them the stakes are zero.
    """

    live: Flags
    treated: Flags
    value: Floats
    low: Floats
    high: Floats
    expected: Floats
    stake: Floats


def walk(log: Log) -> Walk:
    order = np.argsort(~log.known, axis=1, kind="stable")

    def sorted_by(values: NDArray[np.generic]) -> NDArray[np.generic]:
        return np.take_along_axis(values, order, 1)

    live = sorted_by(log.known).astype(np.bool_)
    treated = sorted_by(log.treated).astype(np.bool_)
    solved = sorted_by(log.solved).astype(np.float64)
    up = 1 / sorted_by(log.chance).astype(np.float64)
    down = 1 / (1 - 1 / up)
    one, other = _before(solved, treated & live), _before(solved, ~treated & live)
    base = one - other
    value = base + np.where(treated, up * (solved - one), down * (other - solved))
    low = base - np.maximum(up * one, down * (1 - other))
    high = base + np.maximum(up * (1 - one), down * other)
    value = value * live
    t = times(live)
    total = value.cumsum(1)
    expected = np.clip((total - value) / t, low, high)
    squares = (((value - total / (t + 1)) ** 2) * live).cumsum(1)
    before = np.hstack([np.zeros((len(live), 1)), squares[:, :-1]])
    width = high - low
    variance = (width**2 / 4 + before) / t
    stake = np.minimum(np.sqrt(2 * ODDS / (variance * t * np.log1p(t))), BET / width)
    return Walk(live, treated, value, low, high, expected, stake * live)


def times(live: Flags) -> Floats:
    """Return 1, 2, … for the tasks of a row."""
    return np.arange(1, live.shape[1] + 1, dtype=np.float64)


def _before(solved: Floats, own: Flags) -> Floats:
    """Return the arm's running mean before each task, begun with a half."""
    hits, count = (solved * own).cumsum(1), own.cumsum(1)
    return (0.5 + hits - solved * own) / (1 + count - own)


def wealth(found: Walk, at: Floats, *, upwards: bool) -> Floats:
    """Return the logarithm of the most that the gambler has had, in each run."""
    against = at[:, None]
    room = against - found.low if upwards else found.high - against
    most = np.where(room > 0, BET / np.where(room > 0, room, 1), np.inf)
    gained = (found.value - against) * (1 if upwards else -1)
    steps = np.log1p(np.minimum(found.stake, most) * gained)
    return np.maximum(0, steps.cumsum(1).max(1))


def betting_holds(found: Walk, truth: float) -> Flags:
    """Return in which runs no look has ever refuted the truth."""
    at = np.full(len(found.live), truth)
    up, down = wealth(found, at, upwards=True), wealth(found, at, upwards=False)
    return np.maximum(up, down) < ODDS


def betting(found: Walk, halvings: int = 50) -> Ends:
    """Return the ends as they stand after the last task."""
    ends: list[Floats] = []
    for border, upwards in ((-1.0, True), (1.0, False)):
        refuted = np.full(len(found.live), border)
        kept = -refuted
        free = wealth(found, refuted, upwards=upwards) < ODDS
        for _ in range(halvings):
            middle = (refuted + kept) / 2
            out = wealth(found, middle, upwards=upwards) >= ODDS
            refuted, kept = np.where(out, middle, refuted), np.where(out, kept, middle)
        ends.append(np.where(free, border, refuted))
    value = found.value.sum(1) / found.live.sum(1)
    return Ends(np.clip(value, ends[0], ends[1]), ends[0], ends[1])


def bernstein(found: Walk) -> tuple[Floats, Floats]:
    """Return the weighted mean and the half width after each task."""
    width = found.high - found.low
    share = found.stake * width
    miss = (found.value - found.expected) / width
    weights = found.stake.cumsum(1)
    slack = ODDS + (miss**2 * (-np.log1p(-share) - share)).cumsum(1)
    return (found.stake * found.value).cumsum(1) / weights, slack / weights


def normal_walk(found: Walk) -> tuple[Floats, Floats, Floats]:
    """Return mean and standard deviation of the scores so far, and the smaller arm."""
    t = times(found.live)
    middle = found.value.cumsum(1) / t
    squares = (found.value**2).cumsum(1)
    spread = (squares - t * middle**2) / np.maximum(t - 1, 1)
    one = (found.treated & found.live).cumsum(1)
    few = np.minimum(one, found.live.cumsum(1) - one).astype(np.float64)
    return middle, np.sqrt(np.maximum(0, spread)), few


def asymptotic_factor(t: Floats) -> Floats:
    """Return half width over standard deviation."""
    odds = -2 * math.log(1 - LEVEL)
    rho2 = (odds + math.log1p(odds)) / BEST_AT
    grown = t * rho2 + 1
    return np.sqrt(grown / (t * t * rho2) * np.log(grown / (1 - LEVEL) ** 2))
