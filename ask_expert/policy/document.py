"""
The policy document: rules in order, budgets, a ladder; written by people in YAML.

The first rule that holds decides. A rule whose fact is absent abstains. Whatever
is written wrong is an error with the nearest right word; nothing is guessed.
"""

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal, Self, cast

import yaml
from pydantic import (
    BeforeValidator,
    Field,
    field_serializer,
    field_validator,
    model_validator,
)

from ask_expert.policy.budgets import Budget, Strict, Usd
from ask_expert.policy.facts import KNOWN_FACTS, FactKind, Value, plain
from ask_expert.policy.local_system import Assess, LocalFirst
from ask_expert.settings import Price
from ask_expert.yaml_file import nearest

Action = Literal["escalate", "stay_local", "refuse", "ask_human"]
Climb = Literal["check_failed", "new_evidence"]

ALWAYS = "always"
"""The `when` of a rule that holds for every question."""


def _threshold(value: object) -> Value | str:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float | Decimal):
        number = Decimal(str(value))
        if number.is_finite():
            return number
    raise ValueError("must be a finite number, true, false or a text")


Threshold = Annotated[Decimal | bool | str, BeforeValidator(_threshold)]
Line = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
]
"""One printable line."""


class Comparison(Strict):
    """What a fact is compared with; all bounds that are given must hold."""

    at_least: Threshold | None = None
    at_most: Threshold | None = None
    above: Threshold | None = None
    below: Threshold | None = None
    equals: Threshold | None = None

    @model_validator(mode="after")
    def _compares(self) -> Self:
        if not self.bounds:
            known = ", ".join(type(self).model_fields)
            raise ValueError(f"compares with nothing; give one of {known}")
        return self

    @cached_property
    def bounds(self) -> tuple[tuple[str, Value | str], ...]:
        """The bounds that are given, as (name, threshold)."""
        given: list[tuple[str, Value | str]] = []
        for name in type(self).model_fields:
            threshold = cast("Value | str | None", getattr(self, name))
            if threshold is not None:
                given.append((name, threshold))
        return tuple(given)

    @property
    def text(self) -> str:
        """The bounds in the document's own words, e.g. `at_least 1`."""
        return " and ".join(f"{name} {plain(value)}" for name, value in self.bounds)

    def holds(self, value: Value) -> bool:
        """Return whether every bound holds; a bound of another kind never does."""
        return all(_bound_holds(name, value, limit) for name, limit in self.bounds)


def _bound_holds(name: str, value: Value, limit: Value | str) -> bool:
    if name == "equals":
        return type(value) is type(limit) and value == limit
    if not isinstance(value, Decimal) or not isinstance(limit, Decimal):
        return False
    return {
        "at_least": value >= limit,
        "at_most": value <= limit,
        "above": value > limit,
        "below": value < limit,
    }[name]


