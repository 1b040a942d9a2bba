"""The local model as a programmer: a first attempt, a second, and taking advice."""

import ast
import re
from dataclasses import dataclass

from ask_expert.evaluation.tasks import Task
from ask_expert.experts.http import httpx
from ask_expert.local.chat import complete
from ask_expert.question import Turn

_SYSTEM = (
    "You are a Python programmer. Reply with one Python code block that holds the "
    "whole solution, without the tests, and nothing else."
)
_FENCE = re.compile(r"^[ \t]*```[^\n]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE)
_OPEN_FENCE = re.compile(r"^[ \t]*```[^\n]*\n(.*)", re.DOTALL | re.MULTILINE)
_MAX_ADVICE_CHARS = 4_000


def code_in(text: str, task: Task) -> str | None:
    """
    Return the block of `text` that solves the task rather than shows its use.

    That is the longest fenced block that defines what the tests call; failing
    that the longest block, also one that was cut off; None without a fence.
    """
    blocks: list[str] = _FENCE.findall(text) or _OPEN_FENCE.findall(text)
    fitting = [block for block in blocks if defines(block, task)]
    return max(fitting or blocks, key=len, default=None)


def defines(code: str, task: Task) -> bool:
    """Return whether `code` compiles and defines something that the tests call."""
    try:
        module = ast.parse(code)
    except (SyntaxError, ValueError):
        return False
    called = set(re.findall(r"\b([A-Za-z_]\w*)\s*\(", "\n".join(task.tests)))
    made: set[str] = set()
    for node in module.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                made.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]):
                made.add(name)
            case _:
                continue
    return bool(called & made)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCoder:
    """
    The local model behind an OpenAI-compatible address.

    Attributes:
        client: Its timeouts apply.
        base_url: Address up to and including `/v1`.
        model: Name the server knows it by.
        max_tokens: Most tokens of one answer.
    """

    client: httpx.AsyncClient
    base_url: str
    model: str
    max_tokens: int = 400

    async def attempt(self, task: Task) -> str:
        """Return a first solution, greedily."""
        return await self._code(task, [Turn(role="user", text=task.statement)])

    async def mend(self, task: Task, code: str, failure: str, *, hint: str = "") -> str:
        """
        Return another solution, given how the last one failed.

        It is sampled: asked greedily, a small model repeats itself word for word.
        """
        turns = [
            Turn(role="user", text=task.statement),
            Turn(role="assistant", text=f"```python\n{code.strip()}\n```"),
            Turn(
                role="user",
                text=f"That is wrong:\n{failure}\n{hint}\n"
                "Reply with the whole corrected solution, without the tests.",
            ),
        ]
        return await self._code(task, turns, temperature=0.8)

    async def apply(self, task: Task, advice: str) -> str:
        """Return a solution that follows an expert's advice."""
        text = (
            f"{task.statement}\n\nA senior programmer advises:\n"
            f"{advice[:_MAX_ADVICE_CHARS]}\n\nFollow the advice. Reply with the whole code."
        )
        return await self._code(task, [Turn(role="user", text=text)])

    async def _code(
        self, task: Task, turns: list[Turn], *, temperature: float = 0.0
    ) -> str:
        answer = await complete(
            self.client,
            self.base_url,
            model=self.model,
            turns=[Turn(role="system", text=_SYSTEM), *turns],
            max_tokens=self.max_tokens,
            temperature=temperature,
            seed=1,
        )
        return code_in(answer.text, task) or answer.text
