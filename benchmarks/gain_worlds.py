"""Simulated truths: hold-outs and pairs whose gain is known."""

from dataclasses import dataclass

import numpy as np

from benchmarks.gain_vectors import Flags, Floats, Log

BASE = (0.3, 0.6)
"""What the local model solves, by stratum; half of the tasks lie in each."""

PRICE = 0.02
LOCAL_PRICE = 0.001
CHANCES = {
    "0.5": (0.5, 0.5),
    "0.7": (0.7, 0.7),
    "0.9": (0.9, 0.9),
    "0.9 / 0.5": (0.9, 0.5),
}
"""Propensities by stratum, under the name of the design."""

LOPSIDED = 3.0
"""How much more often an outcome goes missing that speaks against escalating."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """
    A truth.

    Attributes:
        gain: What escalating adds to the probability of being solved.
        design: Name of the propensities.
        tasks: How many.
        missing: Share of outcomes that goes missing, not at random.
    """

    gain: float
    design: str
    tasks: int
    missing: float = 0.0

    @property
    def base(self) -> float:
        """What the local model solves."""
        return sum(BASE) / 2

    @property
    def more_usd(self) -> float:
        """What an escalated task costs more, on average."""
        return PRICE * (1.5 - 0.5 * (self.base + self.gain)) - LOCAL_PRICE

    @property
    def fewer_per_arm(self) -> float:
        """Known outcomes to expect in the smaller arm."""
        escalated = sum(CHANCES[self.design]) / 2
        return self.tasks * (1 - self.missing) * min(escalated, 1 - escalated)


def drawn(world: World, runs: int, rng: np.random.Generator) -> Log:
    """Draw hold-outs of a world."""
    shape = (runs, world.tasks)
    stratum = rng.integers(0, 2, shape, dtype=np.int8)
    chance = np.array(CHANCES[world.design])[stratum]
    treated = rng.random(shape) < chance
    likely = np.array(BASE)[stratum] + world.gain * treated
    solved = (rng.random(shape) < likely).astype(np.float64)
    paid = PRICE * rng.gamma(4.0, 0.25, shape) * (1.5 - 0.5 * solved)
    return Log(
        treated=treated,
        chance=chance,
        solved=solved,
        cost=np.where(treated, paid, LOCAL_PRICE),
        stratum=stratum,
        known=rng.random(shape) >= _lost(world, treated, solved),
    )


def _lost(world: World, treated: Flags, solved: Floats) -> Floats:
    """Return the chance that an outcome goes missing: more often one against us."""
    against = treated == (solved < 0.5)
    escalated = sum(CHANCES[world.design]) / 2
    share = escalated * (1 - world.base - world.gain) + (1 - escalated) * world.base
    odd = world.missing / (LOPSIDED * share + 1 - share)
    return np.minimum(1.0, np.where(against, LOPSIDED * odd, odd))


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """
    Both answers of questions, in tasks of one to three.

    Attributes:
        present: Which questions there are, by run, task and place.
        expert: Which of them the expert solves.
        local: Which of them the local model solves.
        cost: USD of each.
        treated: Which of them were escalated.
    """

    present: Flags
    expert: Flags
    local: Flags
    cost: Floats
    treated: Flags


def graded(gain: float, tasks: int, runs: int, rng: np.random.Generator) -> Graded:
    """Draw pairs whose questions are the more alike within a task."""
    shape = (runs, tasks, 3)
    present = np.arange(3) < rng.integers(1, 4, (runs, tasks, 1))
    hard = rng.uniform(-0.25, 0.25, (runs, tasks, 1))
    base = sum(BASE) / 2
    chance = rng.random(shape)
    alike = rng.random(shape) < 0.5
    again = np.where(alike, chance, rng.random(shape))
    expert = present & (again < base + gain + hard)
    paid = PRICE * rng.gamma(4.0, 0.25, shape) * (1.5 - 0.5 * expert)
    return Graded(
        present=present,
        expert=expert,
        local=present & (chance < base + hard),
        cost=paid * present,
        treated=present & (rng.random(shape) < 0.6),
    )
