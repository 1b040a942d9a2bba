"""
What a small model gains by a system around it, before anybody pays for an expert.

`python -m benchmarks.local_system --data mbpp.jsonl.gz [--url URL --model NAME] [--write]`
solves the same MBPP tasks with each local strategy. The model sees two of each
task's three tests, and so does the check; all three grade. Without `--url` it serves
Qwen2.5-Coder-0.5B itself. What was solved is kept in `--keep`, so that a run that was
stopped goes on.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio

from ask_expert.errors import LocalModelError
from ask_expert.experts.http import httpx
from ask_expert.local.client import LocalModel
from ask_expert.local.gguf_server import serve_gguf
from ask_expert.local.strategies.best_of_n import BestOfN
from ask_expert.local.strategies.greedy import Greedy
from ask_expert.local.strategies.refine import Refine
from ask_expert.local.strategies.search import Search
from ask_expert.local.strategies.vote import Vote
from ask_expert.local.strategies.work import Meter, Seat, Strategy, Work
from ask_expert.local.weights import QWEN_CODER_05B, cache_folder
from benchmarks import coding, intervals, results

FIRST = 311
COUNT = 64
ANSWER_TOKENS = 300
TASK_TOKENS = 20_000
TASK_S = 1800.0
SEARCH = "search"
EQUAL = "best of n, at the search's tokens"

Row = dict[str, Any]


def strategies() -> Mapping[str, Strategy]:
    """Return what is compared, in the order of the table."""
    return {
        "greedy": Greedy(),
        "vote of 5": Vote(n=5),
        "best of 4 by check": BestOfN(n=4, at_once=3),
        "best of 4 by log-probability": BestOfN(n=4, by="logprob", at_once=3),
        "refine, 2 rounds": Refine(rounds=2),
        SEARCH: Search(nodes=8, width=4, step_lines=3),
        EQUAL: BestOfN(n=24, at_once=2),
    }


async def solve(
    seat: Seat, bench: coding.Bench, strategy: Strategy, most_tokens: int
) -> Row:
    """Solve one task and grade it; a server that fails leaves it unsolved."""
    meter = Meter(max_tokens=most_tokens, max_seconds=TASK_S, clock_s=time.perf_counter)
    work = Work(
        turns=bench.turns,
        max_tokens=ANSWER_TOKENS,
        check=bench.check,
        label=bench.label,
    )
    try:
        solved = await strategy.solve(seat, work, meter)
    except LocalModelError as error:
        return {"error": str(error)}
    return {
        "passed": await bench.grade(solved.text),
        "passed_visible": solved.checked.passed if solved.checked else None,
        "tokens": solved.tokens,
        "seconds": round(solved.seconds, 2),
        "answers": solved.answers,
    }


class Kept:
    """What was solved, by strategy and task, in a file that a stopped run goes on from."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.rows: dict[str, dict[str, Row]] = (
            json.loads(file.read_text("utf-8")) if file.exists() else {}
        )

    def has(self, name: str, task: str) -> bool:
        """Return whether a strategy has tried a task."""
        return task in self.rows.get(name, {})

    def add(self, name: str, task: str, row: Row) -> None:
        """Keep one row."""
        self.rows.setdefault(name, {})[task] = row
        self._file.write_text(json.dumps(self.rows), "utf-8")

    def most_tokens(self, name: str, task: str) -> int:
        """Return what a strategy may use on a task."""
        if name != EQUAL:
            return TASK_TOKENS
        return int(self.rows[SEARCH][task]["tokens"])


