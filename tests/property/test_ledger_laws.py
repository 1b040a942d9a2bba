"""Whatever happens to tries, the caps hold and the sums are the movements' sums."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from ask_expert.ledger.records import End, Granted
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import movements, tries
from tests.databases import emptied
from tests.ledger.support import (
    ANSWER,
    CALLER,
    NOW,
    cap,
    charge,
    question,
    request,
    tokens,
)

CAP = 1000
FATES = ["settle", "settle low", "release", "crash", "late", "open"]
STEPS = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=400),
        st.sampled_from(FATES),
        st.sampled_from(["s_1", "s_2"]),
    ),
    max_size=25,
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(STEPS)
def test_no_window_ever_passes_its_cap_and_sums_follow_from_movements(
    ledger: Ledger, steps: Sequence[tuple[int, str, str]]
) -> None:
    emptied(ledger)
    total = cap(CAP)
    sessions = {
        name: cap(CAP // 2, scope="session", key=f"session={name}")
        for name in ("s_1", "s_2")
    }
    for want, fate, session in steps:
        wanted = request(want, [total, sessions[session]], least=want // 3)
        asked = question(caller=replace(CALLER, session=session))
        granted = ledger.reserve(asked, wanted, ceiling=tokens)
        if isinstance(granted, Granted):
            _meet(ledger, granted, fate)

        rooms = ledger.rooms([total, *sessions.values()])
        for room in rooms:
            assert room.spent_nusd + room.reserved_nusd <= (room.cap.nusd or 0)
        assert rooms[0].spent_nusd + rooms[0].reserved_nusd == _derived(ledger)
        assert rooms[1].calls + rooms[2].calls == rooms[0].calls


def _meet(ledger: Ledger, granted: Granted, fate: str) -> None:
    end = End(now_us=NOW)
    if fate in {"crash", "late"}:
        ledger.leave_unresolved(granted.try_id, None, end=end)
    if fate in {"settle", "late"}:
        ledger.settle(granted.try_id, ANSWER, charge(granted.nusd), end=end)
    if fate == "settle low":
        ledger.settle(granted.try_id, ANSWER, charge(granted.nusd // 2), end=end)
    if fate == "release":
        ledger.release(granted.try_id, None, end=end)


def _derived(ledger: Ledger) -> int:
    """Return settled plus still held money from the movements alone."""
    with ledger.engine.connect() as connection:
        spent = connection.execute(
            select(func.coalesce(func.sum(movements.c.nusd), 0)).where(
                movements.c.kind == "settle"
            )
        ).scalar_one()
        ended = select(movements.c.try_id).where(movements.c.kind != "reserve")
        held = connection.execute(
            select(func.coalesce(func.sum(movements.c.nusd), 0)).where(
                movements.c.kind == "reserve", movements.c.try_id.not_in(ended)
            )
        ).scalar_one()
        open_tries = connection.execute(
            select(func.coalesce(func.sum(tries.c.reserved_nusd), 0)).where(
                tries.c.state.in_(["sent", "unresolved"])
            )
        ).scalar_one()
    assert held == open_tries
    return spent + held
