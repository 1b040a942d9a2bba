"""A bar of confidence with a guarantee: how often what is kept local may be wrong."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ask_expert.confidence.calibration.libraries import library
from ask_expert.confidence.calibration.metrics import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarantee:
    """
    What the outcomes certify.

    Attributes:
        bar: Keep local only at this confidence or above; None when nothing is certified.
        risk: At most this share of what is kept may be wrong.
        error: With at most this chance the promise is broken.
        kept: Share of the outcomes at or above the bar.
        wrong: Share of the kept ones that is wrong.
        bound: Upper bound of that share.
        reason: What was certified, or why nothing can be.
    """

    bar: float | None
    risk: float
    error: float
    kept: float
    wrong: float | None
    bound: float | None
    reason: str


def upper_bound(wrong: int, count: int, error: float) -> float:
    """
    Return the Clopper-Pearson upper bound of a share, one-sided at `1 - error`.

    Source:
        Clopper and Pearson (1934); the quantile `error` from above of
        Beta(wrong + 1, count - wrong).
    """
    if wrong >= count:
        return 1.0
    beta = library("scipy.stats").beta
    return float(beta.ppf(1 - error, wrong + 1, count - wrong))


def certify(
    confidence: Floats,
    right: Floats,
    *,
    risk: float,
    error: float,
    bars: Sequence[float] | None = None,
) -> Guarantee:
    """
    Find the lowest bar that keeps the risk, by fixed-sequence testing.

    Bars are tried from strict to loose and the first failure ends the search: then
    the chance that the risk of what is kept exceeds `risk` is at most `error`,
    however many bars are tried, as long as new questions are like these ones
    (exchangeable) and these were not used to fit the confidence. A bar that keeps
    too few outcomes to be certified even without a mistake has no say: which ones do
    is known from the confidence alone, before any outcome is looked at.

    Args:
        confidence: Calibrated on other outcomes.
        right: 1 for right, 0 for wrong.
        risk: Most of what is kept that may be wrong, in (0, 1).
        error: Most chance of breaking that, in (0, 1).
        bars: Bars to try; 0.99, 0.98 … 0 when absent.

    Source:
        Angelopoulos, Bates, Candès, Jordan and Lei (2021), "Learn then test";
        fixed-sequence testing over Clopper-Pearson bounds.
    """
    if not (0 < risk < 1 and 0 < error < 1):
        raise ValueError("risk and error lie between 0 and 1")
    least = int(np.ceil(np.log(error) / np.log(1 - risk)))
    tried = sorted(bars or [step / 100 for step in range(100)], reverse=True)
    best: tuple[float, int, int, float] | None = None
    for bar in tried:
        kept = confidence >= bar
        count = int(kept.sum())
        if count < least:
            continue
        wrong = int((right[kept] < 0.5).sum())  # noqa: PLR2004  # between 0 and 1
        bound = upper_bound(wrong, count, error)
        if bound > risk:
            return _result(
                best, len(right), risk, error, f"at {bar:g} it would be {bound:.3f}"
            )
        best = (bar, wrong, count, bound)
    why = f"at least {least} outcomes above one bar are needed"
    return _result(best, len(right), risk, error, why)


def _result(
    best: tuple[float, int, int, float] | None,
    total: int,
    risk: float,
    error: float,
    why: str,
) -> Guarantee:
    promise = f"at most {risk:g} wrong with probability {1 - error:g}"
    if best is None:
        return Guarantee(
            bar=None,
            risk=risk,
            error=error,
            kept=0.0,
            wrong=None,
            bound=None,
            reason=f"cannot certify {promise}: {why}; nothing is kept local on its word",
        )
    bar, wrong, count, bound = best
    return Guarantee(
        bar=bar,
        risk=risk,
        error=error,
        kept=count / total,
        wrong=wrong / count,
        bound=bound,
        reason=f"{promise}: keep local at confidence {bar:g} or more",
    )
