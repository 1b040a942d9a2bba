"""Under mixed policies and time zones every window's running sums stay the truth."""

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from shutil import copyfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from ask_expert.budget import Cap, Denied
from ask_expert.ledger.records import End, Granted
from ask_expert.ledger.reservations import sum_of_tries
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import windows
from tests.ledger.support import (
    ANSWER,
    CALLER,
    HOUR,
    NOW,
    cap,
    charge,
    question,
    request,
    tokens,
)

TASK = f"{CALLER.user}\x1f{CALLER.project}\x1ft_1"
POLICIES: list[list[Cap]] = [
    [cap(1000, scope="day", start_us=NOW - 20 * HOUR, end_us=NOW + 4 * HOUR)],
    [cap(1000, scope="day", start_us=NOW - 19 * HOUR, end_us=NOW + 5 * HOUR)],
    [cap(1000), cap(600, scope="session", key="s_1")],
    [cap(600, expert="flagship"), cap(600, expert="other")],
    [cap(800, scope="task", key=TASK), cap(900, scope="call")],
    [],
]
STEPS = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=300),
        st.integers(min_value=0, max_value=len(POLICIES) - 1),
        st.sampled_from(["flagship", "other"]),
        st.sampled_from(["s_1", "s_2"]),
        st.sampled_from(["settle", "dear", "release", "unresolved", "open"]),
    ),
    max_size=20,
)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "ledger.db"
    Ledger.open(path).close()
    return path


@settings(max_examples=50, deadline=None)
@given(steps=STEPS)
def test_every_window_is_the_sum_of_its_tries(
    empty: Path, steps: Sequence[tuple[int, int, str, str, str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        copyfile(empty, path)
        with closing(Ledger.open(path)) as ledger:
            for want, policy, expert, session, fate in steps:
                caps = [
                    each for each in POLICIES[policy] if each.expert in {"", expert}
                ]
                granted = ledger.reserve(
                    question(caller=replace(CALLER, session=session)),
                    request(want, caps, least=want // 4, expert=expert),
                    ceiling=tokens,
                )
                if isinstance(granted, Granted):
                    meet(ledger, granted, fate)

                assert stale_windows(ledger) == []


def meet(ledger: Ledger, granted: Granted, fate: str) -> None:
    end = End(now_us=NOW)
    if fate in {"settle", "dear"}:
        factor = 3 if fate == "dear" else 1
        ledger.settle(granted.try_id, ANSWER, charge(factor * granted.nusd), end=end)
    if fate == "release":
        ledger.release(granted.try_id, None, end=end)
    if fate == "unresolved":
        ledger.leave_unresolved(granted.try_id, None, end=end)


def stale_windows(ledger: Ledger) -> list[Cap]:
    """Return the windows whose running sums are not the sums of their tries."""
    stale: list[Cap] = []
    with ledger.engine.connect() as connection:
        for row in connection.execute(select(windows)).mappings():
            names = ("scope", "key", "expert", "start_us", "end_us")
            of = Cap(**{name: row[name] for name in names})
            truth = sum_of_tries(connection, of)
            sums = (truth.spent_nusd, truth.reserved_nusd, truth.calls)
            if sums != (row["spent_nusd"], row["reserved_nusd"], row["calls"]):
                stale.append(of)
    return stale


def test_what_another_policy_spent_counts_when_the_first_one_is_back(
    tmp_path: Path,
) -> None:
    month, other = (
        cap(1000, scope="month"),
        cap(50_000, scope="month", expert="flagship"),
    )
    with closing(Ledger.open(tmp_path / "ledger.db")) as ledger:

        def ask(budget: Cap) -> Granted | Denied:
            verdict = ledger.reserve(question(), request(900, [budget]), ceiling=tokens)
            assert isinstance(verdict, Granted | Denied)
            return verdict

        first = ask(month)
        assert isinstance(first, Granted)
        ledger.settle(first.try_id, ANSWER, charge(1), end=End(now_us=NOW))
        meanwhile = ask(other)
        back = ask(month)

    assert isinstance(meanwhile, Granted)
    assert isinstance(back, Denied)
    assert back.room.reserved_nusd == 900
