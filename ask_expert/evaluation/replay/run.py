"""Replay a table of outcomes: our decision beside trivial ones, with intervals."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ask_expert.confidence.calibration import metrics
from ask_expert.confidence.calibration.fit import method_for
from ask_expert.confidence.calibration.gate import Gate
from ask_expert.confidence.calibration.libraries import library
from ask_expert.confidence.calibration.metrics import Auroc, Floats
from ask_expert.evaluation.replay import bootstrap, curve, features, learners
from ask_expert.evaluation.replay.bootstrap import Interval
from ask_expert.evaluation.replay.curve import Costs, Curve
from ask_expert.evaluation.replay.decision import Decided, decide
from ask_expert.evaluation.replay.table import Outcomes

SHARE = 0.95
"""Of the expert's quality: what `calls_at_95` and `cost_at_95` stand for."""

OURS = "ours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    One way to choose who is sent to the expert, and what it comes to.

    Attributes:
        curve: Quality against calls and cost.
        figures: `apgr`, `cpt50`, `cpt80`, `calls_at_95`, `cost_at_95`; None where
            there is no gap to win back, or the quality is never reached.
        intervals: Their intervals by the bootstrap.
        ahead: Interval of our figure minus this one's, paired; empty for ours.
        harmed: Share of all rows that are right before and wrong after, at the calls
            that reach 95 % of the expert's quality.
    """

    curve: Curve
    figures: Mapping[str, float | None]
    intervals: Mapping[str, Interval]
    ahead: Mapping[str, Interval] = field(default_factory=dict[str, Interval])
    harmed: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """
    What the replay found.

    Attributes:
        outcomes: The rows it was made on.
        folds: How many folds there were.
        resamples: How many resamples the intervals are from.
        costs: What a row costs.
        decided: The decisions, out of fold.
        ours: Our line.
        baselines: `random`, `length`, `group` and `oracle`; those without a column to
            go by are None.
        auroc: How well our confidence tells right local answers.
        gain_auroc: How well our score tells the rows that only the expert gets right.
        ece: Calibration error of the confidence, `before` and `after`, and
            `adaptive`; None with too few outcomes to calibrate.
        brier: Mean squared error, likewise.
        method: How the confidence is calibrated; None when it is not.
        notes: What a reader must know, as sentences.
    """

    outcomes: Outcomes
    folds: int
    resamples: int
    costs: Costs
    decided: Decided
    ours: Line
    baselines: Mapping[str, Line | None]
    auroc: Auroc
    gain_auroc: Auroc
    ece: Mapping[str, float]
    brier: Mapping[str, float]
    method: str | None
    notes: tuple[str, ...]

    @property
    def gates(self) -> tuple[Gate, ...]:
        """What the gate says of each signal."""
        return self.decided.gates


def replay(
    outcomes: Outcomes, *, count: int = 5, seed: int = 0, resamples: int = 2000
) -> Replay:
    """
    Replay a table.

    Args:
        outcomes: The rows.
        count: How many folds the decision is cross-fitted on.
        seed: Of folds, trees and resamples.
        resamples: For the intervals.
    """
    for needed in ("ensemble", "linear_model", "isotonic", "feature_extraction.text"):
        library(f"sklearn.{needed}")
    library("scipy.optimize")
    # Threads that wait for each other's turns make small fits slower on busy cores.
    with library("threadpoolctl").threadpool_limits(limits=1):
        rows = learners.material(outcomes)
        decided = decide(rows, count=count, seed=seed)
    costs = costs_of(outcomes)
    scores = rankings(outcomes, decided, rows, seed=seed)
    sample = bootstrap.Rows(
        weak=outcomes.weak,
        strong=outcomes.strong,
        costs=costs,
        cluster=rows.cluster,
        share=SHARE,
    )
    known = {name: score for name, score in scores.items() if score is not None}
    drawn = bootstrap.resampled(known, sample, count=resamples, seed=seed)
    lines = {
        name: _line(name, score, outcomes, costs, drawn)
        for name, score in known.items()
    }
    right = outcomes.weak
    whole = (right >= 0.5).astype(np.float64)  # noqa: PLR2004  # half right
    only = (outcomes.strong > outcomes.weak).astype(np.float64)
    groups = rows.cluster.tolist()
    before, after = first_signal(outcomes, decided), decided.confidence
    smallest = len(outcomes) - int(np.bincount(decided.fold).max())
    method = method_for(smallest) if 0 < right.sum() < len(right) else None
    return Replay(
        outcomes=outcomes,
        folds=int(decided.fold.max()) + 1,
        resamples=resamples,
        costs=costs,
        decided=decided,
        ours=lines[OURS],
        baselines={name: lines.get(name) for name in scores if name != OURS},
        auroc=metrics.auroc(after, whole, groups=groups),
        gain_auroc=metrics.auroc(decided.score, only, groups=groups),
        ece={
            "before": metrics.ece(before, right),
            "after": metrics.ece(after, right),
            "adaptive": metrics.adaptive_ece(after, right),
        },
        brier={
            "before": metrics.brier(before, right),
            "after": metrics.brier(after, right),
        },
        method=method,
        notes=(*outcomes.notes, *_notes(outcomes, decided, rows, count, method)),
    )


def costs_of(outcomes: Outcomes) -> Costs:
    """Return what each row costs; without any cost an expert's call counts 1."""
    total = len(outcomes)
    weak, strong = outcomes.weak_cost_usd, outcomes.strong_cost_usd
    if strong is None:
        return Costs(weak=np.zeros(total), strong=np.ones(total), unit="calls")
    free = np.zeros(total)
    return Costs(weak=free if weak is None else weak, strong=strong, unit="USD")


