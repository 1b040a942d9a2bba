"""Whether a calibration still holds on what came after it."""

from dataclasses import dataclass
from math import log, sqrt

from ask_expert.confidence.calibration.metrics import Floats, ece

LEAST = 30
"""With fewer new outcomes nothing is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """
    What new outcomes say of an old calibration.

    Attributes:
        count: How many new outcomes.
        predicted: Mean probability that was promised; None without outcomes.
        observed: Share that was right.
        margin: How far apart the two may come by chance.
        ece: Calibration error on the new outcomes.
        drifted: Whether they are further apart; None with too few to say.
        reason: What was found, as a sentence.
    """

    count: int
    predicted: float | None
    observed: float | None
    margin: float | None
    ece: float | None
    drifted: bool | None
    reason: str


def check(probabilities: Floats, right: Floats, *, error: float = 0.05) -> Drift:
    """
    Compare what was promised with what came.

    The test may be repeated after every outcome: over all looks together it calls a
    calibration that holds drifted with a chance of at most `error`. The price is a
    margin wider than that of a single look.

    Args:
        probabilities: As the calibration promised them, oldest first.
        right: 1 for right, 0 for wrong.
        error: Chance of a false alarm, ever.

    Source:
        Robbins (1970), normal-mixture boundary for sums of bounded differences
        (each promise minus outcome lies in an interval of length 1, so is
        1/2-sub-Gaussian); also Howard et al. (2021), "Time-uniform Chernoff bounds".
    """
    count = len(right)
    if count < LEAST:
        return Drift(
            count=count,
            predicted=None,
            observed=None,
            margin=None,
            ece=None,
            drifted=None,
            reason=f"{count} new outcomes; {LEAST - count} more are needed to judge",
        )
    predicted, observed = float(probabilities.mean()), float(right.mean())
    margin = boundary(count, error) / count
    drifted = abs(predicted - observed) > margin
    said = f"promised {predicted:.3f}, came {observed:.3f}, may differ by {margin:.3f}"
    return Drift(
        count=count,
        predicted=predicted,
        observed=observed,
        margin=margin,
        ece=ece(probabilities, right),
        drifted=drifted,
        reason=f"{said}: {'drifted, calibrate again' if drifted else 'still holds'}",
    )


def boundary(count: int, error: float) -> float:
    """Return how far a sum of so many differences strays, at any time, by chance."""
    variance, scale = count / 4, 25.0
    return sqrt(
        (variance + scale) * (log((variance + scale) / scale) + 2 * log(1 / error))
    )
