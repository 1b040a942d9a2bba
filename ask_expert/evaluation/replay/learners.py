"""
Learners of the gain: what would the expert do better on this item?

Each is fitted on some rows and speaks about others; all of them aim at the gain
(strong minus weak), not at the doubt about the local answer: a hard item that the
expert fails too is not worth its price.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ask_expert.confidence.calibration import gate
from ask_expert.confidence.calibration.combine import combined
from ask_expert.confidence.calibration.folds import clusters
from ask_expert.confidence.calibration.libraries import library
from ask_expert.confidence.calibration.metrics import Floats, Ints
from ask_expert.evaluation.replay import features
from ask_expert.evaluation.replay.table import Outcomes

LEAST_ROWS = 30
"""With fewer rows nothing is learnt from prompts and groups."""

_RIDGE = {"words": 8.0, "characters": 4.0}
_TREES_FROM = 200
_TREES_UP_TO = 30_000
_GROUP_PRIOR = 20.0
"""A group's mean is shrunk to the whole's as if it had so many further rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """
    What one learner says about some rows.

    Attributes:
        gain: Expected strong minus weak; only its order and scale count.
        weak: Expected correctness of the local model; None for a learner of the gain.
        strong: Expected correctness of the expert.
    """

    gain: Floats
    weak: Floats | None = None
    strong: Floats | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """
    Everything about the rows that may be looked at, in numbers.

    Attributes:
        targets: Weak and strong, shape (rows, 2).
        cluster: Rows of one number belong together.
        counts: Sparse counts of words and characters, by name.
        shape: Cheap numbers of the prompts.
        groups: The group of each row, as a number.
        signals: By name; NaN where missing.
    """

    targets: Floats
    cluster: Ints
    counts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    shape: Floats | None = None
    groups: Ints | None = None
    signals: Mapping[str, Floats] = field(default_factory=dict[str, Floats])

    @property
    def names(self) -> tuple[str, ...]:
        """The learners that have something to look at."""
        found = [*self.counts]
        if self.shape is not None:
            found += ["shape", "trees"]
        if self.groups is not None:
            found.append("group")
        if self.signals:
            found.append("signals")
        return tuple(found)


def material(outcomes: Outcomes) -> Material:
    """Turn a table into what the learners look at."""
    prompts = outcomes.prompts
    counts: dict[str, Any] = {}
    if prompts is not None:
        counts["words"] = features.word_counts(prompts)
        characters = features.character_counts(prompts)
        if characters is not None:
            counts["characters"] = characters
    groups = None
    if outcomes.groups is not None:
        groups = np.unique(np.array(outcomes.groups), return_inverse=True)[1]
    return Material(
        targets=np.column_stack([outcomes.weak, outcomes.strong]),
        cluster=clusters(outcomes.ids, prompts),
        counts=counts,
        shape=None if prompts is None else features.shape(prompts),
        groups=groups,
        signals=outcomes.signals,
    )


def said(name: str, rows: Material, train: Ints, test: Ints, *, seed: int) -> Said:
    """Fit the learner of that name on some rows and let it speak about others."""
    if name == "signals":
        return _signals(rows, train, test, seed=seed)
    if len(train) < LEAST_ROWS:
        return _mean(rows, train, test)
    match name:
        case "shape":
            return _line(rows, train, test)
        case "trees":
            return _trees(rows, train, test, seed=seed)
        case "group":
            return _group(rows, train, test)
        case _:
            return _texts(rows, train, test, name)


def _both(predicted: Floats) -> Said:
    weak, strong = predicted[:, 0], predicted[:, 1]
    return Said(gain=strong - weak, weak=weak, strong=strong)


def _mean(rows: Material, train: Ints, test: Ints) -> Said:
    return _both(np.tile(rows.targets[train].mean(axis=0), (len(test), 1)))


def _texts(rows: Material, train: Ints, test: Ints, name: str) -> Said:
    """Ridge regression on TF-IDF; the weights of words come from `train` alone."""
    counts: Any = rows.counts[name]
    weigh = library("sklearn.feature_extraction.text").TfidfTransformer(
        sublinear_tf=True
    )
    known = weigh.fit_transform(counts[train])
    ridge = library("sklearn.linear_model").Ridge(
        alpha=_RIDGE[name], solver="sparse_cg", tol=1e-3
    )
    ridge.fit(known, rows.targets[train])
    return _both(np.asarray(ridge.predict(weigh.transform(counts[test])), dtype=float))


