"""
500 questions from two servers on one ledger, to a provider that fails 40 % of the time.

`python -m benchmarks.chaos [--questions N] [--seed S] [--write]` starts two real
`ask-expert serve` processes with a client each and a loopback provider as a process
of its own, then holds the ledger against the provider's bill. A second, smaller part
runs into the end of a day's budget. The exit status is 1 if anything is wrong.

The circuit breaker is off (`break_after: 0`), so that each question meets the
provider; retries are on.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import anyio
import yaml
from mcp import Client

from ask_expert.money import show
from benchmarks import results
from benchmarks.audit import Books, open_books
from benchmarks.weather import FAULTS, GOOD, draw
from tests.end_to_end.support import ask, connected, expert, write_settings
from tests.fakes import provider as fake

AT_ONCE = 8
TASKS = 10
TRIES_A_QUESTION = 6
SEED = 20261122
STATES = ("settled", "unresolved", "released")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One run: how many questions, within which budgets."""

    name: str
    questions: int
    seed: int
    budgets: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One part, done: its books and how long it took."""

    part: Part
    books: Books
    seconds: float


def budgets(*, day: str, calls: int) -> list[dict[str, Any]]:
    """Return caps of four scopes; a call's shrinks the longest answers."""
    return [
        {"scope": "call", "usd": "0.03"},
        {"scope": "task", "usd": "5.00", "calls": calls},
        {"scope": "day", "usd": day},
        {"scope": "total", "usd": "100.00"},
    ]


