"""
What a question costs in the ledger, with a short past and with a long one.

`python -m benchmarks.ledger_scale [--sizes N …] [--rounds R] [--write]` fills a
ledger of each size, in SQLite and in PostgreSQL (with fsync), and then takes one
question after the other through what the road does in each: the look before the
decision, the reservation, the settlement. The sizes take turns, and with them the
floor: two bare durable commits through a connection with the same settings. The
exit status is 1 if a ratio is above its limit, or a ledger's sums are wrong.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

from ask_expert.breaker import Guarded
from ask_expert.budget import Cap, caps, from_us
from ask_expert.ledger.check import check
from ask_expert.ledger.engine import new_engine, reading
from ask_expert.ledger.reads import last_caller
from ask_expert.ledger.records import (
    End,
    Granted,
    QuestionRecord,
    TryRequest,
    new_id,
)
from ask_expert.ledger.store import Ledger
from ask_expert.ledger_address import Where
from ask_expert.policy.budgets import Budget
from ask_expert.question import Caller
from ask_expert.reply import Charge, ExpertAnswer, Provenance, Usage
from benchmarks import results
from benchmarks.past import CALLER, EXPERTS, NOW_US, fill
from tests.databases import running

SIZES = (1_000, 100_000, 1_000_000)
ROUNDS = 150
MOST_GROWTH = 1.3
MOST_OVER_FLOOR = 2.0
CHECKED_ROWS = 1_000
"""A ledger so long is held against its movements afterwards; longer ones take long."""

STEP_US = 100_000
A_TASK = 10
LIMITS = (
    Budget(scope="call", usd=Decimal("0.50")),
    Budget(scope="task", usd=Decimal(100), calls=100_000),
    Budget(scope="day", usd=Decimal(1000)),
    Budget(scope="day", per=("expert",), calls=1_000_000),
    Budget(scope="month", per=("project",), usd=Decimal(10_000)),
    Budget(scope="day", rolling=True, tokens=10**12),
    Budget(scope="total", usd=Decimal(100_000_000)),
    Budget(scope="total", per=("expert",), calls=100_000_000),
)
LOOKED_AT = (*EXPERTS, "never asked")
"""Experts of the ladder; the last one's budgets are looked at, and never used."""

STEPS = ("decide", "reserve", "settle")
TEXTS = {"question": "Why does worker 7 lose its update?", "sent": "## Question"}


