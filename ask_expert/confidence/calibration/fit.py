"""Fit what turns signals into a probability, as far as the outcomes allow."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ask_expert.confidence.calibration.combine import Line, fitted
from ask_expert.confidence.calibration.folds import folds as dealt
from ask_expert.confidence.calibration.libraries import library
from ask_expert.confidence.calibration.metrics import Floats, Ints

ISOTONIC_FROM = 200
"""With so many outcomes any rising curve is fitted."""

LOGISTIC_FROM = 50
"""With so many a logistic curve; with fewer nothing is."""

Method = Literal["isotonic", "logistic", "base rate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """
    What turns signals into a probability.

    Attributes:
        method: What was fitted.
        line: Brings the signals together; None where the only signal goes straight
            into the table.
        table: Corners (value, probability) of a rising curve, straight in between and
            flat outside; None when the line says it all.
    """

    method: Method
    line: Line | None = None
    table: tuple[tuple[float, float], ...] | None = None

    def __call__(self, values: Floats) -> Floats:
        """Return the probability of each row; of a vector, of each value."""
        rows = values[:, None] if values.ndim == 1 else values
        found = rows[:, 0] if self.line is None else self.line(rows)
        if self.table is None:
            return found
        corners = np.array(self.table)
        return np.interp(found, corners[:, 0], corners[:, 1])


def method_for(count: int) -> Method | None:
    """Return what so many outcomes allow; None when they allow nothing."""
    if count >= ISOTONIC_FROM:
        return "isotonic"
    return "logistic" if count >= LOGISTIC_FROM else None


def calibrated(
    values: Floats, right: Floats, *, method: Method | None = None
) -> Curve | None:
    """
    Fit a curve that never falls to signals of which higher means surer.

    Args:
        values: A vector, or one row of signals an outcome; finite.
        right: In [0, 1].
        method: What to fit; what so many outcomes allow when absent.

    Returns:
        The curve; None with fewer than 50 outcomes, or when all are the same.
    """
    method = method or method_for(len(right))
    rows = values[:, None] if values.ndim == 1 else values
    line = fitted(rows, right) if method else None
    if method is None or line is None:
        return None
    if method == "logistic":
        return Curve(method=method, line=line)
    if rows.shape[1] == 1:
        return Curve(method=method, table=rising(rows[:, 0], right))
    return Curve(method=method, line=line, table=rising(line(rows), right))


def rising(values: Floats, right: Floats) -> tuple[tuple[float, float], ...]:
    """
    Return the corners of the isotonic regression of outcomes on one number.

    The probabilities are kept as far from 0 and 1 as so many outcomes can tell:
    no handful of right answers makes a certainty.
    """
    model = library("sklearn.isotonic").IsotonicRegression(out_of_bounds="clip")
    model.fit(values, right)
    least = 1.0 / (len(right) + 2)
    highs = np.clip(np.asarray(model.y_thresholds_, dtype=float), least, 1 - least)
    corners = zip(model.X_thresholds_.tolist(), highs.tolist(), strict=True)
    return tuple((float(x), float(y)) for x, y in corners)


def cross_fitted(
    values: Floats, right: Floats, cluster: Ints, *, folds: int, seed: int
) -> Floats | None:
    """
    Return every outcome's probability, by a curve that was fitted on other folds.

    The method is the one that all outcomes together allow.

    Args:
        values: One row of signals an outcome.
        right: In [0, 1].
        cluster: Outcomes of one number stay in one fold.
        folds: How many.
        seed: Of the folds.

    Returns:
        The probabilities; None when some fold's curve cannot be fitted.
    """
    fold = dealt(cluster, folds, np.random.default_rng(seed))
    method = method_for(len(right))
    if method is None:
        return None
    found = np.zeros(len(right))
    many = int(fold.max()) + 1 if len(fold) else 0
    for number in range(many):
        out = fold == number
        curve = calibrated(values[~out], right[~out], method=method)
        if curve is None:
            return None
        found[out] = curve(values[out])
    return found if many > 1 else None