def parts(questions: int, seed: int) -> list[Part]:
    """Return the run with room in its budgets, and the one without."""
    few = max(20, questions // 5)
    room = budgets(day="50.00", calls=max(3, questions * 9 // 100))
    none = budgets(day=f"{few * 0.004:.2f}", calls=few)
    return [
        Part(name="ample budgets", questions=questions, seed=seed, budgets=room),
        Part(
            name=f"a day of ${few * 0.004:.2f}",
            questions=few,
            seed=seed + 1,
            budgets=none,
        ),
    ]


def write_home(home: Path, url: str, part: Part) -> None:
    """Write the settings, and one policy a server: each begins with another expert."""
    common: dict[str, object] = {
        "price": {
            "input_per_mtok": "2.00",
            "cache_read_per_mtok": "0.50",
            "output_per_mtok": "10.00",
        },
        "max_output_tokens": 4000,
        "timeout_s": 6,
        "max_tries": 3,
        "break_after": 0,
    }
    responses = {"api": "openai_responses", "stream": True}
    messages = {"api": "anthropic", "base_url": url, "stream": True}
    write_settings(
        home,
        expert(url, name="chat-streamed", stream=True, **common),
        expert(url, name="chat-whole", stream=False, **common),
        expert(url, name="responses-streamed", **common, **responses),
        expert(url, name="messages-streamed", **common, **messages),
        expert(url, name="messages-whole", **common, **{**messages, "stream": False}),
    )
    ladders = {
        "first": ["chat-streamed", "messages-streamed", "responses-streamed"],
        "second": ["chat-whole", "responses-streamed", "messages-whole"],
    }
    for name, ladder in ladders.items():
        policy = {
            "name": name,
            "rules": [{"when": "always"}],
            "ladder": ladder,
            "budgets": part.budgets,
        }
        text = yaml.safe_dump(policy)
        (home / f"{name}.yaml").write_text(text, encoding="utf-8")


@contextmanager
def provider() -> Generator[str]:
    """Yield the address of a provider that is a process of its own."""
    process = subprocess.Popen(
        [sys.executable, fake.__file__], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.kill()
        process.communicate()


def post(url: str, body: object) -> None:
    """Tell the provider something."""
    data = json.dumps(body).encode()
    with urlopen(Request(url, data=data, method="POST")) as response:  # noqa: S310
        response.read()


def record_of(url: str) -> dict[str, Any]:
    """Return the provider's requests and bill."""
    with urlopen(f"{url}/_fake/state") as response:  # noqa: S310
        return json.load(response)


@asynccontextmanager
async def servers(home: Path, project: Path) -> AsyncGenerator[list[Client]]:
    """Yield two clients, each with a server of its own."""
    async with (
        connected(home, project, ASK_EXPERT_POLICY="first.yaml") as first,
        connected(home, project, ASK_EXPERT_POLICY="second.yaml") as second,
    ):
        yield [first, second]


async def run(part: Part) -> Run:
    """Ask all questions of one part, several at once, and open the books."""
    with tempfile.TemporaryDirectory() as folder, provider() as url:
        home = Path(folder) / "home"
        home.mkdir(mode=0o700)
        write_home(home, url, part)
        away = f"{url.replace('127.0.0.1', 'localhost')}/away"
        drawn = draw(part.seed, part.questions * TRIES_A_QUESTION, away=away)
        post(f"{url}/_fake/script", [asdict(each.behaviour) for each in drawn])
        replies: dict[int, dict[str, Any]] = {}
        numbers = iter(range(part.questions))

        async def asker(client: Client) -> None:
            for number in numbers:
                replies[number] = await ask(
                    client,
                    f"Question {number}: why does worker {number} lose its update?",
                    task=f"task {number % TASKS}",
                )

        began = time.perf_counter()
        async with servers(home, Path(folder)) as clients:
            async with anyio.create_task_group() as tasks:
                for client in clients * AT_ONCE:
                    tasks.start_soon(asker, client)
            seconds = time.perf_counter() - began
        books = open_books(
            home / "ledger.db",
            record_of(url),
            drawn,
            budgets=part.budgets,
            replies=replies,
        )
    return Run(part=part, books=books, seconds=seconds)


def figures(runs: list[Run]) -> list[str]:
    """Return the table of counts, one column a part."""
    statuses = sorted({status for run in runs for status in run.books.statuses})
    states = [Counter(row["state"] for row in run.books.tries) for run in runs]
    every = [*STATES, *sorted({*states[0], *states[-1]} - {*STATES, "sent"}), "sent"]

    def failed(each: Run) -> str:
        requests = each.books.requests
        wrong = sum(asked.failed for asked in requests)
        return f"{wrong} of {len(requests)} ({100 * wrong / len(requests):.0f} %)"

    def row(name: str, cells: list[object]) -> list[object]:
        return [name, *cells]

    return results.table(
        ["figure", *(run.part.name for run in runs)],
        [
            row("questions", [run.part.questions for run in runs]),
            *(
                row(f"… {status}", [run.books.statuses[status] for run in runs])
                for status in statuses
            ),
            row("requests that met a fault", [failed(run) for run in runs]),
            row("tries", [len(run.books.tries) for run in runs]),
            *(row(f"… {state}", [each[state] for each in states]) for state in every),
            row("billed by the provider", [show(r.books.billed_nusd()) for r in runs]),
            row("settled", [show(run.books.settled_nusd()) for run in runs]),
            row(
                "kept counted, fate unknown",
                [show(r.books.counted_nusd()) for r in runs],
            ),
            row("seconds", [f"{run.seconds:.0f}" for run in runs]),
        ],
    )


def fates(runs: list[Run]) -> list[str]:
    """Return the table of what befell a request, and how its try ended."""
    found: Counter[tuple[str, str]] = Counter()
    for done in runs:
        for asked, row in done.books.pairs:
            name = asked.met.name if asked.failed else GOOD
            state = row["state"]
            if state == "settled" and row["usage_source"] != "provider":
                state = "estimated"
            found[name, state] += 1
    columns = ["settled", "estimated", "unresolved", "released"]
    return results.table(
        [
            "what befell the request",
            "settled by the provider's usage",
            "settled by an upper bound",
            "unresolved",
            "released",
        ],
        [
            [name, *(found[name, column] or "" for column in columns)]
            for name in (GOOD, *FAULTS)
        ],
    )


def proofs(runs: list[Run]) -> tuple[list[str], list[str]]:
    """Return the table of what has to hold, and where it does not."""
    found = [done.books.proofs() for done in runs]
    wrong = [
        f"{done.part.name}: {proof.name}: {each}"
        for done, column in zip(runs, found, strict=True)
        for proof in column
        for each in proof.wrong
    ]
    rows: list[list[object]] = [
        [
            same[0].name,
            sum(proof.checked for proof in same),
            sum(len(proof.wrong) for proof in same),
        ]
        for same in zip(*found, strict=True)
    ]
    return results.table(["what has to hold", "looked at", "wrong"], rows), wrong


async def both(questions: int, seed: int) -> list[Run]:
    """Run the two parts, one after the other."""
    return [await run(part) for part in parts(questions, seed)]


def main() -> None:
    """Print the tables; keep them where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    runs = anyio.run(both, options.questions, options.seed)
    held, wrong = proofs(runs)
    section = "\n".join(
        [
            "## Chaos",
            "",
            f"{results.made_by('chaos --write')}; {options.questions} questions from "
            f"two servers on one ledger, {AT_ONCE} at once each, at most 3 tries an "
            f"expert, seed {options.seed}, circuit breaker off.",
            "",
            *figures(runs),
            "",
            *fates(runs),
            "",
            *held,
            "",
        ]
    )
    print(section)
    for each in wrong:
        print(f"WRONG: {each}", file=sys.stderr)
    if options.write:
        results.keep(section)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