@dataclass(slots=True, kw_only=True)
class Walk:
    """
    Questions through one ledger, one after the other, each step timed.

    Attributes:
        ledger: The ledger.
        caller: Who asks.
        took: Seconds of each step of each question.
        number: Counts the questions.
    """

    ledger: Ledger
    caller: Caller = CALLER
    took: dict[str, list[float]] = field(
        default_factory=lambda: {step: [] for step in STEPS}
    )
    number: Any = field(default_factory=count)

    def ask(self) -> None:
        """Take one question through all that the road does in the ledger."""
        number = next(self.number)
        now_us = NOW_US + number * STEP_US
        task = f"task now {number // A_TASK}"
        began = time.perf_counter()
        question = self._decide(task, now_us, number)
        decided = time.perf_counter()
        granted = self.ledger.reserve(
            question, self._request(question), ceiling=lambda nusd: nusd // 10_000
        )
        reserved = time.perf_counter()
        assert isinstance(granted, Granted), granted
        self.ledger.settle(
            granted.try_id,
            ANSWER,
            Charge(nusd=3_000_000, source="settings", detail={"output": "10"}),
            end=End(
                now_us=now_us + 1,
                status="answered",
                stored_answer=ANSWER.text,
                guarded=GUARDED,
            ),
        )
        ended = time.perf_counter()
        lapsed = (decided - began, reserved - decided, ended - reserved)
        for step, seconds in zip(STEPS, lapsed, strict=True):
            self.took[step].append(seconds)

    def forget(self) -> None:
        """Forget what the questions so far took."""
        for seconds in self.took.values():
            seconds.clear()

    def _decide(self, task: str, now_us: int, number: int) -> QuestionRecord:
        """Look up what bears on the decision, as intake and casework do."""
        key, text_key = f"key {new_id('k')}", f"text {new_id('k')}"
        error = f"error {number % 7}"
        self.ledger.current_task(self.caller, now_us=now_us)
        self.ledger.past(
            self.caller,
            task=task,
            key=key,
            text_key=text_key,
            error_signature=error,
            now_us=now_us,
        )
        question = QuestionRecord(
            id=new_id("q"),
            created_us=now_us,
            caller=self.caller,
            task=task,
            thread=new_id("c"),
            texts=TEXTS,
            facts={"check_failed": True, "failed_attempts": 2},
            policy="balanced",
            policy_hash="0123456789abcdef",
            action="escalate",
            rule="failed_check",
            reason="the check failed",
            status="pending",
            key=key,
            text_key=text_key,
            error_signature=error,
        )
        self.ledger.rooms(
            dict.fromkeys(cap for name in LOOKED_AT for cap in caps_of(question, name)),
            opening=True,
        )
        return question

    def _request(self, question: QuestionRecord) -> TryRequest:
        return TryRequest(
            escalation_id=new_id("e"),
            position=0,
            number=1,
            expert=EXPERTS[0],
            model="some-model",
            template="advise 1",
            caps=caps_of(question, EXPERTS[0]),
            want_nusd=10_000_000,
            least_nusd=5_000_000,
            price_source="settings",
            input_bound_tokens=100,
            sent_us=question.created_us,
            lease_us=question.created_us + 600_000_000,
            owner="elsewhere:1:1",
            marks={("email", new_id("d")): 1},
            guarded=GUARDED,
        )


GUARDED = Guarded(expert=EXPERTS[0], address="openai_chat http://x some-model", after=5)
ANSWER = ExpertAnswer(
    text="Hold the lock while the counter is written.",
    usage=Usage(input_tokens=90, output_tokens=300),
    provenance=Provenance(asked_model="some-model", served_model="some-model-1"),
)


def caps_of(question: QuestionRecord, expert: str) -> tuple[Cap, ...]:
    """Return the budgets of a try, as the road finds them."""
    return caps(
        LIMITS,
        caller=question.caller,
        task=question.task,
        thread=question.thread,
        expert=expert,
        now=from_us(question.created_us),
    )


@contextmanager
def floor(where: Where) -> Generator[Callable[[], float]]:
    """Yield what does two bare durable commits of a row each, and says how long."""
    engine = new_engine(where)
    raw = engine.raw_connection()
    cursor = raw.cursor()
    begin = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else "BEGIN"
    cursor.execute("CREATE TABLE bare (id TEXT PRIMARY KEY)")
    raw.commit()

    def two() -> float:
        began = time.perf_counter()
        for _ in range(2):
            cursor.execute(begin)
            cursor.execute(f"INSERT INTO bare VALUES ('{new_id('b')}')")  # noqa: S608
            cursor.execute("COMMIT")
        return time.perf_counter() - began

    try:
        if engine.dialect.name == "postgresql":
            driver: Any = raw.driver_connection
            driver.autocommit = True
        yield two
    finally:
        raw.close()
        engine.dispose()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """
    One database, measured.

    Attributes:
        name: Its name.
        medians: Seconds by size and step; `whole` is all steps together.
        floor: Seconds of two bare durable commits.
        wrong: What is wrong with a ledger's sums.
    """

    name: str
    medians: dict[int, dict[str, float]]
    floor: float
    wrong: list[str]

    def growth(self, size: int) -> float:
        """How much longer a question takes than in the smallest ledger."""
        first = self.medians[min(self.medians)]["whole"]
        return self.medians[size]["whole"] / first

    def over_floor(self, size: int) -> float:
        """How much longer a question takes than two bare durable commits."""
        return self.medians[size]["whole"] / self.floor

    def too_slow(self) -> list[str]:
        """Return where a ratio is above its limit."""
        return [
            f"{self.name}, {size:,} rows: {said} {ratio:.2f}, at most {most}"
            for size in self.medians
            for said, ratio, most in (
                ("growth", self.growth(size), MOST_GROWTH),
                ("over the floor", self.over_floor(size), MOST_OVER_FLOOR),
            )
            if ratio > most
        ]


