"""
Quality against calls and cost when the rows of highest score go to the expert first.

Rows of equal score are one step, walked in a straight line: whoever breaks a tie by
chance gets that on average.
"""

from dataclasses import dataclass

import numpy as np

from ask_expert.confidence.calibration.metrics import Floats, Ints

LEAST_GAP = 0.05
"""Below this distance of the two models shares of it mean little."""

_NOTHING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """
    The corners of a deferral curve, from nothing to everything asked.

    Attributes:
        calls: Share of rows asked, rising from 0 to 1.
        quality: Mean quality there.
        cost: Mean cost a row there.
    """

    calls: Floats
    quality: Floats
    cost: Floats

    @property
    def weak(self) -> float:
        """Quality with nothing asked."""
        return float(self.quality[0])

    @property
    def strong(self) -> float:
        """Quality with everything asked."""
        return float(self.quality[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """
    What one row costs.

    The local model has always answered first: its cost is paid on every row, and the
    expert's on top where it is asked.

    Attributes:
        weak: Of each local answer.
        strong: Of each expert's answer.
        unit: `USD`, or `calls` where the table names no cost.
    """

    weak: Floats
    strong: Floats
    unit: str


def order(score: Floats) -> tuple[Ints, Ints]:
    """Return the rows, highest score first, and where each run of equals ends."""
    rows = np.argsort(-score, kind="stable")
    steps = np.flatnonzero(np.diff(score[rows])) + 1
    return rows, np.append(steps, len(score)).astype(np.intp)


def curve(score: Floats, weak: Floats, strong: Floats, costs: Costs) -> Curve:
    """Return the curve of a score; higher is asked first."""
    rows, ends = order(score)
    count = len(score)
    gained = np.cumsum((strong - weak)[rows])[ends - 1]
    paid = np.cumsum(costs.strong[rows])[ends - 1]
    return Curve(
        calls=np.r_[0.0, ends / count],
        quality=float(weak.mean()) + np.r_[0.0, gained / count],
        cost=float(costs.weak.mean()) + np.r_[0.0, paid / count],
    )


def recovered(found: Curve) -> Floats | None:
    """Return the share of the gap won back at each corner; None without a gap."""
    gap = found.strong - found.weak
    return None if gap <= _NOTHING else (found.quality - found.weak) / gap


def apgr(found: Curve) -> float | None:
    """
    Return the mean share of the gap won back, over all shares of calls.

    It is the exact area under the curve; random calls come to 0.5.

    Source:
        Ong et al. (2024), "RouteLLM": average performance gap recovered.
    """
    share = recovered(found)
    return None if share is None else float(np.trapezoid(share, found.calls))


def cpt(found: Curve, share: float) -> float | None:
    """Return the smallest share of calls that wins back so much of the gap."""
    return calls_at(found, found.weak + share * (found.strong - found.weak))


def calls_at(found: Curve, quality: float) -> float | None:
    """
    Return the smallest share of calls at which the quality is reached.

    The first crossing counts: a curve may fall again where the expert does harm.
    """
    return _crossing(found, quality, found.calls)


def cost_at(found: Curve, quality: float) -> float | None:
    """Return the mean cost a row there."""
    return _crossing(found, quality, found.cost)


def _crossing(found: Curve, quality: float, axis: Floats) -> float | None:
    reached = np.flatnonzero(found.quality >= quality - _NOTHING)
    if not len(reached):
        return None
    last = int(reached[0])
    if last == 0:
        return float(axis[0])
    low, high = found.quality[last - 1], found.quality[last]
    part = min(1.0, (quality - low) / (high - low)) if high > low else 1.0
    return float(axis[last - 1] + part * (axis[last] - axis[last - 1]))


def points(found: Curve, count: int = 101) -> list[dict[str, float]]:
    """Return the curve at equal steps of calls, for people and plots."""
    calls = np.linspace(0.0, 1.0, count)
    quality = np.interp(calls, found.calls, found.quality)
    cost = np.interp(calls, found.calls, found.cost)
    rows = zip(calls.tolist(), quality.tolist(), cost.tolist(), strict=True)
    return [
        {"calls": round(x, 4), "quality": round(y, 6), "cost": round(z, 9)}
        for x, y, z in rows
    ]
