"""
What the estimators read: one row a question, in the order of the draws.

A row belongs here once its outcome is final, known or unknown.

Arms are drawn by task, so that retries, the cache and threads cannot cross them, and a
row is analysed by the arm that was drawn for it, whatever was done then.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, get_args

from ask_expert.gain.estimate import Design, Evidence, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """
    A question of which the expert was asked, or could have been.

    Attributes:
        task: Name of its task: what was drawn together is evidence once.
        treated: The arm that was drawn: escalated, or else held out.
        propensity: Probability of `treated` being True, as it was logged before the
            draw; None where nothing was drawn.
        solved: Outcome in the arm that was drawn; None is unknown.
        cost_nusd: What it cost in that arm, in nano-dollars, local work included
            where that has a price.
        stratum: Group within which the propensity was set, such as a bin of the
            confidence.
        local_solved: Whether the local answer, which the agent did not see, solves an
            escalated question; None is unknown.
        expert_solved: Whether the expert's answer, which the agent did not see, solves
            a question that was not escalated; None is unknown.
        paired: Whether the other arm was to be answered too: only then is a side that
            nobody graded an unknown outcome of a pair.
        source: Who said so; None where that was not handed in.

    Raises:
        ValueError: A propensity that no draw can have, or the answer of the arm that
            was taken given as that of the other one.
    """

    task: str
    treated: bool
    propensity: float | None = None
    solved: bool | None = None
    cost_nusd: int = 0
    stratum: str = ""
    local_solved: bool | None = None
    expert_solved: bool | None = None
    paired: bool = False
    source: Source | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.propensity is not None and not 0 < self.propensity < 1:
            raise ValueError(
                f"task {self.task!r} has propensity {self.propensity}: with a chance "
                "of 0 or 1 nothing is drawn, and the other arm has no support; leave "
                "such rows out of the hold-out, or give None"
            )
        other = self.expert_solved if self.treated else self.local_solved
        if other is not None:
            raise ValueError(
                f"task {self.task!r}: {'expert' if self.treated else 'local'}_solved "
                "is for the arm that was not taken; `solved` holds that of the other"
            )

    @property
    def expert(self) -> bool | None:
        """Whether the expert's answer solves it."""
        return self.solved if self.treated else self.expert_solved

    @property
    def local(self) -> bool | None:
        """Whether the local answer solves it."""
        return self.local_solved if self.treated else self.solved


class Unit(NamedTuple):
    """A task of known outcome whose arm was drawn."""

    treated: bool
    propensity: float
    solved: float
    cost_nusd: int
    stratum: str

    @property
    def weight(self) -> float:
        """One over the probability of the arm that was drawn."""
        return 1 / (self.propensity if self.treated else 1 - self.propensity)


class Pair(NamedTuple):
    """A question of which both answers are graded."""

    task: str
    treated: bool
    expert: bool
    local: bool
    cost_nusd: int

    @property
    def difference(self) -> int:
        """1 where only the expert solves it, -1 where only the local model does."""
        return int(self.expert) - int(self.local)


def one_per_task(rows: Iterable[Observation]) -> list[Observation]:
    """
    Return one row for each task: its first one, with the costs of the whole task.

    The first row is the one for which the arm was drawn. How many more questions a
    task has is a result of its arm, so that their outcomes would not compare like
    with like; their costs belong to the arm all the same.

    Raises:
        ValueError: A task has rows in both arms.
    """
    first: dict[str, Observation] = {}
    cost: Counter[str] = Counter()
    for row in rows:
        begun = first.setdefault(row.task, row)
        cost[row.task] += row.cost_nusd
        if begun.treated is not row.treated:
            raise ValueError(
                f"task {row.task!r} has rows in both arms: its arm is drawn once"
            )
    return [replace(row, cost_nusd=cost[task]) for task, row in first.items()]


def units(rows: Sequence[Observation]) -> list[Unit]:
    """
    Return the drawn tasks of known outcome, in their order.

    Raises:
        ValueError: A row was not drawn, or a task has several rows.
    """
    found: list[Unit] = []
    tasks: set[str] = set()
    for row in rows:
        if row.propensity is None:
            raise ValueError(
                f"task {row.task!r} has no propensity: its arm was not drawn, so it "
                "says nothing about a hold-out; leave it out"
            )
        if row.task in tasks:
            raise ValueError(
                f"task {row.task!r} has several rows; draw them together by "
                "`one_per_task`"
            )
        tasks.add(row.task)
        if row.solved is not None:
            found.append(
                Unit(
                    row.treated,
                    row.propensity,
                    float(row.solved),
                    row.cost_nusd,
                    row.stratum,
                )
            )
    return found


def pairs(rows: Iterable[Observation]) -> list[Pair]:
    """Return the questions of which both answers are graded, in their order."""
    return [
        Pair(row.task, row.treated, row.expert, row.local, row.cost_nusd)
        for row in rows
        if row.expert is not None and row.local is not None
    ]


def evidence(rows: Iterable[Observation], design: Design) -> Evidence:
    """Return what an estimate of that design rests on in these rows."""
    found: Counter[Source | None] = Counter()
    unknown = 0
    for row in rows:
        sides = (row.expert, row.local) if design == "pairs" else (row.solved,)
        if None not in sides:
            found[row.source] += 1
        elif design != "pairs" or row.paired:
            unknown += 1
    order = (*get_args(Source), None)
    return Evidence(
        design=design,
        sources=tuple((each, found[each]) for each in order if found[each]),
        unknown=unknown,
    )


def mean(values: Sequence[float]) -> float:
    """Return the mean; the order of the values does not change a bit of it."""
    return math.fsum(values) / len(values)
