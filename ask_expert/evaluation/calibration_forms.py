"""A calibration for people, as JSON and as a picture."""

from collections.abc import Sequence
from html import escape

from ask_expert.confidence.calibration.document import SignalRow
from ask_expert.confidence.calibration.metrics import Bin
from ask_expert.evaluation.calibrating import Result

SIGNAL_HEAD = ("signal", "outcomes", "AUROC", "95 % interval", "used", "why")
TABLE_HEAD = ("promised", "outcomes", "mean promise", "came", "")
_WIDTH = 40
_WHO = {"local": "P(local right)", "expert": "P(expert right)"}
_SIDE = 360
_EDGE = 40


def as_json(
    results: Sequence[Result], *, model: str, kind: str, saved: str | None
) -> dict[str, object]:
    """Return all that was found as JSON."""
    return {
        "model": model,
        "kind": kind,
        "saved": saved,
        "targets": {each.target: _json(each) for each in results},
    }


def _json(result: Result) -> dict[str, object]:
    found, fit = result.found, result.found.fit
    best = fit.formulas[0] if fit.formulas else None
    ranks = found.auroc
    return {
        "outcomes": fit.outcomes,
        "right": fit.right,
        "calibration": best.method if best else "uncalibrated",
        "reason": fit.reason,
        "signals_used": list(best.signals) if best else [],
        "auroc": ranks.value if ranks else None,
        "auroc_interval": [ranks.low, ranks.high] if ranks else None,
        "ece_before": found.ece.get("before"),
        "ece": found.ece.get("after"),
        "ece_adaptive": found.ece.get("adaptive"),
        "brier": found.brier,
        "reliability": [
            {
                "low": row.low,
                "high": row.high,
                "outcomes": row.count,
                "predicted": row.predicted,
                "observed": row.observed,
            }
            for row in found.table
        ],
        "signals": [each.model_dump() for each in fit.signals],
        "drift": None
        if result.drift is None
        else {
            "new_outcomes": result.drift.count,
            "drifted": result.drift.drifted,
            "reason": result.drift.reason,
        },
        "guarantee": None
        if result.guarantee is None
        else {
            "bar": result.guarantee.bar,
            "kept": result.guarantee.kept,
            "bound": result.guarantee.bound,
            "reason": result.guarantee.reason,
        },
    }


def title(result: Result) -> str:
    """Return whose probability it is, and how it is calibrated."""
    fit = result.found.fit
    method = fit.formulas[0].method if fit.formulas else "uncalibrated"
    return (
        f"{_WHO[result.target]}: {method}, {fit.outcomes} outcomes, {fit.right} right"
    )


def facts(result: Result) -> list[tuple[str, str]]:
    """Return what there is to say besides the tables."""
    found, rows = result.found, list[tuple[str, str]]()
    if found.fit.reason:
        rows.append(("uncalibrated", found.fit.reason))
    if found.auroc is not None and found.auroc.value is not None:
        ranks = found.auroc
        rows.append(
            ("AUROC", f"{ranks.value:.3f} ({ranks.low:.3f} to {ranks.high:.3f})")
        )
    before, after = found.ece.get("before"), found.ece.get("after")
    if after is not None:
        raw = "" if before is None else f"{before:.3f} before, "
        rows.append(
            ("ECE", f"{raw}{after:.3f} after, {found.ece['adaptive']:.3f} adaptive")
        )
    if found.brier is not None:
        rows.append(("Brier", f"{found.brier:.3f}"))
    if result.drift is not None:
        rows.append(("the last calibration", result.drift.reason))
    if result.guarantee is not None:
        rows.append(("guarantee", result.guarantee.reason))
    return rows


def signal_rows(signals: Sequence[SignalRow]) -> list[tuple[str, ...]]:
    """Return what the gate said, a row a signal."""
    return [
        (
            each.name,
            str(each.outcomes),
            "–" if each.auroc is None else f"{each.auroc:.3f}",
            "–" if each.low is None else f"{each.low:.3f} to {each.high:.3f}",
            "yes" if each.used else "off",
            each.reason,
        )
        for each in signals
    ]


def table_rows(table: Sequence[Bin]) -> list[tuple[str, ...]]:
    """Return the reliability table, a bar a row: `█` what came, `|` what was promised."""
    return [
        (
            f"{row.low:.1f} to {row.high:.1f}",
            str(row.count),
            f"{row.predicted:.3f}",
            f"{row.observed:.3f}",
            _bar(row.predicted, row.observed),
        )
        for row in table
    ]


def _bar(predicted: float, observed: float) -> str:
    cells = [
        "█" if place < round(observed * _WIDTH) else "·" for place in range(_WIDTH)
    ]
    cells[min(_WIDTH - 1, round(predicted * _WIDTH))] = "|"
    return "".join(cells)


def svg(results: Sequence[Result]) -> str:
    """Return the reliability tables as one picture: what came over what was promised."""
    panels = [_panel(each, place) for place, each in enumerate(results)]
    width = (_SIDE + 2 * _EDGE) * max(len(results), 1)
    height = _SIDE + 2 * _EDGE
    return "\n".join(
        [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
                f' viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
            ),
            f'<rect width="{width}" height="{height}" fill="white"/>',
            *panels,
            "</svg>\n",
        ]
    )


def _panel(result: Result, place: int) -> str:
    left = place * (_SIDE + 2 * _EDGE) + _EDGE
    most = max((row.count for row in result.found.table), default=1)
    dots = [
        f'<circle cx="{row.predicted * _SIDE:.1f}" cy="{(1 - row.observed) * _SIDE:.1f}"'
        f' r="{3 + 7 * (row.count / most) ** 0.5:.1f}" fill="#2a6fb0" fill-opacity="0.7">'
        f"<title>{row.count} outcomes</title></circle>"
        for row in result.found.table
    ]
    return "\n".join(
        [
            f'<g transform="translate({left},{_EDGE})">',
            f'<rect width="{_SIDE}" height="{_SIDE}" fill="none" stroke="#888"/>',
            f'<line x1="0" y1="{_SIDE}" x2="{_SIDE}" y2="0" stroke="#aaa"/>',
            *dots,
            f'<text x="0" y="-12">{escape(title(result))}</text>',
            f'<text x="{_SIDE // 2 - 30}" y="{_SIDE + 28}">promised, 0 to 1</text>',
            f'<text x="-10" y="{_SIDE // 2}" transform="rotate(-90 -10 {_SIDE // 2})">came</text>',
            "</g>",
        ]
    )
