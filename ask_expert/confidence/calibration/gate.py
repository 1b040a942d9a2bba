"""Whether a signal may be used: only if it surely ranks better than chance."""

from collections.abc import Sequence
from dataclasses import dataclass

from ask_expert.confidence.calibration.metrics import LEVEL, Auroc, Floats, auroc

LEAST_OF_EACH = 10
"""So many right and so many wrong outcomes are needed before a signal is judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """
    What the gate says of one signal.

    Attributes:
        signal: Its name.
        count: On how many outcomes it was judged.
        auroc: How well it ranks there.
        used: Whether it may be used.
        reason: Why, as a clause.
    """

    signal: str
    count: int
    auroc: Auroc
    used: bool
    reason: str


def judge(
    signal: str,
    values: Floats,
    right: Floats,
    *,
    groups: Sequence[object] | None = None,
    level: float = LEVEL,
) -> Gate:
    """
    Judge a signal by the outcomes.

    It is used only where the whole interval of its AUROC lies above 0.5. One that
    ranks worse than chance is off as well: turned upside down it would fit a quirk of
    these outcomes, and nobody knows why it should hold on the next ones. Noise passes
    with a chance of at most `1 - level`.

    Args:
        signal: Its name.
        values: Higher means surer, by what the signal is, never by what is seen here.
        right: 1 for right, 0 for wrong.
        groups: What each outcome belongs to.
        level: Of the interval.
    """
    found = auroc(values, right, groups=groups, level=level)
    used, reason = _verdict(found)
    return Gate(signal=signal, count=len(values), auroc=found, used=used, reason=reason)


def _verdict(found: Auroc) -> tuple[bool, str]:
    if found.value is None or found.low is None or found.high is None:
        which = "right" if found.right else "wrong"
        none = "there is no outcome"
        return False, f"all outcomes are {which}" if found.right + found.wrong else none
    fewest = min(found.right, found.wrong)
    if fewest < LEAST_OF_EACH:
        which = "wrong" if found.wrong <= found.right else "right"
        return False, f"only {fewest} outcomes are {which}; {LEAST_OF_EACH} are needed"
    if found.high < 0.5:  # noqa: PLR2004  # chance
        return False, "ranks worse than chance; it is not turned upside down"
    if found.low <= 0.5:  # noqa: PLR2004  # chance
        return False, "ranks no better than chance: the interval includes 0.5"
    return True, "ranks better than chance"
