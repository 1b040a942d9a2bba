"""Several signals in one probability: logistic regression that turns none around."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ask_expert.confidence.calibration.libraries import library
from ask_expert.confidence.calibration.metrics import Floats

CLIP = 0.001
"""A signal between 0 and 1 enters as its logit, kept this far away from both ends."""

_PENALTY = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    A logistic regression on prepared signals.

    Attributes:
        logit: Which signals enter as their logit; the others as they are.
        centre: What is taken off each.
        spread: What each is then divided by.
        weights: Of each; 0 for one that adds nothing.
        intercept: Log-odds where all are at their centre.
    """

    logit: tuple[bool, ...]
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float

    def __call__(self, values: Floats) -> Floats:
        """Return the probability of each row of signals."""
        ready = (prepared(values, self.logit) - self.centre) / self.spread
        return sigmoid(ready @ np.array(self.weights) + self.intercept)


def sigmoid(log_odds: Floats) -> Floats:
    """Return the probability of log-odds."""
    return 1.0 / (1.0 + np.exp(-np.clip(log_odds, -500, 500)))


def prepared(values: Floats, logit: tuple[bool, ...]) -> Floats:
    """Return the signals as the regression takes them; shape (rows, signals)."""
    near = np.clip(values, CLIP, 1 - CLIP)
    return np.where(np.array(logit), np.log(near / (1 - near)), values)


def combined(
    values: Floats, right: Floats, *, rising: bool = True
) -> Callable[[Floats], Floats]:
    """Return the fitted line, or the mean where all outcomes are the same."""
    line = fitted(values, right, rising=rising)
    if line is not None:
        return line
    mean = float(right.mean())
    return lambda new: np.full(len(new), mean)


def fitted(values: Floats, right: Floats, *, rising: bool = True) -> Line | None:
    """
    Fit a line; None when all outcomes are the same.

    Args:
        values: Shape (rows, signals); higher means surer; finite.
        right: In [0, 1]; shares count as so much of a right answer.
        rising: Whether a signal that would get a negative weight is taken out: beside
            the others it would be used upside down.
    """
    total = float(right.sum())
    if total <= 0 or total >= len(right):
        return None
    logit = tuple(bool(column.min() >= 0 and column.max() <= 1) for column in values.T)
    ready = prepared(values, logit)
    centre, spread = ready.mean(axis=0), ready.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    ready = (ready - centre) / spread
    kept = list(range(ready.shape[1]))
    while True:
        weights, intercept = _regression(ready[:, kept], right)
        if not rising or not (weights < 0).any():
            break
        del kept[int(weights.argmin())]
    whole = np.zeros(ready.shape[1])
    whole[kept] = weights
    return Line(
        logit=logit,
        centre=tuple(centre.tolist()),
        spread=tuple(spread.tolist()),
        weights=tuple(whole.tolist()),
        intercept=intercept,
    )


def _regression(ready: Floats, right: Floats) -> tuple[Floats, float]:
    """Each row counts as right by its share and as wrong by the rest."""
    if not ready.shape[1]:
        mean = float(right.mean())
        return np.zeros(0), float(np.log(mean / (1 - mean)))
    model = library("sklearn.linear_model").LogisticRegression(C=_PENALTY)
    count = len(right)
    model.fit(
        np.vstack([ready, ready]),
        np.r_[np.ones(count), np.zeros(count)],
        sample_weight=np.r_[right, 1 - right],
    )
    return np.asarray(model.coef_[0], dtype=float), float(model.intercept_[0])
