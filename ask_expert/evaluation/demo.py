"""
The demo: two real models, a real agent, a real ledger, no key.

A 0.5B model works as the local model, a 1.5B model stands in for the expert at a
stated price. Both are served over loopback HTTP; the agent is a process of its own
that speaks MCP with `ask-expert serve`. Nothing in here takes a short cut that a
user's own agent could not take.
"""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, cast

from rich.console import Console

from ask_expert.budget import to_us
from ask_expert.errors import AskExpertError, ConfigError, LocalModelError
from ask_expert.evaluation.demo_screen import DemoScreen
from ask_expert.evaluation.stand_in import (
    INPUT_USD,
    OUTPUT_USD,
    StandIn,
    threads,
)
from ask_expert.experts.found import experts_from_environment
from ask_expert.local.gguf_server import serve_gguf
from ask_expert.local.weights import (
    QWEN_CODER_05B,
    QWEN_CODER_15B,
    Weights,
    cache_folder,
    find,
    is_cached,
)
from ask_expert.money import nusd, show
from ask_expert.report import desk, terminal
from ask_expert.report.summary import Summary, summarize

_FROM_ENVIRONMENT = "# Written by `ask-expert demo --expert`.\npolicy: balanced\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """
    What the demo showed.

    Attributes:
        endings: How many tasks ended how.
        summary: The ledger's report.
    """

    endings: Mapping[str, int]
    summary: Summary


def run_demo(
    *,
    home: Path,
    use_real_expert: bool,
    tasks: int,
    console: Console,
    environ: Mapping[str, str] = os.environ,
    local: Weights = QWEN_CODER_05B,
    stand_in: Weights = QWEN_CODER_15B,
) -> int:
    """
    Run the demo and print its report; return the exit status.

    Args:
        home: Where settings and ledger go; a folder with a ledger in it is left
            alone and a fresh one beside it is taken.
        use_real_expert: Ask the experts of the environment's keys, not the 1.5B.
        tasks: How many of the shipped tasks.
        console: Where to print.
        environ: Keys, cache folder and hub.
        local: The local model.
        stand_in: The model that stands in for the expert.

    Raises:
        ConfigError: There is no key for a real expert, or no xllamacpp.
        LocalModelError: A model cannot be had or served.
    """
    experts = experts_from_environment(environ) if use_real_expert else ()
    if use_real_expert and not experts:
        raise ConfigError(
            "--expert needs OPENAI_API_KEY or ANTHROPIC_API_KEY to be set "
            "(GEMINI_API_KEY and OPENROUTER_API_KEY are taken, too)"
        )
    home = _fresh(home)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    cache, settings = cache_folder(environ), home / "settings.yaml"
    failed: list[AskExpertError] = []
    with DemoScreen(console, tasks=tasks) as screen, ExitStack() as stack:
        wanted = [local] if experts else [local, stand_in]
        _tell_plan(screen, wanted, cache, home, [expert.model for expert in experts])
        model = find(local, cache=cache, environ=environ, report=screen.fetching)
        if experts:
            settings.write_text(_FROM_ENVIRONMENT, "utf-8")
        else:
            expert = StandIn(
                stand_in,
                settings,
                cache,
                environ,
                report=screen.fetching,
                failed=failed,
            )
            stack.enter_context(expert.running())
        url = stack.enter_context(
            serve_gguf(model, alias=local.alias, threads=threads())
        )
        command = _agent_command(url, local.alias, home, tasks)
        endings = _let_agent_work(command, home, environ, screen, failed)
        tell_result(
            screen, DemoResult(endings=endings, summary=_summary(home, environ)), home
        )
    return 0


def _agent_command(url: str, model: str, home: Path, tasks: int) -> list[str]:
    command = [sys.executable, "-m", "ask_expert.evaluation.coding_agent"]
    command += ["--local-url", f"{url}/v1", "--local-model", model]
    command += ["--tasks", str(tasks), "--out", str(home / "results.jsonl")]
    return [*command, "--ask-when-exists", str(home / "settings.yaml")]


def _let_agent_work(
    command: list[str],
    home: Path,
    environ: Mapping[str, str],
    screen: DemoScreen,
    failed: list[AskExpertError],
) -> Counter[str]:
    """Run the agent's process, show its events, and count the endings."""
    endings: Counter[str] = Counter()
    log = home / "agent.log"
    with log.open("wb") as errors:
        agent = subprocess.Popen(  # noqa: S603  # our own interpreter and module
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**environ, "ASK_EXPERT_HOME": str(home)},
        )
        with _ended_when(agent, failed):
            for line in cast("IO[bytes]", agent.stdout):
                event: dict[str, Any] = json.loads(line)
                screen.event(event)
                if event["event"] == "result":
                    endings[event["ending"]] += 1
    if failed:
        raise failed[0]
    if agent.returncode:
        said = log.read_text("utf-8", "replace").strip().splitlines() or ["nothing"]
        raise LocalModelError(f"the agent failed; {log} ends with: {said[-1]}")
    return endings


