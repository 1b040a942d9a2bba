"""A replay as JSON and as tables for people."""

from collections.abc import Mapping

from ask_expert.confidence.calibration.gate import Gate
from ask_expert.confidence.calibration.metrics import Auroc
from ask_expert.evaluation.replay import curve
from ask_expert.evaluation.replay.bootstrap import Interval
from ask_expert.evaluation.replay.run import OURS, Line, Replay

HEAD = (
    "who is asked first",
    "APGR",
    "CPT50",
    "CPT80",
    "calls at 95 %",
    "cost at 95 %",
    "ours ahead by (APGR)",
)
_DIGITS = 6


def as_json(found: Replay) -> dict[str, object]:
    """Return the replay as JSON; the command line's reference explains the keys."""
    outcomes, decided = found.outcomes, found.decided
    return {
        "items": len(outcomes),
        "folds": found.folds,
        "resamples": found.resamples,
        "decided_by": {name: _round(each) for name, each in decided.learners.items()},
        "weak_quality": _round(found.ours.curve.weak),
        "strong_quality": _round(found.ours.curve.strong),
        **_figures(found.ours),
        "auroc": _round(found.auroc.value),
        "auroc_interval": _ends(found.auroc),
        "gain_auroc": _round(found.gain_auroc.value),
        "gain_auroc_interval": _ends(found.gain_auroc),
        "ece": _round(found.ece["after"]),
        "ece_before": _round(found.ece["before"]),
        "ece_adaptive": _round(found.ece["adaptive"]),
        "brier": _round(found.brier["after"]),
        "brier_before": _round(found.brier["before"]),
        "calibration": found.method or "uncalibrated",
        "cost_unit": found.costs.unit,
        "intervals": _intervals(found.ours.intervals),
        "baselines": {
            name: None if line is None else _baseline(line)
            for name, line in found.baselines.items()
        },
        "signals": [
            {**gate_json(each), "used_in_folds": decided.used_in[each.signal]}
            for each in found.gates
        ],
        "notes": list(found.notes),
        "curve": [
            {**point, "recovered": _recovered(found.ours, point["quality"])}
            for point in curve.points(found.ours.curve)
        ],
    }


def gate_json(gate: Gate) -> dict[str, object]:
    """Return what the gate says of one signal."""
    return {
        "signal": gate.signal,
        "outcomes": gate.count,
        "auroc": _round(gate.auroc.value),
        "interval": _ends(gate.auroc),
        "used": gate.used,
        "reason": gate.reason,
    }


def _recovered(line: Line, quality: float) -> float | None:
    gap = line.curve.strong - line.curve.weak
    return _round((quality - line.curve.weak) / gap) if gap > 0 else None


def _figures(line: Line) -> dict[str, object]:
    found: dict[str, object] = {
        name: _round(value) for name, value in line.figures.items()
    }
    return {**found, "harmed_at_95": _round(line.harmed)}


def _baseline(line: Line) -> dict[str, object]:
    ahead = line.ahead["apgr"]
    return {
        **_figures(line),
        "intervals": _intervals(line.intervals),
        "ours_ahead_by": _intervals(line.ahead),
        "apgr_difference_excludes_0": ahead.excludes_zero,
    }


def _intervals(each: Mapping[str, Interval]) -> dict[str, object]:
    return {
        name: None if one.low is None else [_round(one.low), _round(one.high)]
        for name, one in each.items()
    }


def _ends(found: Auroc) -> list[float | None] | None:
    return None if found.low is None else [_round(found.low), _round(found.high)]


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def rows(found: Replay) -> list[tuple[str, ...]]:
    """Return the table's rows: ours, then the baselines."""
    lines: dict[str, Line | None] = {OURS: found.ours, **found.baselines}
    return [_row(name, line, found) for name, line in lines.items()]


def _row(name: str, line: Line | None, found: Replay) -> tuple[str, ...]:
    if line is None:
        return (name, *["no column"] * (len(HEAD) - 1))
    shown = [number(line.figures["apgr"], line.intervals["apgr"])]
    shown += [
        percent(line.figures[each], line.intervals[each])
        for each in ("cpt50", "cpt80", "calls_at_95")
    ]
    cost = line.figures["cost_at_95"]
    shown.append(money(cost, found.costs.unit))
    if not line.ahead:
        return (name, *shown, "")
    ours, theirs = found.ours.figures["apgr"], line.figures["apgr"]
    if ours is None or theirs is None:
        return (name, *shown, "–")
    difference = number(ours - theirs, line.ahead["apgr"])
    clear = "" if line.ahead["apgr"].excludes_zero else ", includes 0"
    return (name, *shown, f"{difference}{clear}")


def number(value: float | None, interval: Interval) -> str:
    """Return a figure with its interval."""
    if value is None:
        return "–"
    if interval.low is None or interval.high is None:
        return f"{value:.3f}"
    return f"{value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def percent(value: float | None, interval: Interval) -> str:
    """Return a share with its interval, in percent."""
    if value is None:
        return "–"
    if interval.low is None or interval.high is None:
        return f"{value:.1%}"
    return f"{value:.1%} ({interval.low:.1%} to {interval.high:.1%})"


def money(value: float | None, unit: str) -> str:
    """Return a mean cost a row."""
    if value is None:
        return "–"
    return f"${value:.6f}" if unit == "USD" else f"{value:.3f} calls"


def quality_rows(found: Replay) -> list[tuple[str, ...]]:
    """Return quality and cost at tenths of calls, ours and each baseline's quality."""
    lines: dict[str, Line | None] = {OURS: found.ours, **found.baselines}
    known = {name: line for name, line in lines.items() if line is not None}
    points = {name: curve.points(line.curve, 11) for name, line in known.items()}
    return [
        (
            f"{points[OURS][step]['calls']:.0%}",
            money(points[OURS][step]["cost"], found.costs.unit),
            *(f"{each[step]['quality']:.3f}" for each in points.values()),
        )
        for step in range(11)
    ]


def quality_head(found: Replay) -> tuple[str, ...]:
    """Return the heading of that table."""
    known = [name for name, line in found.baselines.items() if line is not None]
    return ("calls", "cost a row", f"quality: {OURS}", *known)


def facts(found: Replay) -> list[tuple[str, str]]:
    """Return what there is to say besides the tables, a line each."""
    ends = _ends(found.auroc)
    ranks = (
        "–"
        if ends is None
        else f"{found.auroc.value:.3f} ({ends[0]:.3f} to {ends[1]:.3f})"
    )
    weights = ", ".join(
        f"{name} {weight:.2f}" for name, weight in found.decided.learners.items()
    )
    harmed = found.ours.harmed
    lines = [
        ("items", str(len(found.outcomes))),
        ("local model right", f"{found.ours.curve.weak:.3f}"),
        ("expert right", f"{found.ours.curve.strong:.3f}"),
        ("decided by (weight)", weights or "nothing"),
        ("confidence, AUROC", ranks),
        (
            "confidence, ECE",
            (
                f"{found.ece['before']:.3f} before calibration, {found.ece['after']:.3f} after"
                f" ({found.method or 'uncalibrated'})"
            ),
        ),
        ("confidence, Brier", f"{found.brier['after']:.3f}"),
        (
            "right before, wrong after",
            "–" if harmed is None else f"{harmed:.1%} at 95 %",
        ),
    ]
    lines += [
        (
            f"signal {each.signal}",
            f"{'used' if each.used else 'switched off'}: {each.reason}",
        )
        for each in found.gates
    ]
    return lines + [("note", each) for each in found.notes]
