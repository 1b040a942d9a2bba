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
        measured: Whether the local model is asked for it, if the policy names it.
    """

    kind: Literal["bool", "int", "number"]
    meaning: str
    low: Decimal = Decimal(0)
    high: Decimal = _MOST
    always: bool = False
    measured: bool = False


def _share(meaning: str) -> FactKind:
    return FactKind(kind="number", high=Decimal(1), measured=True, meaning=meaning)


def _logarithm(meaning: str) -> FactKind:
    low, high = -_MOST, Decimal(0)
    return FactKind(kind="number", low=low, high=high, measured=True, meaning=meaning)


def _nats(meaning: str) -> FactKind:
    return FactKind(kind="number", measured=True, meaning=meaning)


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
        "stalled": FactKind(
            kind="bool",
            meaning="the same error or the same attempt came three times or more",
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
        "mean_logprob": _logarithm(
            "mean log-probability of the tokens of the local model's own answer"
        ),
        "min_logprob": _logarithm("log-probability of its least likely token"),
        "low_logprob": _logarithm(
            "log-probability below which a tenth of its tokens lie"
        ),
        "logprob_margin": _nats(
            "how far its likeliest tokens stand above the next ones, on average"
        ),
        "token_entropy": _nats("mean entropy of its next token; low is sure"),
        "lowest_group": _nats("confidence of its least confident 2,048 tokens"),
        "tail_confidence": _nats("confidence of its last 2,048 tokens"),
        "p_true": _share("probability of `yes` when asked whether the answer is right"),
        "draft_logprob": _logarithm(
            "mean log-probability of the agent's own answer under the local model"
        ),
        "self_verification": _share(
            "share of eight sampled verdicts that call the answer correct"
        ),
        "vote_share": _share("share of sampled answers that are the most frequent one"),
        "vote_entropy": _nats("entropy of the sampled answers; low is sure"),
        "vote_margin": _share(
            "share of the most frequent sampled answer less that of the second"
        ),
        "style_agreement": _share(
            "1 if another style of prompt gets the same answer, else 0"
        ),
        "model_agreement": _share(
            "1 if the second local model gives the same answer, else 0"
        ),
        "follow_up": _share(
            "1 if the local model, asked to defend the answer, keeps to it, else 0"
        ),
        "paraphrase_agreement": _share(
            "1 if the question in other words gets the same answer, else 0"
        ),
        "changed_assumption": _share(
            "1 if the answer moves when an assumption changes, else 0"
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
