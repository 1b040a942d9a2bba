"""Where a question stands, looked at in the very moment in which its answer lands."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ask_expert import house as houses
from ask_expert.in_flight import Flights, Remembered
from ask_expert.ledger.owner import this_process
from ask_expert.ledger.records import Answered, End, Granted
from ask_expert.ledger.store import Ledger
from ask_expert.question import Caller
from tests.ledger.support import ANSWER, NOW, charge, question, request, tokens

pytestmark = pytest.mark.anyio


class Landing(Ledger):
    """A ledger in which something happens right after the first look."""

    after_look: Callable[[], None] | None = None

    def standing(self, question_id: str, caller: Caller | None) -> Answered | None:
        found = super().standing(question_id, caller)
        then, self.after_look = self.after_look, None
        if then is not None:
            then()
        return found


async def test_a_call_that_lands_between_two_looks_is_answered_and_not_lost(
    tmp_path: Path,
) -> None:
    house = houses.build(tmp_path, environ={})
    house.ledger.close()
    ledger = Landing.open(tmp_path / "ledger.db")
    house.ledger = ledger
    asked = question()
    ahead = 2**61
    sent = request(10, lease_us=ahead, owner=this_process())
    granted = ledger.reserve(asked, sent, ceiling=tokens)
    assert isinstance(granted, Granted)
    end = End(now_us=NOW, status="answered", stored_answer="Hold the lock.")
    ledger.after_look = lambda: ledger.settle(
        granted.try_id, ANSWER, charge(5), end=end
    )

    standing, alive = await Flights(house, Remembered()).swept(asked.id, None)
    ledger.close()

    assert (standing.status, standing.answer) == ("answered", "Hold the lock.")
    assert not alive
