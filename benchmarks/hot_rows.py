"""
The same windows of one PostgreSQL, asked for by many connections at once.

`python -m benchmarks.hot_rows [--questions N] [--write]` lets 1, 8 and 32 threads,
each with a ledger and a connection of its own, set money aside and settle it, all in
the same windows, with fsync. The exit status is 1 if one of them meets an error or a
sum is wrong afterwards.
"""

import argparse
import statistics
import sys
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass

from ask_expert.budget import Cap
from ask_expert.ledger.check import check
from ask_expert.ledger.engine import reading
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.summing import sum_of_tries
from benchmarks import results
from benchmarks.ledger_scale import Walk
from tests.databases import PostgreSQL, running

CONNECTIONS = (1, 8, 32)
QUESTIONS = 320


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """
    So many connections, measured.

    Attributes:
        connections: How many.
        questions: How many questions they asked in all.
        seconds: How long that took.
        took: Seconds of each reservation and settlement together.
        wrong: Errors that were met, and sums that are wrong.
    """

    connections: int
    questions: int
    seconds: float
    took: list[float]
    wrong: list[str]

    @property
    def a_second(self) -> float:
        """Questions a second, all connections together."""
        return self.questions / self.seconds

    def percentile_ms(self, percent: int) -> float:
        """Milliseconds below which so many of a hundred questions stayed."""
        return 1000 * statistics.quantiles(self.took, n=100)[percent - 1]


def measure(server: PostgreSQL, connections: int, questions: int) -> Measured:
    """Let so many connections share the questions."""
    where = server.address(server.new_database())
    share = max(2, questions // connections)
    wrong: list[str] = []
    with ExitStack() as opened:
        walks = [
            Walk(ledger=opened.enter_context(closing(Ledger.open(where))))
            for _ in range(connections)
        ]
        walks[0].ask()  # the windows are open
        walks[0].forget()
        ready = threading.Barrier(connections + 1)

        def ask(walk: Walk) -> None:
            ready.wait()
            try:
                for _ in range(share):
                    walk.ask()
            except Exception as error:  # noqa: BLE001  # whatever it is, it is counted
                wrong.append(f"{connections} connections: {error!r}")

        threads = [threading.Thread(target=ask, args=(walk,)) for walk in walks]
        for thread in threads:
            thread.start()
        ready.wait()
        began = time.perf_counter()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - began
        wrong += [found.what for found in check(walks[0].ledger)]
        with reading(walks[0].ledger.engine) as connection:
            calls = sum_of_tries(connection, Cap(scope="total")).calls
    if calls != connections * share + 1:
        wrong.append(f"{connections} connections: {calls} tries are on record")
    steps = [walk.took for walk in walks]
    return Measured(
        connections=connections,
        questions=connections * share,
        seconds=seconds,
        took=[
            sum(pair)
            for each in steps
            for pair in zip(each["reserve"], each["settle"], strict=True)
        ],
        wrong=wrong,
    )


def table(found: list[Measured]) -> list[str]:
    """Return one line a number of connections."""
    return results.table(
        [
            "connections",
            "questions a second",
            "to the first",
            "p50 ms",
            "p95 ms",
            "errors",
        ],
        [
            [
                each.connections,
                f"{each.a_second:.0f}",
                f"{each.a_second / found[0].a_second:.2f}",
                f"{each.percentile_ms(50):.1f}",
                f"{each.percentile_ms(95):.1f}",
                len(each.wrong),
            ]
            for each in found
        ],
    )


def main() -> None:
    """Print the table; keep it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with running(fsync="on", max_connections=100) as server:
        found = [measure(server, each, options.questions) for each in CONNECTIONS]
    section = "\n".join(
        [
            "## Hot rows",
            "",
            f"{results.made_by('hot_rows --write')}; about {options.questions} questions "
            "for each number of connections, all in the same windows of one PostgreSQL "
            "with fsync; a question is the look before the decision, a reservation and a "
            "settlement, and the milliseconds are those of the last two together.",
            "",
            *table(found),
            "",
        ]
    )
    print(section)
    wrong = [said for each in found for said in each.wrong]
    for each in wrong:
        print(f"WRONG: {each}", file=sys.stderr)
    if options.write:
        results.keep(section)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
