"""
Shares of one kind of row: how often it went so. None of them is the gain.

Rows of one task are not independent evidence: the interval is that of as many things
as there are tasks.
"""

from collections.abc import Sequence

from ask_expert.gain.estimate import LEVEL, Design, Estimate, Share
from ask_expert.gain.observations import Observation, evidence, pairs
from ask_expert.gain.wilson import wilson

METHOD = "Wilson"


def solved_after(
    rows: Sequence[Observation], *, treated: bool = True, level: float = LEVEL
) -> Share:
    """
    Return the share of one arm's questions that were solved afterwards.

    It is no gain: what would have been solved without the expert is in it too.
    """
    own = [row for row in rows if row.treated is treated]
    seen = [(row.task, bool(row.solved)) for row in own if row.solved is not None]
    note = "Not a gain: some would have been solved without the expert."
    return _share(own, seen, "escalated", level=level, note=note if treated else "")


def harm_rate(rows: Sequence[Observation], *, level: float = LEVEL) -> Share:
    """Return the share of pairs that the local answer solves and the expert's does not."""
    seen = [(pair.task, pair.difference < 0) for pair in pairs(rows)]
    return _share(rows, seen, "pairs", level=level)


def needless_rate(rows: Sequence[Observation], *, level: float = LEVEL) -> Share:
    """Return the share of pairs in which the expert's answer made nothing solved."""
    seen = [(pair.task, pair.difference <= 0) for pair in pairs(rows)]
    return _share(rows, seen, "pairs", level=level)


def unknown_share(rows: Sequence[Observation], *, level: float = LEVEL) -> Share:
    """Return the share of rows whose outcome is unknown."""
    seen = [(row.task, row.solved is None) for row in rows]
    return _share(rows, seen, "escalated", level=level)


def _share(
    rows: Sequence[Observation],
    seen: Sequence[tuple[str, bool]],
    design: Design,
    *,
    level: float,
    note: str = "",
) -> Share:
    tasks = len({task for task, _ in seen})
    hits = sum(hit for _, hit in seen)
    treated = sum(row.treated for row in rows)
    low, high = wilson(hits / len(seen), tasks, level=level) if seen else (None, None)
    if tasks < len(seen):
        note = f"{note} The interval counts {tasks} tasks.".strip()
    return Estimate(
        value=hits / len(seen) if seen else None,
        low=low,
        high=high,
        level=level,
        method=METHOD,
        n_treated=treated,
        n_control=len(rows) - treated,
        evidence=evidence(rows, design),
        note=note if seen else "Not enough data: no known outcome.",
    )