def rankings(
    outcomes: Outcomes, decided: Decided, rows: learners.Material, *, seed: int
) -> dict[str, Floats | None]:
    """
    Return the score of each way to choose; None where it has nothing to go by.

    All rows tie in `random`, which is what a draw comes to on average. `length` asks
    the longest prompts first, `group` the groups with the largest gain on the other
    folds, `oracle` knows the outcomes.
    """
    prompts = outcomes.prompts
    return {
        OURS: decided.score,
        "random": np.zeros(len(outcomes)),
        "length": None if prompts is None else features.length(prompts),
        "group": _group_prior(rows, decided, seed=seed),
        "oracle": outcomes.strong - outcomes.weak,
    }


def _group_prior(
    rows: learners.Material, decided: Decided, *, seed: int
) -> Floats | None:
    if rows.groups is None:
        return None
    del seed
    score = np.zeros(len(rows.targets))
    for number in range(int(decided.fold.max()) + 1):
        out = decided.fold == number
        train = np.flatnonzero(~out)
        if len(train):
            means = learners.group_means(rows.groups, rows.targets, train)
            whole = rows.targets[train].mean(axis=0)
            gain = (means[:, 1] - means[:, 0]) - (whole[1] - whole[0])
            score[out] = gain[rows.groups[out]]
    return score


def _line(
    name: str,
    score: Floats,
    outcomes: Outcomes,
    costs: Costs,
    drawn: Mapping[str, Mapping[str, Floats]],
) -> Line:
    found = curve.curve(score, outcomes.weak, outcomes.strong, costs)
    aim = SHARE * found.strong
    gap = curve.recovered(found) is not None
    figures = {
        "apgr": curve.apgr(found),
        "cpt50": curve.cpt(found, 0.5) if gap else None,
        "cpt80": curve.cpt(found, 0.8) if gap else None,
        "calls_at_95": curve.calls_at(found, aim),
        "cost_at_95": curve.cost_at(found, aim),
    }
    ahead: Mapping[str, Floats] = {} if name == OURS else drawn[name]
    return Line(
        curve=found,
        figures=figures,
        intervals={
            each: bootstrap.interval(values) for each, values in drawn[name].items()
        },
        ahead={
            each: bootstrap.interval(drawn[OURS][each] - values)
            for each, values in ahead.items()
        },
        harmed=_harmed(score, outcomes, figures["calls_at_95"]),
    )


def _harmed(score: Floats, outcomes: Outcomes, calls: float | None) -> float | None:
    if calls is None:
        return None
    worse = np.maximum(outcomes.weak - outcomes.strong, 0.0)
    free = np.zeros(len(outcomes))
    lost = curve.curve(score, free, worse, Costs(weak=free, strong=free, unit="calls"))
    return float(np.interp(calls, lost.calls, lost.quality))


def first_signal(outcomes: Outcomes, decided: Decided) -> Floats:
    """Return what stands for the confidence before calibration: a signal that can."""
    for values in outcomes.signals.values():
        if np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1:
            return values
    return decided.raw


def _notes(
    outcomes: Outcomes,
    decided: Decided,
    rows: learners.Material,
    count: int,
    method: str | None,
) -> list[str]:
    found: list[str] = []
    gap = float(outcomes.strong.mean() - outcomes.weak.mean())
    if gap <= 0:
        found.append(
            "The expert is no better than the local model here: there is no gap to win"
            " back, and APGR and CPT are not given."
        )
    elif gap < curve.LEAST_GAP:
        found.append(
            f"The expert is only {gap:.3f} better: shares of so small a gap mean"
            " little; go by quality, calls and cost."
        )
    many = int(decided.fold.max()) + 1
    if many < count:
        found.append(f"There are items for {many} folds only, not for {count}.")
    if not rows.names:
        found.append(
            "There is no prompt, group or signal to decide by: our decision is a draw."
        )
    elif not any(decided.learners.values()):
        found.append("Nothing in the table foretells the gain: our decision is a draw.")
    if method is None:
        found.append("Too few outcomes to calibrate: the confidence is uncalibrated.")
    return found
