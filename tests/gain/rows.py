"""Rows to estimate from: made by hand, drawn by hypothesis, mirrored."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ask_expert.gain.estimate import Estimate, N, Source
from ask_expert.gain.observations import Observation

CHANCES = [0.05, 0.5, 0.7, 0.9]
CODES = st.integers(0, 10**12)


LAW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
"""How laws of many rows are tried: a busy machine breaks none of them."""


class Digits:
    """The digits of a number, in whatever base is asked for: one draw is a row."""

    def __init__(self, code: int) -> None:
        self._code = code

    def take(self, base: int) -> int:
        """Return the next digit, in [0, base)."""
        self._code, digit = divmod(self._code, base)
        return digit


def rng(seed: int = 1) -> Random:
    """Return seeded chance."""
    return Random(seed)  # noqa: S311  # nothing secret hangs on it


SOURCES: list[Source | None] = ["check", "person", "judge", "agent", None]


def arm(
    solved: int,
    of: int,
    *,
    treated: bool,
    propensity: float = 0.5,
    unknown: int = 0,
    cost_nusd: int = 0,
) -> list[Observation]:
    """Return an arm with so many solved, and so many unknown, each a task of its own."""
    outcomes = [True] * solved + [False] * (of - solved) + [None] * unknown
    return [
        Observation(
            task=f"{'escalated' if treated else 'held out'} {number}",
            treated=treated,
            propensity=propensity,
            solved=each,
            cost_nusd=cost_nusd,
        )
        for number, each in enumerate(outcomes)
    ]


def known(found: Estimate[N]) -> tuple[N, N, N]:
    """Return value and interval of an estimate that has them."""
    assert found.value is not None, found.note
    assert found.low is not None
    assert found.high is not None
    return found.value, found.low, found.high


@st.composite
def drawn(draw: st.DrawFn) -> list[Observation]:
    """Return drawn tasks, with at least ten known outcomes in each arm."""
    vary = draw(st.booleans())
    codes = draw(st.lists(CODES, min_size=20, max_size=60))
    rows = [
        _row(code, treated=place % 2 == 0, known=place < 20, vary=vary)
        for place, code in enumerate(codes)
    ]
    order = sorted(range(len(rows)), key=lambda place: codes[place] % 9973)
    return [replace(rows[place], task=f"t{place}") for place in order]


def _row(code: int, *, treated: bool, known: bool, vary: bool) -> Observation:
    """Return a row whose values are the digits of a number."""
    digits = Digits(code)
    outcomes = [True, False] if known else [True, False, None]
    return Observation(
        task="",
        treated=treated,
        propensity=CHANCES[digits.take(len(CHANCES))] if vary else 0.7,
        solved=outcomes[digits.take(len(outcomes))],
        stratum="ab"[digits.take(2)],
        source=SOURCES[digits.take(len(SOURCES))],
        cost_nusd=digits.take(10**9),
    )


@st.composite
def graded(draw: st.DrawFn) -> list[Observation]:
    """Return questions of which both sides may be known, in at least ten tasks."""
    codes = draw(st.lists(CODES, min_size=10, max_size=40))
    rows: list[Observation] = []
    for place, code in enumerate(codes):
        digits = Digits(code)
        treated = digits.take(2) == 0
        sides = [True, False] if place < 10 else [True, False, None]
        own, other = (sides[digits.take(len(sides))] for _ in range(2))
        rows.append(
            Observation(
                task=f"t{place if place < 10 else digits.take(15)}",
                treated=treated,
                solved=own,
                local_solved=other if treated else None,
                expert_solved=None if treated else other,
                cost_nusd=digits.take(10**9),
                paired=True,
            )
        )
    return rows


def swapped(rows: Iterable[Observation]) -> list[Observation]:
    """Return the same with the arms exchanged."""
    return [
        replace(
            row,
            treated=not row.treated,
            propensity=None if row.propensity is None else 1 - row.propensity,
            local_solved=row.expert_solved,
            expert_solved=row.local_solved,
        )
        for row in rows
    ]


def answers_swapped(rows: Iterable[Observation]) -> list[Observation]:
    """Return the same with the two answers exchanged, and the arms left alone."""
    return [
        replace(
            row,
            solved=row.local if row.treated else row.expert,
            local_solved=row.expert if row.treated else None,
            expert_solved=None if row.treated else row.local,
        )
        for row in rows
    ]


def relabelled(rows: Sequence[Observation]) -> list[Observation]:
    """Return the same with other names of tasks and strata."""
    return [
        replace(
            row,
            task=f"other {row.task}",
            stratum={"a": "z", "b": "y"}.get(row.stratum, ""),
        )
        for row in rows
    ]


def with_more_unknown(rows: Sequence[Observation]) -> list[Observation]:
    """Return the same with each unknown outcome there twice."""
    again = [
        replace(row, task=f"again {row.task}")
        for row in rows
        if row.solved is None or None in (row.expert, row.local)
    ]
    return [
        *rows,
        *(row for row in again if row.propensity is None or row.solved is None),
    ]
