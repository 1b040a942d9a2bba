"""The part of a policy that says what the local system does, and within which limits."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from ask_expert.local.strategies.names import COUNTED, By, Choice, Name
from ask_expert.policy.budgets import Strict
from ask_expert.policy.facts import KNOWN_FACTS
from ask_expert.yaml_file import nearest

AnswerKind = Literal["number", "choice", "code", "short_text", "free_text"]
"""What an answer is, as far as telling two of them apart goes."""


class Assess(Strict):
    """
    What the local model is asked for before the decision.

    Attributes:
        signals: Names of facts that are measured, in any order.
        max_tokens: Most local tokens for all of them together.
        max_seconds: Most seconds for all of them together.
        samples: Most answers that vote.
        kind: What the answers are; detected when absent.
        stop_when_decided: Whether what can no longer change the decision is left out;
            without it every signal goes on record, for a calibration.
    """

    signals: Annotated[tuple[str, ...], Field(min_length=1, max_length=50)]
    max_tokens: Annotated[int, Field(ge=100, le=1_000_000, strict=True)] = 4000
    max_seconds: Annotated[float, Field(gt=0, le=600)] = 10
    samples: Annotated[int, Field(ge=2, le=64, strict=True)] = 5
    kind: AnswerKind | None = None
    stop_when_decided: bool = True

    @field_validator("signals")
    @classmethod
    def _signals_exist(cls, signals: tuple[str, ...]) -> tuple[str, ...]:
        known = [name for name, kind in KNOWN_FACTS.items() if kind.measured]
        for name in signals:
            if name not in known:
                raise ValueError(
                    f"no signal {name!r} is measured; {nearest(name, known)}"
                )
            if signals.count(name) > 1:
                raise ValueError(f"names {name!r} twice")
        return signals


class LocalFirst(Strict):
    """
    What the local system tries before an expert is asked.

    Attributes:
        strategy: How it solves.
        n: Samples of a vote, answers of `best_of_n`, times that `refine` mends, nodes
            of `search`; the strategy's own number when absent.
        by: What `best_of_n` chooses by; the check when absent.
        max_tokens: Most local tokens.
        max_seconds: Most seconds.
        bar: Calibrated confidence that the answer must reach, or the strategy's own
            score where it is uncalibrated; without it only a check lets one pass.
        kind: What the answers are; detected when absent. A local server with this
            role goes before others.
    """

    strategy: Name
    n: Annotated[int, Field(ge=1, le=64, strict=True)] | None = None
    by: By | None = None
    max_tokens: Annotated[int, Field(ge=100, le=1_000_000, strict=True)] = 8000
    max_seconds: Annotated[float, Field(gt=0, le=600)] = 20
    bar: Annotated[float, Field(gt=0, le=1)] | None = None
    kind: AnswerKind | None = None

    @model_validator(mode="after")
    def _options_suit_the_strategy(self) -> Self:
        if self.n is not None and self.strategy not in COUNTED:
            raise ValueError(
                f"{self.strategy} has no n; it is for {', '.join(COUNTED)}"
            )
        if self.by is not None and self.strategy != "best_of_n":
            raise ValueError(f"{self.strategy} has no by; it is for best_of_n")
        if self.strategy in {"vote", "weighted_vote"} and self.n == 1:
            raise ValueError("one sample alone is no vote; give n above 1")
        return self

    @property
    def choice(self) -> Choice:
        """The strategy with its options."""
        return Choice(name=self.strategy, n=self.n, by=self.by or "check")
