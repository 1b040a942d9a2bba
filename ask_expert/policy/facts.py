"""The facts that a rule can test, and what each one means."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Literal

from ask_expert.question import Facts

Value = bool | Decimal
"""A fact as rules compare it: an exact number, or true or false."""

_MOST = Decimal(1_000_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactKind:
    """
    What a fact can be.

    Attributes:
        kind: `bool`, a whole number, or any number.
        meaning: One line for people.
        low: The smallest number it can be.
        high: The largest number it can be.
        always: Whether every question has it; others may be absent.
    """

    kind: Literal["bool", "int", "number"]
    meaning: str
    low: Decimal = Decimal(0)
    high: Decimal = _MOST
    always: bool = False


KNOWN_FACTS: Mapping[str, FactKind] = MappingProxyType(
    {
        "check_failed": FactKind(
            kind="bool", meaning="the check named in `check` ran and failed"
        ),
        "failed_attempts": FactKind(
            kind="int", meaning="how many failed attempts `tried` lists"
        ),
        "repeated_error": FactKind(
            kind="int",
            meaning="how often this error was seen in this task, this time included",
        ),
        "asked_before": FactKind(
            kind="int",
            meaning="how often this text was asked in this task without new evidence",
        ),
        "confidence": FactKind(
            kind="number",
            high=Decimal(1),
            meaning="calibrated probability that the local answer is right",
        ),
        "stated_confidence": FactKind(
            kind="number",
            high=Decimal(1),
            meaning="the probability that the agent itself states; seldom worth much",
        ),
        "has_error": FactKind(
            kind="bool", always=True, meaning="an error message was handed in"
        ),
        "has_context": FactKind(
            kind="bool", always=True, meaning="code or data was handed in"
        ),
        "has_answer": FactKind(
            kind="bool", always=True, meaning="the agent's own answer was handed in"
        ),
        "question_chars": FactKind(
            kind="int", always=True, meaning="length of the question in characters"
        ),
    }
)


def measured(facts: Facts, name: str) -> Value | None:
    """
    Return a fact as rules compare it; None when it is absent.

    A value that is not of the fact's kind, or outside its range, was not measured:
    it counts as absent. A float becomes the decimal that it prints as, so that 0.7
    is at least 0.7.
    """
    value = facts.get(name)
    kind = KNOWN_FACTS[name]
    if kind.kind == "bool":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = Decimal(value) if isinstance(value, int) else Decimal(str(value))
    if not number.is_finite() or not kind.low <= number <= kind.high:
        return None
    return number


def plain(value: Value | str) -> str:
    """Return a value as a person would write it: no exponent, no idle zeros."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