async def run(
    options: argparse.Namespace, url: str, tasks: Sequence[coding.Bench], kept: Kept
) -> None:
    """Solve what is not kept yet; several tasks at a time, one strategy at a time."""
    slots = anyio.CapacityLimiter(options.at_once)
    async with httpx.AsyncClient(timeout=600.0, trust_env=False) as client:
        model = LocalModel(client, base_url=url, model=options.model, timeout_s=600.0)
        seat = Seat(model=model, at_once=options.url is not None)

        async def one(name: str, strategy: Strategy, bench: coding.Bench) -> None:
            async with slots:
                most = kept.most_tokens(name, bench.task.id)
                row = await solve(seat, bench, strategy, most)
            if "error" in row:
                print(bench.task.id, name, row["error"], file=sys.stderr)
            else:
                kept.add(name, bench.task.id, row)

        for name, strategy in strategies().items():
            async with anyio.create_task_group() as group:
                for bench in tasks:
                    if not kept.has(name, bench.task.id):
                        group.start_soon(one, name, strategy, bench)
            print(f"{name}: {len(kept.rows[name])} tasks", file=sys.stderr, flush=True)


def section(
    kept: Mapping[str, Mapping[str, Row]], ids: Sequence[str], command: str, model: str
) -> str:
    """Return the table, with the tasks that every strategy has solved or failed."""
    common = [each for each in ids if all(each in kept[name] for name in kept)]
    greedy = [float(kept["greedy"][each]["passed"]) for each in common]
    rows: list[list[object]] = []
    for name, done in kept.items():
        found = [done[each] for each in common]
        right = [float(each["passed"]) for each in found]
        low, high = intervals.wilson(int(sum(right)), len(right))
        gap = intervals.paired(right, greedy)
        rows.append(
            [
                name,
                f"{int(sum(right))} ({statistics.mean(right):.0%})",
                f"{low:.0%} to {high:.0%}",
                ""
                if name == "greedy"
                else f"{gap[0]:+.3f} [{gap[1]:+.3f}, {gap[2]:+.3f}]",
                f"{statistics.mean(each['answers'] for each in found):.1f}",
                f"{statistics.mean(each['tokens'] for each in found):.0f}",
                f"{statistics.median(each['seconds'] for each in found):.1f}",
            ]
        )
    head = [
        "strategy",
        "right",
        "95 %",
        "minus greedy [95 %]",
        "answers",
        "tokens",
        "s",
    ]
    search = [float(kept[SEARCH][each]["passed"]) for each in common]
    equal = [float(kept[EQUAL][each]["passed"]) for each in common]
    gap = intervals.paired(search, equal)
    return "\n".join(
        [
            "## Local strategies before an expert",
            "",
            f"{results.made_by(command)}, {model}, {len(common)} tasks (MBPP from id "
            f"{FIRST}).",
            "The model and the check see two tests of each task, three grade it. "
            "Answers and tokens are means for a task, s the median; tokens are prompts "
            "that no cache held, and all answers. Several tasks ran at a time.",
            "",
            *results.table(head, rows),
            "",
            f"Tree search minus best of n at equal tokens: {gap[0]:+.3f} "
            f"[{gap[1]:+.3f}, {gap[2]:+.3f}] (paired bootstrap).",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run it and print the table; `--write` keeps it in RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="mbpp.jsonl[.gz]")
    parser.add_argument("--url", help="OpenAI-compatible server, up to /v1")
    parser.add_argument("--model", default=QWEN_CODER_05B.alias)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--at-once", type=int, default=4, help="tasks at a time")
    parser.add_argument("--keep", type=Path, default=Path("local_system.json"))
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(argv)
    tasks = [
        coding.Bench(task) for task in coding.tasks(options.data, FIRST, options.count)
    ]
    kept = Kept(options.keep)
    with ExitStack() as stack:
        url = options.url
        if url is None:
            served = serve_gguf(
                cache_folder() / QWEN_CODER_05B.file,
                alias=QWEN_CODER_05B.alias,
                threads=2,
                parallel=options.at_once,
                context=3072,
            )
            url = f"{stack.enter_context(served)}/v1"
        anyio.run(run, options, url, tasks, kept)
    command = "local_system --data mbpp.jsonl.gz" + (
        " --url URL" if options.url else ""
    )
    text = section(kept.rows, [each.task.id for each in tasks], command, options.model)
    print(text)
    if options.write:
        results.keep(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