def measure(
    name: str, place: Callable[[str], Where], sizes: list[int], rounds: int
) -> Measured:
    """Fill a ledger of each size, and let them and the floor take turns."""
    bare: list[float] = []
    with ExitStack() as opened:
        walks: dict[int, Walk] = {}
        for size in sizes:
            ledger = opened.enter_context(closing(Ledger.open(place(f"rows{size}"))))
            with reading(ledger.engine) as connection:
                is_new = last_caller(connection) is None
            if is_new:
                fill(ledger, size)
            walks[size] = Walk(ledger=ledger)
        two = opened.enter_context(floor(place("bare")))
        for number in range(rounds + A_TASK):
            if number == A_TASK:  # the first windows are open, the caches are warm
                bare.clear()
                for walk in walks.values():
                    walk.forget()
            for walk in walks.values():
                walk.ask()
                bare.append(two())
        wrong = [
            f"{name}, {size:,} rows: {found.what}"
            for size, walk in walks.items()
            if size <= CHECKED_ROWS
            for found in check(walk.ledger)
        ]
    medians: dict[int, dict[str, float]] = {}
    for size, walk in walks.items():
        whole = [sum(each) for each in zip(*walk.took.values(), strict=True)]
        steps = {**walk.took, "whole": whole}
        medians[size] = {step: statistics.median(took) for step, took in steps.items()}
    return Measured(
        name=name, medians=medians, floor=statistics.median(bare), wrong=wrong
    )


def run(
    databases: list[str], sizes: list[int], rounds: int, kept: Path | None
) -> list[Measured]:
    """Measure each database."""
    found: list[Measured] = []
    with tempfile.TemporaryDirectory() as folder:
        if "sqlite" in databases:
            files = kept or Path(folder)
            (files / "bare.db").unlink(missing_ok=True)
            found.append(measure("SQLite", lambda n: files / f"{n}.db", sizes, rounds))
    if "postgresql" in databases:
        with running(fsync="on", shared_buffers="256MB", max_wal_size="4GB") as server:

            def place(_: str) -> str:
                return server.address(server.new_database())

            found.append(measure("PostgreSQL", place, sizes, rounds))
    return found


def table(found: list[Measured]) -> list[str]:
    """Return one line a database and size."""
    head = ["database", "rows", "decide ms", "reserve ms", "settle ms", "whole ms"]
    return results.table(
        [*head, "to the first size", "to two bare commits"],
        [
            [
                each.name,
                f"{size:,}",
                *(f"{1000 * took[step]:.2f}" for step in (*STEPS, "whole")),
                f"{each.growth(size):.2f}",
                f"{each.over_floor(size):.2f} (of {1000 * each.floor:.2f} ms)",
            ]
            for each in found
            for size, took in each.medians.items()
        ],
    )


def main() -> None:
    """Print the table; keep it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[*SIZES])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument(
        "--kept", type=Path, help="folder that keeps the files, filled, for another run"
    )
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    found = run(options.databases, sorted(options.sizes), options.rounds, options.kept)
    wrong = [each for one in found for each in (*one.wrong, *one.too_slow())]
    section = "\n".join(
        [
            "## A long ledger",
            "",
            f"{results.made_by('ledger_scale --write')}; medians of {options.rounds} "
            "questions for each size, taken in turns; budgets of a call, a task, a day, "
            "a day and expert, a month and project, a rolling day, in total and in total by "
            "expert, of two that were asked and of one that never was; "
            "PostgreSQL with fsync. A row is an escalation with its question, try, "
            "movements and windows.",
            "",
            *table(found),
            "",
            *(f"- {said}" for said in wrong),
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
