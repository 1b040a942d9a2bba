"""
How well each signal of a small model tells its right answers from its wrong ones.

`python -m benchmarks.signals --data mbpp.jsonl.gz [--url URL --model NAME] [--write]`
lets the model solve MBPP tasks without seeing their tests, measures the signals as
the server does, and grades the answer by all tests. Nothing is tuned on these tasks.
Without `--url` it serves Qwen2.5-Coder-0.5B itself. What was measured is kept in
`--keep`, so that a run that was stopped goes on.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import numpy as np

from ask_expert.confidence.calibration.gate import judge
from ask_expert.confidence.measuring import Plan, Step
from ask_expert.confidence.signals.registry import SIGNALS
from ask_expert.confidence.sitting import Problem, Sitting
from ask_expert.experts.http import httpx
from ask_expert.local.client import LocalModel
from ask_expert.local.gguf_server import serve_gguf
from ask_expert.local.probe import Capabilities, probed
from ask_expert.local.weights import QWEN_CODER_05B, cache_folder
from ask_expert.question import Facts
from benchmarks import coding, results

FIRST = 111
COUNT = 200
VOTES = 5
TASK_TOKENS = 6_000
TASK_S = 3600.0
NAMES = (
    "mean_logprob",
    "min_logprob",
    "low_logprob",
    "logprob_margin",
    "token_entropy",
    "lowest_group",
    "tail_confidence",
    "p_true",
    "self_verification",
    "vote_share",
    "vote_entropy",
    "vote_margin",
)
"""What is measured; the others take two answers more each."""

Row = dict[str, Any]


async def measure(
    bench: coding.Bench, model: LocalModel, can: Capabilities, names: Sequence[str]
) -> Row:
    """Measure one task's signals, and grade the answer that they are about."""
    sitting = Sitting(
        problem=Problem(
            text=bench.turns[-1].text, kind="code", behaviour=bench.behaviour
        ),
        model=model,
        can=can,
        samples=VOTES,
        max_tokens=TASK_TOKENS,
        seed=1,
    )

    async def sit() -> Sitting:
        return sitting

    def can_change(facts: Facts, pending: Collection[str]) -> bool:
        del facts
        return bool(pending)

    plan = Plan(signals=names, max_seconds=TASK_S, can_change=can_change)
    found = await Step(plan=plan, sit=sit, clock_s=time.perf_counter).run({})
    answer = sitting.first_text
    return {
        "right": await bench.grade(answer) if answer else False,
        "signals": {
            each.name: [each.value, each.tokens, round(each.seconds, 2)]
            for each in found
        },
        "absent": {each.name: each.why_absent for each in found if each.why_absent},
        "tokens": sitting.tokens,
    }


async def run(
    options: argparse.Namespace,
    url: str,
    tasks: Sequence[coding.Bench],
    kept: dict[str, Row],
    keep: Callable[[], object],
) -> None:
    """Measure what is not kept yet, several tasks at a time."""
    slots = anyio.CapacityLimiter(options.at_once)
    async with httpx.AsyncClient(timeout=600.0, trust_env=False) as client:
        model = LocalModel(client, base_url=url, model=options.model, timeout_s=600.0)
        can = await probed(model, home=options.keep.parent)

        async def one(bench: coding.Bench) -> None:
            async with slots:
                kept[bench.task.id] = await measure(bench, model, can, options.signals)
            keep()

        async with anyio.create_task_group() as group:
            for bench in tasks:
                if bench.task.id not in kept:
                    group.start_soon(one, bench)


def section(kept: Mapping[str, Row], command: str, model: str) -> str:
    """Return the table: one row a signal."""
    rows_of = [*kept.values()]
    rows: list[list[object]] = []
    for name in SIGNALS:
        found = [
            row for row in rows_of if row["signals"].get(name, [None])[0] is not None
        ]
        if not found:
            continue
        sign = -1.0 if SIGNALS[name].surer_when == "low" else 1.0
        values = np.array([sign * row["signals"][name][0] for row in found])
        right = np.array([float(row["right"]) for row in found])
        verdict = judge(name, values, right)
        told = verdict.auroc
        rows.append(
            [
                f"`{name}`",
                len(found),
                "–" if told.value is None else f"{told.value:.3f}",
                "–" if told.low is None else f"{told.low:.3f} to {told.high:.3f}",
                "used" if verdict.used else "switched off",
                f"{statistics.mean(row['signals'][name][1] for row in found):.0f}",
                f"{statistics.median(row['signals'][name][2] for row in found):.1f}",
            ]
        )
    right_share = statistics.mean(float(row["right"]) for row in rows_of)
    head = ["signal", "n", "AUROC", "95 %", "gate", "tokens", "s"]
    return "\n".join(
        [
            "## Signals of a small model",
            "",
            f"{results.made_by(command)}, {model}, {len(rows_of)} tasks (MBPP from id "
            f"{FIRST}), {right_share:.0%} solved.",
            "The model does not see the tests; they grade. Votes agree when they return "
            "the same for the tests' inputs. Tokens (mean) and seconds (median) are what "
            "a signal adds to those above it. Several tasks ran at a time.",
            "",
            *results.table(head, rows),
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run it and print the table; `--write` keeps it in RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="mbpp.jsonl[.gz]")
    parser.add_argument("--url", help="OpenAI-compatible server, up to /v1")
    parser.add_argument("--model", default=QWEN_CODER_05B.alias)
    parser.add_argument("--first", type=int, default=FIRST)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--signals", nargs="+", default=list(NAMES), choices=SIGNALS)
    parser.add_argument("--at-once", type=int, default=4, help="tasks at a time")
    parser.add_argument("--keep", type=Path, default=Path("signals.json"))
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(argv)
    found = coding.tasks(options.data, options.first, options.count)
    tasks = [coding.Bench(task, shown=0) for task in found]
    file: Path = options.keep
    kept: dict[str, Row] = json.loads(file.read_text("utf-8")) if file.exists() else {}

    def keep() -> None:
        file.write_text(json.dumps(kept), "utf-8")

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
        anyio.run(run, options, url, tasks, kept, keep)
    command = "signals --data mbpp.jsonl.gz" + (" --url URL" if options.url else "")
    text = section(kept, command, options.model)
    print(text)
    if options.write:
        results.keep(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
