"""Coding tasks with executable tests; `data/README.md` says whose they are."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CODING_TASKS = Path(__file__).with_name("data") / "coding_tasks.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """
    One task.

    Attributes:
        id: Name of the set and its row there, e.g. `mbpp-11`.
        text: What is asked for.
        tests: Statements that a right solution passes; the agent sees them.
        setup: Statements that run before the tests.
        reference: The authors' own solution, never shown to an agent.
    """

    id: str
    text: str
    tests: tuple[str, ...]
    setup: str = ""
    reference: str = ""

    @property
    def checks(self) -> tuple[str, ...]:
        """Everything that runs after the solution, in order."""
        return (self.setup, *self.tests) if self.setup else self.tests

    @property
    def statement(self) -> str:
        """The task as an agent reads it, with its visible tests."""
        tests = "\n".join(self.checks)
        return (
            f"{self.text}\n\nThe code must pass these tests:\n```python\n{tests}\n```"
        )


def coding_tasks(count: int | None = None, *, file: Path = CODING_TASKS) -> list[Task]:
    """
    Return the first `count` tasks in the set's own order; all when None.

    Raises:
        ValueError: The set holds fewer.
    """
    rows = [_task(json.loads(line)) for line in file.read_text("utf-8").splitlines()]
    if count is not None and not 0 < count <= len(rows):
        raise ValueError(f"there are 1 to {len(rows)} tasks, not {count}")
    return rows[:count]


def _task(row: dict[str, Any]) -> Task:
    return Task(
        id=row["id"],
        text=row["text"],
        tests=tuple(row["tests"]),
        setup=row["setup"],
        reference=row["reference"],
    )
