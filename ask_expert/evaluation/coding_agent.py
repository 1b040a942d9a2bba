"""
A scripted coding agent: a process of its own, and an MCP client like any other.

For every task it lets the local model try, runs the visible tests, lets it try
once more with the failure before its eyes, and then calls `ask_expert`. It takes
the advice, checks it, and reports the outcome from the tests. What it does is
printed as one JSON object a line.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal, TextIO

import anyio
import anyio.to_thread
from mcp import Client, StdioServerParameters
from mcp.types import Implementation

from ask_expert.evaluation.expert_client import ExpertTools, ToolReply
from ask_expert.evaluation.local_coder import LocalCoder, code_in, defines
from ask_expert.evaluation.sandbox import SandboxResult, run_tests
from ask_expert.evaluation.tasks import Task, coding_tasks
from ask_expert.experts.http import httpx

Emit = Callable[[dict[str, object]], None]
"""Takes one event; `event` names its kind."""

Ending = Literal["solved_alone", "solved_after_asking", "unsolved"]

_TEST_TIMEOUT_S = 10.0
_MODEL_TIMEOUT_S = 300.0
_TRY_ONCE_MORE = {"stay_local", "held_out"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """
    How one task ended.

    Attributes:
        task: Its id.
        ending: Who solved it, if anybody did.
        attempts: Local attempts, a rewrite after advice included.
        asked: Statuses of the questions asked, in order.
        cost_usd: What the answers cost.
        seconds: Wall-clock time.
        code: The last solution.
    """

    task: str
    ending: Ending
    attempts: int
    asked: tuple[str, ...]
    cost_usd: str
    seconds: float
    code: str


@dataclass(slots=True, kw_only=True)
class Work:
    """One task in progress; `failure` is how `code` failed."""

    task: Task
    started: float
    code: str = ""
    failure: str = ""
    failures: list[str] = field(default_factory=list[str])
    attempts: int = 0
    asked: list[str] = field(default_factory=list[str])
    cost_usd: Decimal = Decimal(0)


class CodingAgent:
    """
    Works through tasks with a local model and, when stuck, `ask_expert`.

    Args:
        coder: The local model.
        emit: Takes the events.
    """

    def __init__(self, coder: LocalCoder, emit: Emit) -> None:
        self._coder = coder
        self._emit = emit

    async def alone(self, task: Task) -> TaskResult | Work:
        """Try twice without help; return the result, or the work that is stuck."""
        work = Work(task=task, started=time.monotonic())
        self._emit({"event": "task", "task": task.id, "text": task.text})
        first = await self._coder.attempt(task)
        if (await self._try(work, first, step="local")).passed:
            return self._end(work, "solved_alone")
        second = await self._coder.mend(task, work.code, work.failure)
        if (await self._try(work, second, step="local")).passed:
            return self._end(work, "solved_alone")
        self._emit({"event": "stuck", "task": task.id, "error": work.failure})
        return work

    async def with_help(self, work: Work, tools: ExpertTools) -> TaskResult:
        """Ask once, follow what comes back, check it, and report the outcome."""
        started = time.monotonic()
        reply = await tools.ask(question_about(work))
        self._note_reply(work, reply, started)
        if reply.status == "answered":
            passed = await self._follow(work, reply)
        elif reply.status in _TRY_ONCE_MORE:
            hint = reply.next_step
            code = await self._coder.mend(work.task, work.code, work.failure, hint=hint)
            passed = (await self._try(work, code, step="local")).passed
        else:
            passed = False
        if reply.question_id and reply.status in {"answered", *_TRY_ONCE_MORE}:
            await self._report(work, reply, tools, passed=passed)
        if not passed:
            return self._end(work, "unsolved")
        answered = reply.status == "answered"
        return self._end(work, "solved_after_asking" if answered else "solved_alone")

    async def _follow(self, work: Work, reply: ToolReply) -> bool:
        """Take the expert's code as it is; without any, let the local model rewrite."""
        code = code_in(reply.answer, work.task)
        if code is not None and defines(code, work.task):
            return (await self._try(work, code, step="expert_code")).passed
        code = await self._coder.apply(work.task, reply.answer)
        return (await self._try(work, code, step="rewrite")).passed

    async def _try(self, work: Work, code: str, *, step: str) -> SandboxResult:
        result = await anyio.to_thread.run_sync(
            lambda: run_tests(code, work.task.checks, timeout_s=_TEST_TIMEOUT_S)
        )
        work.attempts += step != "expert_code"
        output = result.output
        # An attempt that defines nothing is no step forward: the last real one stays.
        if result.passed or not work.code or defines(code, work.task):
            work.code, work.failure = code, output
        else:
            output = "it did not define what the tests call"
        if not result.passed:
            work.failures.append(output)
        self._emit(
            {
                "event": "tried",
                "task": work.task.id,
                "step": step,
                "passed": result.passed,
                "output": output[-300:],
                "seconds": round(time.monotonic() - work.started, 1),
            }
        )
        return result

    def _note_reply(self, work: Work, reply: ToolReply, started: float) -> None:
        work.asked.append(reply.status)
        work.cost_usd += _decimal(reply.cost_usd)
        told = asdict(reply)
        told["answer"] = reply.answer[:200]
        seconds = round(time.monotonic() - started, 1)
        self._emit({"event": "asked", "task": work.task.id, **told, "seconds": seconds})

    async def _report(
        self, work: Work, reply: ToolReply, tools: ExpertTools, *, passed: bool
    ) -> None:
        count = len(work.task.tests)
        evidence = f"all {count} tests pass" if passed else work.failure[:500]
        said = await tools.report(reply.question_id, solved=passed, evidence=evidence)
        self._emit({"event": "reported", "task": work.task.id, "said": said[:200]})

    def _end(self, work: Work, ending: Ending) -> TaskResult:
        result = TaskResult(
            task=work.task.id,
            ending=ending,
            attempts=work.attempts,
            asked=tuple(work.asked),
            cost_usd=str(work.cost_usd),
            seconds=round(time.monotonic() - work.started, 1),
            code=work.code,
        )
        self._emit({"event": "result", **asdict(result)})
        return result


