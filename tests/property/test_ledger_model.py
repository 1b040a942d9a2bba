"""The ledger against a reference of ten lines: same grants, same sums, whatever happens."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from ask_expert.budget import Denied
from ask_expert.errors import LedgerError
from ask_expert.ledger.check import check
from ask_expert.ledger.owner import this_process
from ask_expert.ledger.records import End, Granted
from ask_expert.ledger.store import Ledger
from tests.databases import emptied
from tests.ledger.support import (
    ANSWER,
    HOUR,
    NOW,
    cap,
    charge,
    question,
    request,
    tokens,
)

CAP = 1000
TOTAL = cap(CAP)
DEAD = f"{this_process().split(':')[0]}:4194304:1"
"""A process of this machine that cannot exist: its number is above the largest one."""


@dataclass
class Reference:
    """What the ledger has to add up to."""

    held: dict[str, int] = field(default_factory=dict[str, int])
    spent: int = 0
    calls: int = 0

    def reserve(self, want: int, least: int) -> int | None:
        granted = min(want, CAP - self.spent - sum(self.held.values()))
        return granted if granted >= least else None

    def settle(self, try_id: str, cost: int) -> None:
        del self.held[try_id]
        self.spent += cost

    def release(self, try_id: str) -> None:
        del self.held[try_id]
        self.calls -= 1


NOTHING = cast("Any", multiple())
"""What a rule returns that adds nothing to its bundle."""


class Model(RuleBasedStateMachine):
    """Reserve, settle, release, crash and sweep in any order, from two doors."""

    open_tries = Bundle("open_tries")
    ended_tries = Bundle("ended_tries")
    doors: tuple[Ledger, Ledger]

    @initialize()
    def start(self) -> None:
        emptied(self.doors[0])
        self.reference = Reference()
        self.now = NOW
        self.to_sweep: set[str] = set()

    @rule(
        target=open_tries,
        want=st.integers(0, 400),
        share=st.integers(1, 4),
        fate=st.sampled_from(["lives", "dies", "lapses"]),
        door=st.integers(0, 1),
    )
    def reserve(self, want: int, share: int, fate: str, door: int) -> Any:
        least = want // share
        wanted = request(
            want,
            [TOTAL],
            least=least,
            sent_us=self.now,
            lease_us=self.now + (1 if fate == "lapses" else 1000 * HOUR),
            owner=DEAD if fate == "dies" else this_process(),
        )
        got = self.doors[door].reserve(question(), wanted, ceiling=tokens)
        expected = self.reference.reserve(want, least)
        if expected is None:
            assert isinstance(got, Denied)
            return NOTHING
        assert isinstance(got, Granted)
        assert got.nusd == expected
        self.reference.held[got.try_id] = expected
        self.reference.calls += 1
        if fate != "lives":
            self.to_sweep.add(got.try_id)
        return got.try_id

    @rule(
        target=ended_tries,
        try_id=consumes(open_tries),
        cost=st.integers(0, 500),
        door=st.integers(0, 1),
    )
    def settle(self, try_id: str, cost: int, door: int) -> str:
        cost = min(cost, self.reference.held[try_id])
        self.doors[door].settle(try_id, ANSWER, charge(cost), end=End(now_us=self.now))
        self.reference.settle(try_id, cost)
        self.to_sweep.discard(try_id)
        return try_id

    @rule(target=ended_tries, try_id=consumes(open_tries), door=st.integers(0, 1))
    def release(self, try_id: str, door: int) -> str:
        self.doors[door].release(try_id, None, end=End(now_us=self.now))
        self.reference.release(try_id)
        self.to_sweep.discard(try_id)
        return try_id

    @rule(try_id=open_tries, door=st.integers(0, 1))
    def lose_sight(self, try_id: str, door: int) -> None:
        """A broken reply: the money stays counted, and may be settled later."""
        self.doors[door].leave_unresolved(try_id, None, end=End(now_us=self.now))
        self.to_sweep.discard(try_id)

    @rule(door=st.integers(0, 1))
    def sweep(self, door: int) -> None:
        """A crash is found: what a dead process or a lapsed lease left stays counted."""
        self.now += 2
        assert set(self.doors[door].sweep(now_us=self.now)) == self.to_sweep
        self.to_sweep.clear()

    @rule(try_id=ended_tries, settles=st.booleans(), door=st.integers(0, 1))
    def end_again(self, try_id: str, settles: bool, door: int) -> None:
        ledger, end = self.doors[door], End(now_us=self.now)
        again: Callable[[], None] = (
            (lambda: ledger.settle(try_id, ANSWER, charge(1), end=end))
            if settles
            else (lambda: ledger.release(try_id, None, end=end))
        )
        with pytest.raises(LedgerError, match="settled or released before"):
            again()

    @invariant()
    def sums_are_those_of_the_reference(self) -> None:
        (room,) = self.doors[0].rooms([TOTAL])
        held = sum(self.reference.held.values())
        assert (room.spent_nusd, room.reserved_nusd, room.calls) == (
            self.reference.spent,
            held,
            self.reference.calls,
        )
        assert room.spent_nusd + room.reserved_nusd <= CAP

    def teardown(self) -> None:
        assert check(self.doors[0]) == []


def test_the_ledger_and_its_reference_never_differ(where: Path | str) -> None:
    opened = [Ledger.open(where), Ledger.open(where)]
    with contextlib.closing(opened[0]), contextlib.closing(opened[1]):

        class Machine(Model):
            doors = (opened[0], opened[1])

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=25,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=[
                    HealthCheck.too_slow,
                    HealthCheck.filter_too_much,
                ],
            ),
        )
