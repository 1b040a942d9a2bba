"""
What unknown outcomes could make of the gain at worst and at best.

Nothing is assumed about why an outcome is unknown: at worst every unknown escalated
task failed and every unknown task of the other arm was solved, at best the reverse.

Source:
    Manski (1990), "Nonparametric bounds on treatment effects"; Horowitz and Manski
    (2000), for outcomes that are missing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ask_expert.gain.bootstrap import DRAWS, Draws
from ask_expert.gain.estimate import LEVEL, Share
from ask_expert.gain.headline import headline
from ask_expert.gain.observations import Observation, evidence
from ask_expert.gain.paired import paired

WORST = "Every unknown outcome is counted against escalating."
BEST = "Every unknown outcome is counted for escalating."


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """
    The gain with every unknown outcome against escalating, and for it.

    Attributes:
        least: At worst; its lower end holds the error of chance as well.
        most: At best; its upper end holds the error of chance as well.
        unknown_share: Share of the outcomes that is unknown, in [0, 1].
    """

    least: Share
    most: Share
    unknown_share: float


def assumed(
    rows: Iterable[Observation], *, treated: bool, control: bool
) -> list[Observation]:
    """
    Return the rows with every unknown outcome put in.

    Args:
        rows: What was observed.
        treated: What unknown outcomes of escalated rows are taken for.
        control: What those of the other arm are taken for.
    """
    return [
        row
        if row.solved is not None
        else replace(row, solved=treated if row.treated else control)
        for row in rows
    ]


def bounds(rows: Sequence[Observation], *, level: float = LEVEL) -> Bounds:
    """
    Return the bounds of a hold-out's gain.

    Raises:
        ValueError: As `units`.
    """
    rest = evidence(rows, "hold_out")
    least = headline(assumed(rows, treated=False, control=True), level=level)
    most = headline(assumed(rows, treated=True, control=False), level=level)
    return Bounds(
        least=replace(least, evidence=rest, note=f"{WORST} {least.note}".strip()),
        most=replace(most, evidence=rest, note=f"{BEST} {most.note}".strip()),
        unknown_share=rest.unknown_share,
    )


def paired_bounds(
    rows: Sequence[Observation],
    rng: Draws,
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
) -> Bounds:
    """
    Return the bounds of the gain by pairs; only pairs that were to be made count.

    Args:
        rows: What was observed.
        rng: Source of chance.
        level: Of the intervals, two-sided.
        draws: How many resamples.
    """
    rest = evidence(rows, "pairs")
    least, most = (
        paired(
            [_graded(row, expert=expert) if row.paired else row for row in rows],
            rng,
            level=level,
            draws=draws,
        )
        for expert in (False, True)
    )
    return Bounds(
        least=replace(least, evidence=rest, note=f"{WORST} {least.note}".strip()),
        most=replace(most, evidence=rest, note=f"{BEST} {most.note}".strip()),
        unknown_share=rest.unknown_share,
    )


def _graded(row: Observation, *, expert: bool) -> Observation:
    """Return a pair with what is unknown put in for the expert, or against it."""
    by_expert = expert if row.expert is None else row.expert
    by_local = not expert if row.local is None else row.local
    if row.treated:
        return replace(row, solved=by_expert, local_solved=by_local)
    return replace(row, solved=by_local, expert_solved=by_expert)