class Rule(Strict):
    """
    One rule.

    Attributes:
        when: Facts with what they are compared with; all must hold. The document
            writes `always` for none, and a bare name for a fact that must be true.
        then: The decision when the rule holds.
        name: What reports call it; its condition when absent.
        panel: So many experts are asked at once, from the ladder's foot; each is
            reserved and paid for by itself.
    """

    when: Mapping[str, Comparison]
    then: Action = "escalate"
    name: Line | None = None
    panel: Annotated[int, Field(ge=2, le=5, strict=True)] | None = None

    @model_validator(mode="after")
    def _a_panel_is_asked(self) -> Self:
        if self.panel is not None and self.then != "escalate":
            raise ValueError(f"a panel is asked, but this rule says {self.then}")
        return self

    @field_validator("when", mode="before")
    @classmethod
    def _when_is_a_mapping(cls, when: object) -> object:
        if isinstance(when, str):
            return _named(when)
        if not isinstance(when, Mapping):
            raise ValueError(  # noqa: TRY004  # pydantic wants this type
                "must be `always`, a fact, or a mapping such as"
                " {failed_attempts: {at_least: 1}}"
            )
        conditions = cast("Mapping[object, object]", when)
        if not conditions:
            raise ValueError(f"names no fact; write `{ALWAYS}` if it shall always hold")
        for fact, comparison in conditions.items():
            _check_shape(str(fact), comparison)
        return conditions

    @field_validator("when")
    @classmethod
    def _bounds_suit_the_facts(
        cls, when: Mapping[str, Comparison]
    ) -> Mapping[str, Comparison]:
        for fact, comparison in when.items():
            for bound, threshold in comparison.bounds:
                _check_bound(fact, bound, threshold)
        return when

    @field_serializer("when")
    def _written(self, when: Mapping[str, Comparison]) -> object:
        if not when:
            return ALWAYS
        if len(when) == 1 and self._is_bare(fact := next(iter(when))):
            return fact
        return {fact: dict(comparison.bounds) for fact, comparison in when.items()}

    def _is_bare(self, fact: str) -> bool:
        ((name, value), *more) = self.when[fact].bounds
        return name == "equals" and value is True and not more

    @cached_property
    def label(self) -> str:
        """The rule's name, else its condition, e.g. `failed_attempts at_least 1`."""
        return self.name or self.condition

    @cached_property
    def condition(self) -> str:
        """The condition in the document's own words."""
        parts = [
            fact if self._is_bare(fact) else f"{fact} {comparison.text}"
            for fact, comparison in self.when.items()
        ]
        return " and ".join(parts) or ALWAYS


def _named(when: str) -> Mapping[str, object]:
    if when == ALWAYS:
        return {}
    if when not in KNOWN_FACTS:
        raise ValueError(_unknown_fact(when, also=ALWAYS))
    if KNOWN_FACTS[when].kind != "bool":
        raise ValueError(
            f"{when} is a number; compare it, e.g. {{{when}: {{at_least: 1}}}}"
        )
    return {when: {"equals": True}}


def _check_shape(fact: str, comparison: object) -> None:
    if fact not in KNOWN_FACTS:
        raise ValueError(_unknown_fact(fact))
    if not isinstance(comparison, Mapping | Comparison):
        example = "equals: true" if KNOWN_FACTS[fact].kind == "bool" else "at_least: 1"
        raise ValueError(  # noqa: TRY004  # pydantic wants this type
            f"{fact} needs a comparison, e.g. {{{fact}: {{{example}}}}}"
        )


def _unknown_fact(name: str, *, also: str | None = None) -> str:
    known = [*KNOWN_FACTS, also] if also else [*KNOWN_FACTS]
    return f"unknown fact {name!r}; {nearest(name, known)}"


def _check_bound(fact: str, bound: str, threshold: Value | str) -> None:
    kind = KNOWN_FACTS[fact]
    if kind.kind == "bool":
        if bound != "equals" or not isinstance(threshold, bool):
            raise ValueError(
                f"{fact} is true or false; write `when: {fact}`"
                f" or {{{fact}: {{equals: false}}}}"
            )
    elif not isinstance(threshold, Decimal):
        raise ValueError(f"{fact} is a number; {bound} cannot be {plain(threshold)!r}")
    else:
        _check_number(fact, kind, bound, threshold)


def _check_number(fact: str, kind: FactKind, bound: str, threshold: Decimal) -> None:
    if not kind.low <= threshold <= kind.high:
        raise ValueError(
            f"{fact} lies between {plain(kind.low)} and {plain(kind.high)};"
            f" {bound} cannot be {threshold}"
        )
    if kind.kind == "int" and threshold != threshold.to_integral_value():
        raise ValueError(
            f"{fact} is a whole number; {bound} cannot be {plain(threshold)}"
        )


