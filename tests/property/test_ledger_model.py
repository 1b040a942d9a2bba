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
from ask_expert.ledger import reconcile
from ask_expert.ledger.check import check
from ask_expert.ledger.leases import LEASE_US, UnderWay, renew
from ask_expert.ledger.owner import this_process
from ask_expert.ledger.records import End, Granted
from ask_expert.ledger.store import Ledger
from tests.databases import emptied
from tests.ledger.support import (
    ANSWER,
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
    booked: dict[str, int] = field(default_factory=dict[str, int])
    calls: int = 0

    @property
    def spent(self) -> int:
        return sum(self.booked.values())

    def reserve(self, want: int, least: int) -> int | None:
        granted = min(want, CAP - self.spent - sum(self.held.values()))
        return granted if granted >= least else None

    def settle(self, try_id: str, cost: int) -> None:
        del self.held[try_id]
        self.booked[try_id] = cost

    def release(self, try_id: str) -> None:
        del self.held[try_id]
        self.calls -= 1


NOTHING = cast("Any", multiple())
"""What a rule returns that adds nothing to its bundle."""


class Model(RuleBasedStateMachine):
    """Everything that can happen to a try, in any order, from two doors."""

    open_tries = Bundle("open_tries")
    ended_tries = Bundle("ended_tries")
    reconciled_tries = Bundle("reconciled_tries")
    doors: tuple[Ledger, Ledger]

    @initialize()
    def start(self) -> None:
        emptied(self.doors[0])
        self.reference = Reference()
        self.now = NOW
        self.leases: dict[str, UnderWay] = {}
        self.dead: set[str] = set()
        self.unresolved: set[str] = set()
        self.asked: dict[str, str] = {}

    @rule(
        target=open_tries,
        want=st.integers(0, 400),
        share=st.integers(1, 4),
        dies=st.booleans(),
        door=st.integers(0, 1),
    )
    def reserve(self, want: int, share: int, dies: bool, door: int) -> Any:
        least = want // share
        asked = question()
        wanted = request(
            want,
            [TOTAL],
            least=least,
            sent_us=self.now,
            lease_us=self.now + LEASE_US,
            owner=DEAD if dies else this_process(),
        )
        got = self.doors[door].reserve(asked, wanted, ceiling=tokens)
        expected = self.reference.reserve(want, least)
        if expected is None:
            assert isinstance(got, Denied)
            return NOTHING
        assert isinstance(got, Granted)
        assert got.nusd == expected
        self.reference.held[got.try_id] = expected
        self.reference.calls += 1
        self.leases[got.try_id] = UnderWay(lease_us=wanted.lease_us)
        self.asked[got.try_id] = asked.id
        if dies:
            self.dead.add(got.try_id)
        return got.try_id

    @rule(
        target=ended_tries,
        try_id=consumes(open_tries),
        cost=st.integers(0, 500),
        door=st.integers(0, 1),
    )
    def settle(self, try_id: str, cost: int, door: int) -> str:
        """An answer comes, perhaps long after the try was given up for lost."""
        cost = min(cost, self.reference.held[try_id])
        self.doors[door].settle(try_id, ANSWER, charge(cost), end=self._answered())
        self.reference.settle(try_id, cost)
        self._forget(try_id)
        return try_id

    @rule(target=ended_tries, try_id=consumes(open_tries), door=st.integers(0, 1))
    def release(self, try_id: str, door: int) -> str:
        self.doors[door].release(try_id, None, end=End(now_us=self.now))
        self.reference.release(try_id)
        self._forget(try_id)
        return try_id

    @rule(try_id=open_tries, door=st.integers(0, 1))
    def lose_sight(self, try_id: str, door: int) -> None:
        """A broken reply: the money stays counted, and may be settled later."""
        self.doors[door].leave_unresolved(try_id, None, end=End(now_us=self.now))
        self.unresolved.add(try_id)

    @rule(try_id=open_tries)
    def crash(self, try_id: str) -> None:
        """Its process ends, or is suspended: nobody renews its lease any more."""
        self.leases[try_id].lease_us = -1

    @rule(seconds=st.integers(1, 90), door=st.integers(0, 1))
    def time_passes(self, seconds: int, door: int) -> None:
        """Living processes renew what they have on its way, before it lapses."""
        for _ in range(seconds // 10 + 1):
            self.now += 10_000_000
            living = {
                name: each for name, each in self.leases.items() if each.lease_us >= 0
            }
            renew(self.doors[door], living, now_us=self.now)

    @rule(door=st.integers(0, 1))
    def sweep(self, door: int) -> None:
        """What a dead process or a lapsed lease left is found, and stays counted."""
        swept = set(self.doors[door].sweep(now_us=self.now))
        lapsed = {name for name, each in self.leases.items() if each.lease_us < 0}
        assert swept >= self.dead - self.unresolved
        assert swept <= (self.dead | lapsed) - self.unresolved
        self.unresolved |= swept

    @rule(
        target=reconciled_tries,
        try_id=consumes(open_tries),
        record=st.none() | st.integers(0, 500),
        door=st.integers(0, 1),
    )
    def be_reconciled(self, try_id: str, record: int | None, door: int) -> Any:
        """By the provider's record of its cost, else at worst case; never what is sent."""
        held = self.reference.held[try_id]
        cost = held if record is None else min(record, held)
        done = reconcile.settle(
            self.doors[door],
            try_id,
            by="worst_case" if record is None else "provider",
            cost_nusd=cost,
            columns={},
            now_us=self.now,
        )
        assert done is (try_id in self.unresolved)
        if not done:
            self.doors[door].release(try_id, None, end=End(now_us=self.now))
            self.reference.release(try_id)
            self._forget(try_id)
            return NOTHING
        self.reference.settle(try_id, cost)
        self._forget(try_id)
        return try_id

    @rule(try_id=reconciled_tries, door=st.integers(0, 1))
    def reconcile_again(self, try_id: str, door: int) -> None:
        assert not reconcile.settle(
            self.doors[door],
            try_id,
            by="worst_case",
            cost_nusd=1,
            columns={},
            now_us=self.now,
        )

    @rule(try_id=reconciled_tries, answers=st.booleans(), door=st.integers(0, 1))
    def come_late(self, try_id: str, answers: bool, door: int) -> None:
        """Its own process comes back: the answer is kept, the money stays."""
        ledger = self.doors[door]
        if not answers:
            ledger.release(try_id, None, end=End(now_us=self.now))
            return
        ledger.settle(try_id, ANSWER, charge(499), end=self._answered())
        standing = ledger.standing(self.asked[try_id], None)
        assert standing is not None
        assert (standing.status, standing.answer) == ("answered", ANSWER.text)
        assert standing.cost_nusd == self.reference.booked[try_id]

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

    def _answered(self) -> End:
        return End(now_us=self.now, status="answered", stored_answer=ANSWER.text)

    def _forget(self, try_id: str) -> None:
        del self.leases[try_id]
        self.dead.discard(try_id)
        self.unresolved.discard(try_id)


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