def question_about(work: Work) -> dict[str, object]:
    """Return the arguments of `ask_expert` for a task the local attempts failed."""
    tried = [f"attempt {n}: {text[:400]}" for n, text in enumerate(work.failures, 1)]
    return {
        "question": "Which Python code solves the task in the context and passes the "
        "tests shown there? Reply with the whole solution in one code block, only code.",
        "context": work.task.statement,
        "tried": tried,
        "my_answer": work.code,
        "error": work.failure,
        "task": work.task.id,
    }


async def work_through(
    tasks: Sequence[Task],
    *,
    agent: CodingAgent,
    server: StdioServerParameters,
    expert_ready: Callable[[], bool] = lambda: True,
) -> list[TaskResult]:
    """
    Work through the tasks in order, and ask where stuck.

    While the expert is not ready, stuck tasks are put off and the next one is
    begun, so that nobody waits for a download with work to do.

    Args:
        tasks: What to solve.
        agent: Who solves it.
        server: Started once, before the first question.
        expert_ready: Whether asking makes sense yet.
    """
    results: list[TaskResult] = []
    put_off: list[Work] = []
    async with AsyncExitStack() as stack:
        tools: ExpertTools | None = None
        for task in tasks:
            if put_off and expert_ready():
                tools = tools or await _connect(stack, server)
                results += [await agent.with_help(work, tools) for work in put_off]
                put_off.clear()
            done = await agent.alone(task)
            if isinstance(done, TaskResult):
                results.append(done)
            else:
                put_off.append(done)
        if put_off:
            while not expert_ready():  # noqa: ASYNC110  # readiness has no event
                await anyio.sleep(0.2)
            tools = tools or await _connect(stack, server)
            results += [await agent.with_help(work, tools) for work in put_off]
    return results


async def _connect(stack: AsyncExitStack, server: StdioServerParameters) -> ExpertTools:
    name = Implementation(name="ask-expert-demo-agent", version="1")
    client = Client(server, client_info=name, read_timeout_seconds=120)
    return ExpertTools(client=await stack.enter_async_context(client))


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal(0)


def server_parameters(command: Sequence[str]) -> StdioServerParameters:
    """Return how to start the MCP server; it gets this process's environment."""
    argv = list(command) or [sys.executable, "-m", "ask_expert", "serve", "--no-daemon"]
    return StdioServerParameters(command=argv[0], args=argv[1:], env=dict(os.environ))


async def _run(options: argparse.Namespace, out: TextIO) -> None:
    def emit(event: dict[str, object]) -> None:
        print(json.dumps(event, ensure_ascii=False), file=out, flush=True)

    ready: Path | None = options.ask_when_exists
    async with httpx.AsyncClient(timeout=_MODEL_TIMEOUT_S, trust_env=False) as client:
        coder = LocalCoder(
            client=client, base_url=options.local_url, model=options.local_model
        )
        results = await work_through(
            coding_tasks(options.tasks),
            agent=CodingAgent(coder, emit),
            server=server_parameters(options.server),
            expert_ready=lambda: ready is None or ready.exists(),
        )
    if options.out:
        lines = [json.dumps(asdict(result), ensure_ascii=False) for result in results]
        options.out.write_text("\n".join(lines) + "\n", "utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Work through the shipped tasks; print what happens as JSON lines."""
    parser = argparse.ArgumentParser(
        prog="python -m ask_expert.evaluation.coding_agent", description=main.__doc__
    )
    parser.add_argument("--local-url", required=True, help="address up to /v1")
    parser.add_argument("--local-model", required=True)
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--out", type=Path, help="file of one result a line")
    parser.add_argument(
        "--ask-when-exists", type=Path, help="put questions off until this file exists"
    )
    parser.add_argument("server", nargs="*", help="command of the MCP server")
    anyio.run(_run, parser.parse_args(argv), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
