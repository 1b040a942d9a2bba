"""
One process that asks its share of questions, and goes on where a killed one stopped.

`python -m benchmarks.asker HOME NUMBER FROM TO [--control]` asks the questions FROM
to TO of process NUMBER through the whole road, and notes each in `HOME/asked` before
it is asked. With `--control` its reservations are checked and written apart.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import anyio
from sqlalchemy import insert

from ask_expert.budget import Denied, grant
from ask_expert.escalation import Escalator
from ask_expert.house import build
from ask_expert.ledger import counting, rows
from ask_expert.ledger.engine import reading, writing
from ask_expert.ledger.records import Granted, QuestionRecord, TryRequest, new_id
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import movements, tries
from ask_expert.question import Caller, Question

AT_ONCE = 4
ORDERS = 4
TASKS = 12
GAP_S = 0.05


class Leaky(Ledger):
    """A ledger whose reservations are checked first and written afterwards."""

    def reserve(
        self,
        question: QuestionRecord,
        request: TryRequest,
        *,
        ceiling: Callable[[int], int],
    ) -> Granted | Denied:
        """Set money aside, with a gap between the check and the write."""
        with reading(self.engine) as connection:
            verdict = grant(
                counting.rooms(connection, request.caps),
                want_nusd=request.want_nusd,
                least_nusd=request.least_nusd,
                least_tokens=request.input_bound_tokens + request.least_output_tokens,
            )
        if isinstance(verdict, Denied):
            return verdict
        time.sleep(GAP_S)
        try_id, output_tokens = new_id("y"), ceiling(verdict)
        bound = request.input_bound_tokens + output_tokens
        with writing(self.engine) as connection:
            rows.insert_question(connection, question)
            found = rows.find(connection, question, request)
            rows.insert_thread(connection, question, request, found)
            rows.insert_escalation(connection, question, request)
            counting.opened(connection, request.caps)
            connection.execute(
                insert(tries).values(
                    id=try_id,
                    escalation_id=request.escalation_id,
                    number=request.number,
                    state="sent",
                    sent_us=request.sent_us,
                    lease_us=request.lease_us,
                    owner=request.owner,
                    reserved_nusd=verdict,
                    price_source=request.price_source,
                    input_bound_tokens=request.input_bound_tokens,
                    output_ceiling_tokens=output_tokens,
                    asked_model=request.model,
                )
            )
            counting.hold(connection, try_id, request, question)
            counting.add(
                connection, try_id, reserved=verdict, calls=1, reserved_tokens=bound
            )
            connection.execute(
                insert(movements).values(
                    try_id=try_id,
                    at_us=request.sent_us,
                    kind="reserve",
                    nusd=verdict,
                )
            )
        return Granted(try_id=try_id, nusd=verdict, output_tokens=output_tokens)


def escalators(home: Path, rng: Random, *, control: bool) -> list[Escalator]:
    """Return several roads over one ledger; each asks the experts in another order."""
    house = build(home)
    if control:
        house.ledger = Leaky(house.ledger.engine, house.ledger.path)
    names = [each.name for each in house.settings.experts]
    return [
        Escalator(
            replace(
                house,
                policy=house.policy.model_copy(
                    update={"ladder": tuple(rng.sample(names, len(names)))}
                ),
            )
        )
        for _ in range(ORDERS)
    ]


async def ask_all(home: Path, number: int, share: range, *, control: bool) -> None:
    """Ask a share of questions, several at once."""
    rng = Random(f"{number} {share.start}")  # noqa: S311  # a repeatable draw
    asked, fresh = home / "asked", home / "asked.new"
    numbers = iter(share)

    async def some(escalator: Escalator) -> None:
        async with escalator.open():
            for each in numbers:
                fresh.write_text(str(each + 1), encoding="utf-8")
                fresh.replace(asked)
                await escalator.ask(
                    Question(
                        text=f"Process {number}, question {each}: why does it hang?",
                        task=f"task {each % TASKS}",
                        caller=Caller(
                            session=f"s_{number}", project="/project", user="me"
                        ),
                    )
                )

    async with anyio.create_task_group() as tasks:
        for escalator in escalators(home, rng, control=control):
            tasks.start_soon(some, escalator)


def main() -> None:
    """Ask a share of questions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("number", type=int)
    parser.add_argument("start", type=int)
    parser.add_argument("stop", type=int)
    parser.add_argument("--control", action="store_true")
    given = parser.parse_args()
    share = range(given.start, given.stop)
    anyio.run(partial(ask_all, given.home, given.number, share, control=given.control))


if __name__ == "__main__":
    main()
