"""MBPP tasks for the benchmarks: what the model sees, what checks it, what grades it."""

import ast
import gzip
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread

from ask_expert.evaluation.local_coder import code_in
from ask_expert.evaluation.sandbox import run_tests
from ask_expert.evaluation.tasks import Task
from ask_expert.local.strategies.work import Checked
from ask_expert.question import Turn

VISIBLE = 2
"""Tests of a task that the model and its check see; all of them grade."""

SYSTEM = (
    "You are a Python programmer. Reply with one Python code block that holds the "
    "whole solution, without the tests, and nothing else."
)
_MARK = "ask-expert-value:"
_TIMEOUT_S = 6.0
_sandboxes = anyio.CapacityLimiter(max(1, os.cpu_count() or 1))


def tasks(file: Path, first: int, count: int) -> list[Task]:
    """
    Return MBPP's tasks with the ids from `first` on.

    Args:
        file: Google's `mbpp.jsonl`, also gzipped.
        first: A `task_id`; 11 to 510 are the test split.
        count: How many.
    """
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8") as lines:
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    wanted = [row for row in rows if first <= row["task_id"] < first + count]
    return [
        Task(
            id=f"mbpp-{row['task_id']}",
            text=row["text"],
            tests=tuple(row["test_list"]),
            setup=row["test_setup_code"],
            reference=row["code"].replace("\r\n", "\n"),
        )
        for row in wanted
    ]


@dataclass(frozen=True, slots=True)
class Bench:
    """
    One task as a benchmark asks it.

    Attributes:
        task: The task.
        shown: How many of its tests the model sees; without any it sees the
            function's head, or it could not know the name.
    """

    task: Task
    shown: int = VISIBLE

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The conversation that asks for a solution."""
        task = self.task
        if self.shown:
            tests = "\n".join(task.tests[: self.shown])
            text = f"{task.text}\n\nThe code must pass:\n```python\n{tests}\n```"
        else:
            text = f"{task.text}\n\nBegin with `{_head(task.reference, task)}`."
        return (Turn(role="system", text=SYSTEM), Turn(role="user", text=text))

    def code(self, text: str) -> str:
        """Return the code of an answer."""
        return code_in(text, self.task) or text

    async def check(self, text: str) -> Checked:
        """Run the tests that the model sees, one after the other."""
        seen = self.task.tests[: self.shown]
        outputs: list[str] = []
        passed = 0
        for test in seen:
            right, output = await _run(self.code(text), [self.task.setup, test])
            passed += right
            outputs += [] if right else [f"{test}\n{output}"]
        return Checked(
            passed=passed == len(seen),
            share=passed / len(seen),
            output="\n".join(outputs),
        )

    async def grade(self, text: str) -> bool:
        """Run all tests."""
        right, _ = await _run(self.code(text), [self.task.setup, *self.task.tests])
        return right

    async def label(self, texts: Sequence[str]) -> list[str | None]:
        """Label each answer by what it returns for the inputs of the tests shown."""
        return [
            await anyio.to_thread.run_sync(self.behaviour, text, limiter=_sandboxes)
            for text in texts
        ]

    def behaviour(self, text: str) -> str | None:
        """Return what an answer returns for the tests' inputs; None if it fails."""
        tests = self.task.tests[: self.shown or None]
        calls = [call for test in tests if (call := _call(test))]
        shown = [f"print({_MARK!r}, repr({call}))" for call in calls]
        wanted = [each for each in (self.task.setup, *shown) if each]
        result = run_tests(self.code(text), wanted, timeout_s=_TIMEOUT_S)
        lines = result.output.splitlines()
        values = [line for line in lines if line.startswith(_MARK)]
        return "\n".join(values) if shown and len(values) == len(shown) else None


async def _run(code: str, tests: Sequence[str]) -> tuple[bool, str]:
    wanted = [each for each in tests if each]
    result = await anyio.to_thread.run_sync(
        lambda: run_tests(code, wanted, timeout_s=_TIMEOUT_S), limiter=_sandboxes
    )
    return result.passed, result.output


def _call(test: str) -> str | None:
    """Return the call whose value a test compares, e.g. `f(1)` of `assert f(1) == 2`."""
    try:
        statement = ast.parse(test).body[0]
    except (SyntaxError, IndexError):
        return None
    match statement:
        case ast.Assert(test=ast.Compare(left=ast.Call() as call)):
            return ast.unparse(call)
        case ast.Assert(test=ast.Call() as call):
            return ast.unparse(call)
        case _:
            return None


def _head(code: str, task: Task) -> str:
    """Return the head of the function that the tests call."""
    tests = "\n".join(task.tests)
    heads = [
        f"def {node.name}({ast.unparse(node.args)}):"
        for node in ast.parse(code).body
        if isinstance(node, ast.FunctionDef) and f"{node.name}(" in tests
    ]
    return heads[-1] if heads else "def solve():"
