"""
Eight processes that share their budgets, and one of them killed every second.

`python -m benchmarks.overspend [--questions N] [--scale S] [--write]` lets 8
processes ask 500 questions each at random prices, on SQLite and on PostgreSQL, kills
a random one every second and starts it again, and holds every window against its
cap, and the provider's own bill against the ledger. A control, whose reservations
are checked and written apart, has to overspend. The exit status is 1 if anything is
wrong. `--scale 0.05` asks twenty times fewer questions.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from ask_expert.budget import to_us
from ask_expert.house import build
from ask_expert.ledger.check import check
from ask_expert.money import show
from benchmarks import results
from benchmarks.caps_held import Held, bill_nusd, caps_held, sums
from benchmarks.chaos import post, provider, record_of
from tests.databases import running
from tests.end_to_end.support import expert, write_settings
from tests.fakes.shapes import Behaviour

DATABASES = ("SQLite", "PostgreSQL")
PROCESSES = 8
QUESTIONS = 500
KILL_EVERY_S = 1.0
EXPERTS = 5
CEILING_TOKENS = 4096
MOST_OUTPUT_TOKENS = 2048
SEED = 20261122
PATIENCE_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """
    One run, done.

    Attributes:
        name: Its database, and whether it is the control.
        held: Each budget's fullest window.
        figures: What happened, by name.
        wrong: What must not be.
    """

    name: str
    held: list[Held]
    figures: dict[str, object]
    wrong: list[str]


def budgets(questions: int) -> list[dict[str, Any]]:
    """Return caps for so many questions in all; each is too small for its part."""
    part = questions / 4000

    def usd(amount: float) -> str:
        return f"{amount * part:.9f}"

    return [
        {"scope": "call", "usd": "0.08"},
        {"scope": "total", "usd": usd(29.0)},
        {"scope": "day", "usd": usd(28.5), "rolling": True},
        {"scope": "day", "per": ["expert"], "usd": usd(8.0)},
        {"scope": "expert", "calls": max(2, int(600 * part))},
        {"scope": "hour", "usd": usd(28.8)},
        {"scope": "hour", "rolling": True, "tokens": int(4_100_000 * part)},
        {"scope": "task", "usd": usd(3.0), "calls": max(2, int(300 * part))},
    ]


def write_home(home: Path, url: str, ledger: str, questions: int, rng: Random) -> None:
    """Write one process's settings: experts of shared names, at prices of its own."""
    home.mkdir(mode=0o700)
    experts: list[dict[str, object]] = []
    for number in range(EXPERTS):
        # Nano-dollars a token, with three digits behind the point, in the model's name.
        input_, output = rng.randint(100, 5000), rng.randint(1000, 15000)
        experts.append(
            expert(
                url,
                name=f"expert-{number}",
                model=f"priced-{input_}-{output}",
                price={
                    "input_per_mtok": f"{input_ / 1000:.3f}",
                    "output_per_mtok": f"{output / 1000:.3f}",
                },
                max_output_tokens=CEILING_TOKENS,
                stream=rng.random() < 0.5,
                max_tries=2,
                break_after=0,
                timeout_s=60,
            )
        )
    policy = {
        "name": "overspend",
        "rules": [{"when": "always"}],
        "budgets": budgets(questions),
    }
    write_settings(home, *experts, policy=policy, ledger=ledger)


def draw(rng: Random, count: int) -> list[dict[str, Any]]:
    """Return what the requests meet: random counts of tokens, random latencies."""
    return [
        asdict(
            Behaviour(
                input_tokens=rng.randint(1, 120),
                output_tokens=rng.randint(1, MOST_OUTPUT_TOKENS),
                delay_s=rng.choice([0, 0.01, 0.05, 0.3]),
            )
        )
        for _ in range(count)
    ]


@dataclass(slots=True, kw_only=True)
class Worker:
    """One process with its home; it is started again when it was killed."""

    home: Path
    number: int
    share: int
    control: bool = False
    process: subprocess.Popen[bytes] | None = None
    kills: int = 0
    asked_before: int = 0

    def start(self) -> None:
        """Start the process where the one before stopped."""
        done = self.asked_before = self.asked
        command = [sys.executable, "-m", "benchmarks.asker", str(self.home)]
        command += [str(self.number), str(done), str(self.share)]
        if self.control:
            command.append("--control")
        with self.log.open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    @property
    def log(self) -> Path:
        """What it says; read where it fails."""
        return self.home / "log"

    @property
    def asked(self) -> int:
        """How many questions of its share were asked."""
        note = self.home / "asked"
        return int(note.read_text(encoding="utf-8") or 0) if note.exists() else 0

    @property
    def asks(self) -> bool:
        """Whether the process is past its start and has begun to ask."""
        return self.asked > self.asked_before

    @property
    def goes_on(self) -> bool:
        """Whether it still asks."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """Kill it with SIGKILL and start it again."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.kills += 1
            self.start()

    def ended(self) -> str | None:
        """Return what it complained of when it ended by itself."""
        assert self.process is not None
        if self.process.wait() == 0:
            return None
        return self.log.read_text(encoding="utf-8")[-2000:]


def let_them_ask(workers: list[Worker], rng: Random, kill_every_s: float) -> None:
    """Run the processes to their ends; kill a random one now and then."""
    for worker in workers:
        worker.start()
    began = last_kill = time.monotonic()
    try:
        while going := [worker for worker in workers if worker.goes_on]:
            if time.monotonic() - began > PATIENCE_S:
                raise TimeoutError("the processes do not come to an end")
            time.sleep(0.02)
            if kill_every_s and time.monotonic() - last_kill >= kill_every_s:
                # On a slow machine one that only starts up would never get anywhere.
                asking = [worker for worker in going if worker.asks]
                if asking:
                    last_kill = time.monotonic()
                    rng.choice(asking).kill()
    finally:
        for worker in workers:
            if worker.process is not None and worker.goes_on:
                worker.process.kill()


