"""A budget as one types it: `5/day`, `100calls/hour`, `20/month:rolling`."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast, get_args

from pydantic import ValidationError

from ask_expert.policy.budgets import Budget, Scope
from ask_expert.policy.facts import plain
from ask_expert.yaml_file import nearest

_FORM = re.compile(
    r"(?P<amount>\d{1,15}(?:\.\d{1,9})?)(?P<unit>usd|calls|tokens)?"
    r"/(?P<scope>[a-z]+)(?P<rolling>:rolling)?"
)
_SCOPES = get_args(Scope)
_EXPECTED = (
    "give AMOUNT[usd|calls|tokens]/SCOPE[:rolling], e.g. 5/day, 100calls/hour, "
    "20/month:rolling or 2/task"
)


def parse(text: str) -> Budget:
    """
    Return the budget that a text means; without a unit it is in USD.

    Raises:
        ValueError: It means none; the text says what would.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text[:60]!r} is no budget; {_EXPECTED}")
    if found["scope"] not in _SCOPES:
        hint = nearest(found["scope"], [*_SCOPES])
        raise ValueError(f"{text[:60]!r}: unknown scope; {hint}")
    unit = found["unit"] or "usd"
    amount = Decimal(found["amount"])
    if unit != "usd" and amount != amount.to_integral_value():
        raise ValueError(f"{text[:60]!r}: {unit} are whole; {_EXPECTED}")
    try:
        return Budget.model_validate(
            {
                "scope": found["scope"],
                unit: amount if unit == "usd" else int(amount),
                "rolling": found["rolling"] is not None,
            }
        )
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ValueError(f"{text[:60]!r}: {why}") from error


def of_one_session(budget: Budget) -> Budget:
    """
    Return a budget whose windows are one session's, and so one access token's.

    A session's own windows are that already, and a single call belongs to one.
    """
    if budget.scope in {"session", "call"} or "session" in budget.per:
        return budget
    per = (*budget.per, "session")
    fields = {name: getattr(budget, name) for name in type(budget).model_fields}
    return Budget.model_validate({**fields, "per": per})


def as_json(budget: Budget) -> Mapping[str, object]:
    """Return a budget as JSON can carry it, without what is absent."""
    written = json.dumps(budget.model_dump(exclude_none=True), default=plain)
    found = cast("dict[str, Any]", json.loads(written))
    if not found["per"]:
        del found["per"]
    return found
