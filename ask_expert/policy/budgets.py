"""One line of a policy's `budgets`, as people write it."""

from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from ask_expert.limits import Mode
from ask_expert.periods import CALENDAR

Own = Literal["task", "session", "thread", "agent", "user", "project", "expert"]
Scope = Literal[
    "call",
    "task",
    "session",
    "thread",
    "agent",
    "user",
    "project",
    "expert",
    "hour",
    "day",
    "week",
    "month",
    "year",
    "total",
]


def _amount(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004  # pydantic wants this type
    return value


Usd = Annotated[
    Decimal,
    BeforeValidator(_amount),
    Field(ge=0, lt=1_000_000_000, allow_inf_nan=False),
]


class Strict(BaseModel):
    """A part of a policy: nothing unknown is in it, and nothing changes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Budget(Strict):
    """
    What may be spent in one scope; every budget must have room.

    Attributes:
        scope: What the limit is counted over.
        usd: Most money, in USD; 0 lets nothing be spent.
        calls: Most tries sent; a retry counts anew.
        tokens: Most tokens, input and output together.
        per: Each of these gets a window of its own, e.g. `expert` or `project`.
        rolling: The period ends now, instead of following the calendar.
        mode: Over it `hard` refuses, `soft` warns and asks a person, and `degrade`
            takes the next cheaper expert.
    """

    scope: Scope
    usd: Usd | None = None
    calls: Annotated[int, Field(ge=0, le=1_000_000_000, strict=True)] | None = None
    tokens: Annotated[int, Field(ge=0, le=10**15, strict=True)] | None = None
    per: Annotated[tuple[Own, ...], Field(max_length=7)] = ()
    rolling: Annotated[bool, Field(strict=True)] = False
    mode: Mode = "hard"

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if self.scope == "call":
            self._check_call()
        if self.usd is None and self.calls is None and self.tokens is None:
            raise ValueError("limits nothing; give usd, calls or tokens")
        if self.scope in self.per:
            raise ValueError(f"per repeats the scope: leave {self.scope} out of it")
        if len({*self.per}) < len(self.per):
            raise ValueError("per names something twice")
        if self.rolling and self.scope not in CALENDAR:
            raise ValueError(
                f"a budget of scope {self.scope} has no period that could be rolling;"
                f" only {', '.join(CALENDAR)} have"
            )
        return self

    def _check_call(self) -> None:
        if self.calls is not None:
            raise ValueError("a budget of scope call takes usd and tokens, not calls")
        if self.per:
            raise ValueError(
                "a budget of scope call holds for each call; leave out per"
            )
        if self.mode == "soft":
            raise ValueError(
                "a budget of scope call cannot be soft; write ask_human_above_usd"
            )

    @model_serializer(mode="wrap")
    def _written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what says nothing, so that a policy without it keeps its hash."""
        found: dict[str, Any] = write(self)
        if not self.rolling:
            found.pop("rolling", None)
        if self.mode == "hard":
            found.pop("mode", None)
        return found