def settled_bill(url: str) -> tuple[int, int]:
    """Return how many requests came and their bill, once each has been worked on."""
    deadline = time.monotonic() + 30
    while True:
        state = record_of(url)
        if len(state["bill"]) == len(state["requests"]):
            return len(state["requests"]), bill_nusd(state["bill"])
        if time.monotonic() > deadline:
            raise TimeoutError("the provider still works on requests")
        time.sleep(0.05)


def run(
    name: str,
    ledger: str,
    *,
    processes: int,
    questions: int,
    kill_every_s: float,
    control: bool = False,
    seed: int = SEED,
) -> Run:
    """Let the processes ask, and hold the ledger against its caps and the bill."""
    rng = Random(seed)  # noqa: S311  # a repeatable draw
    every = questions * processes
    with tempfile.TemporaryDirectory() as folder, provider() as url:
        ledger = ledger or str(Path(folder) / "ledger.db")
        post(f"{url}/_fake/script", draw(rng, 2 * every))
        workers: list[Worker] = []
        for number in range(processes):
            home = Path(folder) / f"home{number}"
            write_home(home, url, ledger, every, rng)
            workers.append(
                Worker(home=home, number=number, share=questions, control=control)
            )
        began = time.perf_counter()
        let_them_ask(workers, rng, kill_every_s)
        seconds = time.perf_counter() - began
        wrong = [said for worker in workers if (said := worker.ended()) is not None]
        requests, billed = settled_bill(url)
        house = build(workers[0].home)
        house.ledger.sweep(now_us=to_us(house.now()))
        found = check(house.ledger)
        held = caps_held(house.ledger, budgets(every))
        counted = sums(house.ledger)
        house.ledger.close()
    wrong += [each.what for each in found]
    wrong += [each.complaint for each in held if each.is_over]
    if billed > counted.spent_nusd + counted.open_nusd:
        wrong.append(
            f"the bill is {show(billed)}, the ledger says "
            f"{show(counted.spent_nusd + counted.open_nusd)}"
        )
    figures: dict[str, object] = {
        "questions": every,
        "processes killed": sum(worker.kills for worker in workers),
        "requests at the provider": requests,
        "tries": counted.tries,
        "… of unknown fate": counted.unresolved,
        "questions that a budget refused": counted.refused,
        "billed by the provider": show(billed),
        "settled": show(counted.spent_nusd),
        "kept counted, fate unknown": show(counted.open_nusd),
        "findings of `ledger check`": len(found),
        "seconds": f"{seconds:.0f}",
    }
    return Run(name=name, held=held, figures=figures, wrong=wrong)


@contextmanager
def database(name: str) -> Generator[str]:
    """Yield the address of an empty database; nothing for a file of the run's own."""
    if name == "SQLite":
        yield ""
        return
    with running(max_connections=300) as server:
        yield server.address(server.new_database())


def every_run(
    names: list[str], processes: int, questions: int, kill_every_s: float
) -> list[Run]:
    """Run on each database, and the control on each."""
    found: list[Run] = []
    for name in names:
        with database(name) as ledger:
            found.append(
                run(
                    name,
                    ledger,
                    processes=processes,
                    questions=questions,
                    kill_every_s=kill_every_s,
                )
            )
        with database(name) as ledger:
            title, few = f"control on {name}", max(10, questions // 20)
            found.append(
                run(
                    title,
                    ledger,
                    processes=processes,
                    questions=few,
                    kill_every_s=0,
                    control=True,
                )
            )
    return found


def is_control(each: Run) -> bool:
    """Return whether a run has to overspend."""
    return each.name.startswith("control")


def complaints(runs: list[Run]) -> list[str]:
    """Return what is wrong; a control that holds its caps is."""
    found: list[str] = []
    for each in runs:
        if not is_control(each):
            found += [f"{each.name}: {said}" for said in each.wrong]
        elif not any(held.is_over for held in each.held):
            found.append(
                f"{each.name}: it did not overspend, so the run proves nothing"
            )
    return found


def tables(runs: list[Run]) -> list[str]:
    """Return what happened, and each budget's fullest window."""
    figures = results.table(
        ["figure", *(each.name for each in runs)],
        [[name, *(each.figures[name] for each in runs)] for name in runs[0].figures],
    )
    caps = results.table(
        ["run", "budget", "windows", "cap", "fullest, at any commit", "windows over"],
        [
            [
                each.name,
                held.name,
                held.windows,
                held.cap_words,
                held.most_words,
                held.over,
            ]
            for each in runs
            for held in each.held
        ],
    )
    return [*figures, "", *caps]


def main() -> None:
    """Print the tables; keep them where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument(
        "--databases", nargs="+", default=[*DATABASES], choices=DATABASES
    )
    parser.add_argument("--kill-every-s", type=float, default=KILL_EVERY_S)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    questions = max(2, round(options.questions * options.scale))
    runs = every_run(
        options.databases, options.processes, questions, options.kill_every_s
    )
    section = "\n".join(
        [
            "## Overspend",
            "",
            f"{results.made_by('overspend --write')}; {options.processes} processes × "
            f"{questions} questions, one killed every {options.kill_every_s:g} s; "
            "the controls check and write their reservations apart.",
            "",
            *tables(runs),
            "",
        ]
    )
    print(section)
    wrong = complaints(runs)
    for each in wrong:
        print(f"WRONG: {each}", file=sys.stderr)
    if options.write:
        results.keep(section)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