@contextmanager
def _ended_when(
    agent: subprocess.Popen[bytes], failed: list[AskExpertError]
) -> Generator[None]:
    """End the agent with the block, or as soon as there is no expert to wait for."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.3):
            if failed:
                agent.terminate()
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
        agent.wait()
    finally:
        over.set()
        watcher.join()
        if agent.poll() is None:
            agent.terminate()
            agent.wait()
        cast("IO[bytes]", agent.stdout).close()


def _summary(home: Path, environ: Mapping[str, str]) -> Summary:
    now = datetime.now(UTC)
    with desk.opened(home, environ) as found:
        rooms = desk.rooms_now(found.house, now) if found.house else None
        return summarize(found.ledger, until_us=to_us(now), rooms=rooms)


def _tell_plan(
    screen: DemoScreen, wanted: list[Weights], cache: Path, home: Path, real: list[str]
) -> None:
    screen.title("ask-expert demo")
    missing = [each for each in wanted if not is_cached(each, cache=cache)]
    roles = ("local model", "expert (stand-in)")
    rows = [
        (role, each.name, f"{each.size_bytes / 1e6:,.0f} MB, {each.licence}")
        for role, each in zip(roles, wanted, strict=False)
    ]
    if real:
        rows.append(("expert", ", ".join(real), "at its list price"))
    else:
        price = f"${INPUT_USD} in, ${OUTPUT_USD} out a million tokens"
        rows.append(("its made-up price", price, ""))
    size = sum(each.size_bytes for each in missing) / 1e6
    sources = "the model hub, else registry packages; the sha256 decides"
    rows.append(
        ("to download", f"{size:,.0f} MB", sources if missing else "all cached")
    )
    rows += [("model files in", str(cache), ""), ("ledger in", str(home), "")]
    screen.table(rows)


def tell_result(screen: DemoScreen, result: DemoResult, home: Path) -> None:
    """Print what was solved by whom, what it cost, and the ledger's own report."""
    summary, endings = result.summary, result.endings
    total = sum(endings.values())
    extra = endings.get("solved_after_asking", 0)
    each = show(nusd(Decimal(summary.cost_nusd) / extra / 10**9)) if extra else "–"
    share = f"{summary.escalations / total:.0%} of the tasks" if total else ""
    screen.title("What the agent solved")
    screen.table(
        [
            ("tasks", str(total)),
            ("solved alone", str(endings.get("solved_alone", 0))),
            ("solved after asking", str(extra)),
            ("unsolved", str(endings.get("unsolved", 0))),
            ("escalations", str(summary.escalations), share),
            ("paid", show(summary.cost_nusd)),
            ("cost per extra solved", each),
        ]
    )
    for heading, rows in terminal.blocks(summary):
        screen.title(heading)
        screen.table(list(rows))
    screen.say()
    screen.say(f"Look closer: ask-expert ledger list --home {home}")


def _fresh(home: Path) -> Path:
    """Return `home`, or a numbered sibling when it already holds a ledger."""
    candidate, number = home, 1
    while candidate.exists() and any(candidate.iterdir()):
        number += 1
        candidate = home.with_name(f"{home.name}-{number}")
    return candidate