def _standardised(values: Floats, train: Ints, test: Ints) -> tuple[Floats, Floats]:
    centre, spread = values[train].mean(axis=0), values[train].std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    return (values[train] - centre) / spread, (values[test] - centre) / spread


def _line(rows: Material, train: Ints, test: Ints) -> Said:
    assert rows.shape is not None  # noqa: S101  # by `names`
    known, new = _standardised(rows.shape, train, test)
    ridge = library("sklearn.linear_model").Ridge(alpha=100.0)
    ridge.fit(known, rows.targets[train])
    return _both(np.asarray(ridge.predict(new), dtype=float))


def _trees(rows: Material, train: Ints, test: Ints, *, seed: int) -> Said:
    """Small boosted trees: lengths and numbers do not act in straight lines."""
    assert rows.shape is not None  # noqa: S101  # by `names`
    if len(train) < _TREES_FROM:
        return Said(gain=_mean(rows, train, test).gain)
    if len(train) > _TREES_UP_TO:
        rng = np.random.default_rng(seed)
        train = rng.choice(train, _TREES_UP_TO, replace=False)
    trees = library("sklearn.ensemble").HistGradientBoostingRegressor(
        max_iter=60,
        learning_rate=0.06,
        max_leaf_nodes=6,
        min_samples_leaf=40,
        early_stopping=False,
        random_state=seed,
    )
    gain = rows.targets[train, 1] - rows.targets[train, 0]
    trees.fit(rows.shape[train], gain)
    return Said(gain=np.asarray(trees.predict(rows.shape[test]), dtype=float))


def _group(rows: Material, train: Ints, test: Ints) -> Said:
    assert rows.groups is not None  # noqa: S101  # by `names`
    return _both(group_means(rows.groups, rows.targets, train)[rows.groups[test]])


def group_means(groups: Ints, targets: Floats, train: Ints) -> Floats:
    """Return each group's mean of the targets over `train`, shrunk to that of all."""
    known, many = groups[train], int(groups.max()) + 1
    whole = targets[train].mean(axis=0)
    count = np.bincount(known, minlength=many)[:, None]
    sums = np.column_stack(
        [
            np.bincount(known, weights=targets[train, each], minlength=many)
            for each in range(targets.shape[1])
        ]
    )
    return (sums + _GROUP_PRIOR * whole) / (count + _GROUP_PRIOR)


def _signals(rows: Material, train: Ints, test: Ints, *, seed: int) -> Said:
    """P(local right) and P(expert right) from the signals that pass the gate."""
    del seed
    usable = gated(rows, train)
    if not usable:
        return _mean(rows, train, test)
    filled = [filled_in(rows.signals[name], train) for name in usable]
    values = np.column_stack(filled)
    predicted = [
        combined(values[train], rows.targets[train, each], rising=each == 0)(
            values[test]
        )
        for each in (0, 1)
    ]
    return _both(np.column_stack(predicted))


def gated(rows: Material, train: Ints) -> Sequence[str]:
    """Return the signals that surely rank better than chance on some rows."""
    return [
        name
        for name, values in rows.signals.items()
        if judged(name, values, rows, train).used
    ]


def judged(name: str, values: Floats, rows: Material, train: Ints) -> gate.Gate:
    """Judge one signal by whether the local model was right, where it is known."""
    there = train[np.isfinite(values[train])]
    return gate.judge(
        name,
        values[there],
        (rows.targets[there, 0] >= 0.5).astype(float),  # noqa: PLR2004  # half right
        groups=rows.cluster[there].tolist(),
    )


def filled_in(values: Floats, train: Ints) -> Floats:
    """Return a signal with the median of `train` where it is missing."""
    known = values[train]
    known = known[np.isfinite(known)]
    middle = float(np.median(known)) if len(known) else 0.0
    return np.where(np.isfinite(values), values, middle)
