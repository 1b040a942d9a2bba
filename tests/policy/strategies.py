"""Policies and facts of every allowed form, for laws."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from ask_expert.policy.document import Policy
from ask_expert.policy.facts import KNOWN_FACTS
from ask_expert.question import Facts

ACTIONS = st.sampled_from(["escalate", "stay_local", "refuse", "ask_human"])
NAMES = st.text(
    st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=20
)


@st.composite
def conditions(draw: st.DrawFn, *, facts: tuple[str, ...]) -> dict[str, Any]:
    chosen = draw(st.lists(st.sampled_from(facts), min_size=1, max_size=3, unique=True))
    return {fact: draw(_comparison(fact)) for fact in chosen}


def _comparison(fact: str) -> st.SearchStrategy[dict[str, Any]]:
    kind = KNOWN_FACTS[fact]
    if kind.kind == "bool":
        return st.fixed_dictionaries({"equals": st.booleans()})
    low, high = (-1, 0) if kind.high == 0 else (0, 1)
    limits: st.SearchStrategy[int | Decimal] = (
        st.integers(0, 4)
        if kind.kind == "int"
        else st.decimals(low, high, places=2, allow_nan=False, allow_infinity=False)
    )
    bounds = st.sampled_from(["at_least", "at_most", "above", "below", "equals"])
    return st.dictionaries(bounds, limits, min_size=1, max_size=2)


@st.composite
def rules(
    draw: st.DrawFn, *, facts: tuple[str, ...] = tuple(KNOWN_FACTS)
) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "when": draw(st.just("always") | conditions(facts=facts)),
        "then": draw(ACTIONS),
    }
    if draw(st.booleans()):
        rule["name"] = draw(NAMES)
    return rule


@st.composite
def budgets(draw: st.DrawFn) -> dict[str, Any]:
    scope = draw(
        st.sampled_from(
            ["call", "task", "session", "project", "hour", "day", "month", "total"]
        )
    )
    budget: dict[str, Any] = {
        "scope": scope,
        "usd": draw(st.decimals(0, 1000, places=3)),
    }
    if scope != "call":
        budget["calls"] = draw(st.none() | st.integers(0, 100))
        budget["per"] = draw(st.sampled_from([[], ["expert"], ["expert", "user"]]))
        budget["tokens"] = draw(st.none() | st.integers(0, 100_000))
        budget["mode"] = draw(st.sampled_from(["hard", "soft", "degrade"]))
        budget["rolling"] = scope in {"hour", "day"} and draw(st.booleans())
    return budget


@st.composite
def policies(
    draw: st.DrawFn, *, facts: tuple[str, ...] = tuple(KNOWN_FACTS), most: int = 6
) -> Policy:
    return Policy.model_validate(
        {
            "name": draw(NAMES),
            "rules": draw(st.lists(rules(facts=facts), max_size=most)),
            "otherwise": draw(ACTIONS),
            "ladder": draw(
                st.none() | st.lists(NAMES, min_size=1, max_size=3, unique=True)
            ),
            "budgets": draw(st.lists(budgets(), max_size=4)),
            "checklist": draw(st.none() | st.lists(NAMES, max_size=3)),
        }
    )


VALUES: st.SearchStrategy[bool | int | float | str] = (
    st.booleans()
    | st.integers(-1, 6)
    | st.floats(-1, 1)
    | st.sampled_from([float("nan"), float("inf"), float("-inf")])
    | st.text(max_size=5)
)
FACTS: st.SearchStrategy[Facts] = st.dictionaries(
    st.sampled_from(tuple(KNOWN_FACTS)), VALUES
)