class Policy(Strict):
    """
    The whole document.

    Attributes:
        name: How the ledger and reports call it.
        rules: In order; the first that holds decides.
        otherwise: The decision when no rule holds.
        ladder: Names of experts, cheapest first; all, in the settings' order, when
            absent.
        budgets: All of them must have room.
        unknown_price: Whether an expert without a known price may be asked.
        assumed_price: Stands in for an unknown price, so that USD budgets hold.
        ask_human_above_usd: A person is asked before a call whose worst case is
            higher, in USD.
        climb: When the next expert up is asked because the one before did not help:
            `check_failed`, the named check still fails after its answer;
            `new_evidence`, the same text or error comes back in the same task.
        after_unknown: What happens when an expert may have billed and gave no
            answer: `stop`, or `next_expert`, which may pay twice.
        local_answer: Whether the expert sees the agent's own answer; the settings'
            `send.local_answer` when absent.
        checklist: Shown to the agent when a question stays local.
        assess: What is measured before the decision; nothing when absent.
        local_first: What the local system tries before an expert is asked; nothing
            when absent.
    """

    name: Annotated[Line, Field(max_length=60)]
    rules: Annotated[tuple[Rule, ...], Field(max_length=100)] = ()
    otherwise: Action = "stay_local"
    ladder: tuple[Line, ...] | None = None
    budgets: Annotated[tuple[Budget, ...], Field(max_length=50)] = ()
    unknown_price: Literal["refuse", "allow"] = "refuse"
    assumed_price: Price | None = None
    ask_human_above_usd: Usd | None = None
    climb: Annotated[tuple[Climb, ...], Field(max_length=2)] = (
        "check_failed",
        "new_evidence",
    )
    after_unknown: Literal["stop", "next_expert"] = "stop"
    local_answer: Literal["review", "omit"] | None = None
    checklist: Annotated[tuple[Line, ...], Field(max_length=10)] | None = None
    assess: Assess | None = None
    local_first: LocalFirst | None = None

    @field_validator("ladder")
    @classmethod
    def _ladder_has_rungs(
        cls, ladder: tuple[str, ...] | None
    ) -> tuple[str, ...] | None:
        if ladder == ():
            raise ValueError("names no expert; leave it out to use all of them")
        twice = sorted(
            {name for name in ladder or () if (ladder or ()).count(name) > 1}
        )
        if twice:
            raise ValueError(f"names {twice[0]!r} twice")
        return ladder

    @model_validator(mode="after")
    def _usd_budgets_hold(self) -> Self:
        capped = any(budget.usd is not None for budget in self.budgets)
        if self.unknown_price == "allow" and capped and self.assumed_price is None:
            raise ValueError(
                "unknown_price: allow needs assumed_price wherever a budget in USD"
                " applies, e.g. assumed_price: {input_per_mtok: 15, output_per_mtok: 75}"
            )
        return self

    @cached_property
    def hash(self) -> str:
        """Sixteen hex digits that name this very document, however it is laid out."""
        canonical = json.dumps(
            self.model_dump(exclude_none=True),
            default=plain,
            sort_keys=True,
            separators=(",", ":"),
        )
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


class _Dumper(yaml.SafeDumper):
    """YAML with decimals as a person writes them."""


def _represent_decimal(dumper: yaml.SafeDumper, value: Decimal) -> yaml.ScalarNode:
    text = plain(value)
    kind = "float" if "." in text else "int"
    tag = f"tag:yaml.org,2002:{kind}"
    return dumper.represent_scalar(tag, text)  # pyright: ignore[reportUnknownMemberType]


_Dumper.add_representer(Decimal, _represent_decimal)


def to_yaml(policy: Policy) -> str:
    """Return the document as YAML; reading it gives the same policy."""
    data: dict[str, Any] = policy.model_dump(exclude_none=True)
    for name in ("climb", "after_unknown"):
        if data[name] == type(policy).model_fields[name].default:
            del data[name]
    for budget in data["budgets"]:
        if not budget["per"]:
            del budget["per"]
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
