"""The sentence about the gain, and when it may say «worth it»."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from ask_expert.gain.bounds import Bounds
from ask_expert.gain.estimate import Dollars, Share

Kind = Literal[
    "not_enough_data", "unclear", "hangs_on_unknown", "fewer", "more", "worth_it"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    What may be said of the gain.

    Attributes:
        kind: `more` and `worth_it` only where the worst case of the unknown outcomes
            still lies above zero, error of chance included.
        text: The same for people, in one or two sentences.
    """

    kind: Kind
    text: str


def verdict(
    gain: Share,
    worst: Bounds,
    *,
    value_usd: Decimal | None = None,
    worth: Dollars | None = None,
) -> Verdict:
    """
    Return what may be said.

    Args:
        gain: The estimate that comes first.
        worst: Its bounds for the unknown outcomes.
        value_usd: What a solution is worth; None says nothing of worth.
        worth: The net benefit at that value, with every unknown outcome counted
            against escalating.
    """
    kind, text = _of_gain(gain, worst)
    if kind != "more" or value_usd is None or worth is None:
        return Verdict(kind=kind, text=text)
    price = f"at ${value_usd:f} a solution"
    if worth.is_above_zero:
        return Verdict(kind="worth_it", text=f"{text} It is worth its cost {price}.")
    text = f"{text} That it is worth its cost {price} is not shown."
    return Verdict(kind="more", text=text)


def _of_gain(gain: Share, worst: Bounds) -> tuple[Kind, str]:
    """Return what may be said of the gain alone."""
    if gain.value is None or gain.low is None or gain.high is None:
        return "not_enough_data", gain.note
    span = f"{_points(gain.value)} points ({_points(gain.low)} to {_points(gain.high)})"
    unknown = f"{worst.unknown_share:.0%} of the outcomes are unknown"
    at_worst, at_best = _reach(worst.least.low), _reach(worst.most.high)
    if gain.is_below_zero and worst.most.is_below_zero:
        text = f"Escalating solves fewer: {span}, at best {at_best}; {unknown}."
        return "fewer", text
    if gain.is_above_zero and worst.least.is_above_zero:
        text = f"Escalating solves more: {span}, at worst {at_worst}; {unknown}."
        return "more", text
    if gain.is_above_zero or gain.is_below_zero:
        text = (
            f"It hangs on the unknown outcomes whether escalating helps: {span} by the "
            f"known ones, {at_worst} to {at_best} by all; {unknown}."
        )
        return "hangs_on_unknown", text
    return "unclear", f"No clear difference: {span}; {unknown}."


def _points(share: float) -> str:
    return f"{round(100 * share):+d}"


def _reach(end: float | None) -> str:
    return "unknown" if end is None else _points(end)
