"""Whether there are outcomes enough to say anything, and else when there will be."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ask_expert.gain.estimate import LEVEL, Estimate, Share
from ask_expert.gain.observations import Observation, evidence, mean, units

LEAST_PER_ARM = 10
"""With fewer known outcomes in an arm no estimate is given."""

_LONGEST_DAYS = 3650


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """
    Too few known outcomes.

    Attributes:
        n_treated: Known outcomes of escalated tasks.
        n_control: Known outcomes of held-out tasks.
        more_tasks: About how many more tasks have to be drawn, at the propensities
            and the share of unknown outcomes so far; None where nothing was drawn.
    """

    n_treated: int
    n_control: int
    more_tasks: int | None

    def ready_at(self, now: datetime, *, tasks_per_day: float) -> datetime | None:
        """Return when there will be enough; None where that is not in ten years."""
        if self.more_tasks is None or tasks_per_day <= 0:
            return None
        days = self.more_tasks / tasks_per_day
        return now + timedelta(days=days) if days <= _LONGEST_DAYS else None

    def sentence(
        self, now: datetime | None = None, *, tasks_per_day: float = 0.0
    ) -> str:
        """
        Return it for people.

        Args:
            now: The present; None leaves out when there will be enough.
            tasks_per_day: How many tasks were drawn a day, of late.
        """
        text = (
            f"Not enough data: {self.n_treated} escalated and {self.n_control} held-out "
            f"tasks of known outcome, and {LEAST_PER_ARM} of each are needed."
        )
        if self.more_tasks is None:
            return text
        text += f" About {self.more_tasks:,} more tasks have to be drawn"
        at = None if now is None else self.ready_at(now, tasks_per_day=tasks_per_day)
        if at is None:
            return f"{text}."
        return f"{text}; at this rate that is on {at.day} {at:%B %Y}."


def shortage(rows: Sequence[Observation]) -> Shortage | None:
    """
    Return what is lacking for an estimate of the hold-out; None where nothing is.

    Raises:
        ValueError: As `units`.
    """
    known = units(rows)
    treated = sum(unit.treated for unit in known)
    control = len(known) - treated
    if min(treated, control) >= LEAST_PER_ARM:
        return None
    more: int | None = None
    if known:
        share = mean([unit.propensity for unit in known])
        drawn = max(
            (LEAST_PER_ARM - treated) / share, (LEAST_PER_ARM - control) / (1 - share)
        )
        more = math.ceil(drawn * len(rows) / len(known))
    return Shortage(n_treated=treated, n_control=control, more_tasks=more)


def too_few(
    rows: Sequence[Observation], method: str, level: float = LEVEL
) -> Share | None:
    """Return the estimate that says there is none; None where there are enough."""
    lacking = shortage(rows)
    if lacking is None:
        return None
    return Estimate(
        value=None,
        low=None,
        high=None,
        level=level,
        method=method,
        n_treated=lacking.n_treated,
        n_control=lacking.n_control,
        evidence=evidence(rows, "hold_out"),
        note=lacking.sentence(),
    )
