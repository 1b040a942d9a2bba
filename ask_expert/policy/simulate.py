"""Replay questions under policies, and show where their decisions part."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import combinations
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt

from ask_expert import yaml_file
from ask_expert.errors import ConfigError
from ask_expert.policy.decide import Decision, decide
from ask_expert.policy.document import Policy
from ask_expert.policy.facts import KNOWN_FACTS, measured
from ask_expert.question import Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRow:
    """One question to replay: its id, its text and what was known about it."""

    id: str
    text: str
    facts: Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One question with the decision of every policy, in the table's order."""

    row: ReplayRow
    decisions: tuple[Decision, ...]

    @property
    def differs(self) -> bool:
        """Whether two of the policies act differently."""
        return len({decision.action for decision in self.decisions}) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One question on which two policies act differently, and by which rules."""

    row: ReplayRow
    first: str
    first_decision: Decision
    second: str
    second_decision: Decision

    def __str__(self) -> str:
        one, two = self.first_decision, self.second_decision
        return (
            f"{self.row.id}: {self.first} {one.action} ({one.rule}),"
            f" {self.second} {two.action} ({two.rule})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Every decision of every policy, and where they part."""

    policies: tuple[str, ...]
    lines: tuple[Line, ...]

    def differences(self) -> Iterator[Difference]:
        """Yield each question and pair of policies that act differently on it."""
        for line in self.lines:
            named = zip(self.policies, line.decisions, strict=True)
            for (first, one), (second, two) in combinations(named, 2):
                if one.action != two.action:
                    yield Difference(
                        row=line.row,
                        first=first,
                        first_decision=one,
                        second=second,
                        second_decision=two,
                    )


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(min_length=1)]
    text: Annotated[str, Field(min_length=1)]
    facts: Mapping[str, StrictBool | StrictInt | StrictFloat]


def replay(policy: Policy, rows: Iterable[ReplayRow]) -> list[Decision]:
    """Return the policy's decision on each row."""
    return [decide(policy, row.facts) for row in rows]


def compare(policies: Sequence[Policy], rows: Iterable[ReplayRow]) -> Table:
    """Return every policy's decision on each row."""
    return Table(
        policies=tuple(policy.name for policy in policies),
        lines=tuple(
            Line(
                row=row,
                decisions=tuple(decide(policy, row.facts) for policy in policies),
            )
            for row in rows
        ),
    )


def shipped_rows() -> tuple[ReplayRow, ...]:
    """Return the questions of stuck agents that come with the package."""
    source = files("ask_expert.policy") / "replay_questions.jsonl"
    return parse_rows(source.read_text(encoding="utf-8"), file=Path(str(source)))


def parse_rows(text: str, *, file: Path | None = None) -> tuple[ReplayRow, ...]:
    """
    Read rows from JSON lines; blank lines are skipped.

    Raises:
        ConfigError: A line is no JSON object of id, text and known facts.
    """
    rows: list[ReplayRow] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            rows.append(_parse_row(line, file, number))
    ids = [row.id for row in rows]
    twice = sorted({each for each in ids if ids.count(each) > 1})
    if twice:
        raise ConfigError(f"two questions are called {twice[0]!r}", file=file)
    return tuple(rows)


def _parse_row(line: str, file: Path | None, number: int) -> ReplayRow:
    try:
        data: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"is not JSON: {error}", file=file, line=number) from error
    if not isinstance(data, dict):
        raise ConfigError("must be a JSON object", file=file, line=number)
    try:
        row = yaml_file.validate(data, _Row)  # pyright: ignore[reportUnknownArgumentType]
    except ConfigError as error:
        raise ConfigError(str(error), file=file, line=number) from error
    facts: Facts = dict(row.facts)
    for name in facts:
        if name not in KNOWN_FACTS:
            hint = yaml_file.nearest(name, [*KNOWN_FACTS])
            raise ConfigError(f"unknown fact {name!r}; {hint}", file=file, line=number)
        if measured(facts, name) is None:
            raise ConfigError(
                f"{name} cannot be {facts[name]!r}", file=file, line=number
            )
    return ReplayRow(id=row.id, text=row.text, facts=facts)
