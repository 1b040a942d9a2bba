import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, select, text, update

from ask_expert.errors import LedgerError
from ask_expert.ledger import changes
from ask_expert.ledger.changes import Change, State
from ask_expert.ledger.compact import compact
from ask_expert.ledger.engine import reading, translated_errors, writing
from ask_expert.ledger.repair import repair
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import changes as table
from ask_expert.ledger.tables import movements
from tests.databases import statements
from tests.report.ledgers import HOUR_US, NOON_US, answered

DAY = {"scope": "day", "usd": "5"}
WEEK = {"scope": "week", "usd": "20", "per": ["project"]}


def note(ledger: Ledger, *budgets: State, by: str = "ada", at_us: int = 1) -> bool:
    document = {"name": "own", "otherwise": "escalate", "budgets": [*budgets]}
    return changes.note_policy(
        ledger,
        name="own",
        document=document,
        policy_hash=str(hash(str(budgets))),
        by=by,
        at_us=at_us,
    )


def caps(ledger: Ledger) -> list[tuple[str, State | None, State | None]]:
    """Return the changes of caps, oldest first."""
    found = reversed(changes.latest(ledger, 100))
    return [(each.name, each.old, each.new) for each in found if each.kind == "cap"]


def test_a_policy_is_put_on_record_with_each_of_its_caps_when_it_is_first_used(
    ledger: Ledger,
) -> None:
    written = note(ledger, DAY, WEEK)

    second, first, policy = changes.latest(ledger, 10)
    assert written
    assert (policy.kind, policy.name, policy.by, policy.at_us, policy.old) == (
        "policy",
        "own",
        "ada",
        1,
        None,
    )
    assert policy.new is not None
    assert policy.new["document"] == {
        "name": "own",
        "otherwise": "escalate",
        "budgets": [DAY, WEEK],
    }
    assert (first.name, first.old, first.new) == ("own: day", None, DAY)
    assert (second.name, second.old, second.new) == (
        "own: week and project",
        None,
        WEEK,
    )


def test_a_policy_that_is_what_it_was_is_only_read(ledger: Ledger) -> None:
    note(ledger, DAY, WEEK)
    said = statements(ledger)

    written = note(ledger, DAY, WEEK, by="eve", at_us=2)

    assert not written
    assert not [each for each in said if "IMMEDIATE" in each or "advisory" in each]
    assert len([each for each in said if "changes" in each]) == 1
    assert len(changes.latest(ledger, 10)) == 3


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((DAY,), ({**DAY, "usd": "3"},), [("own: day", DAY, {**DAY, "usd": "3"})]),
        ((DAY,), (DAY, WEEK), [("own: week and project", None, WEEK)]),
        ((DAY, WEEK), (WEEK,), [("own: day", DAY, None)]),
        ((DAY, WEEK), (WEEK, DAY), []),
        (
            (DAY,),
            ({**DAY, "mode": "soft"},),
            [("own: day", DAY, {**DAY, "mode": "soft"})],
        ),
        (
            (DAY,),
            ({**DAY, "rolling": True},),
            [
                ("own: day", DAY, None),
                ("own: rolling day", None, {**DAY, "rolling": True}),
            ],
        ),
        (
            (DAY, {**DAY, "usd": "9", "mode": "soft"}),
            ({**DAY, "usd": "8", "mode": "soft"}, DAY),
            [
                (
                    "own: day",
                    {**DAY, "usd": "9", "mode": "soft"},
                    {**DAY, "usd": "8", "mode": "soft"},
                )
            ],
        ),
        ((DAY, DAY), (DAY,), [("own: day", DAY, None)]),
    ],
    ids=["amount", "new", "gone", "order", "mode", "period", "two alike", "twice"],
)
def test_each_cap_that_is_changed_new_or_gone_is_a_row(
    ledger: Ledger,
    before: tuple[State, ...],
    after: tuple[State, ...],
    expected: list[tuple[str, State | None, State | None]],
) -> None:
    note(ledger, *before)

    note(ledger, *after, at_us=2)

    assert caps(ledger)[len(before) :] == expected


LINES = st.lists(
    st.fixed_dictionaries(
        {"scope": st.sampled_from(["day", "week"]), "calls": st.integers(0, 2)},
        optional={"mode": st.sampled_from(["soft", "degrade"])},
    ),
    max_size=5,
)


@given(before=LINES, after=LINES)
def test_the_rows_of_a_change_turn_the_old_caps_into_the_new_ones(
    before: list[State], after: list[State]
) -> None:
    left = [*before]

    for old, new in changes.differences(before, after):
        assert old != new
        if old is not None:
            left.remove(old)
        if new is not None:
            left.append(new)

    assert sorted(map(str, map(sorted_items, left))) == sorted(
        map(str, map(sorted_items, after))
    )


def sorted_items(line: State) -> list[tuple[str, object]]:
    return sorted(line.items())


def test_two_homes_with_different_policies_of_one_name_are_on_record_in_turn(
    ledger: Ledger,
) -> None:
    lower = {**DAY, "usd": "1"}

    for turn in range(4):
        note(ledger, lower if turn % 2 else DAY, by=f"home {turn % 2}", at_us=turn)

    assert [(each.by, each.old, each.new) for each in in_order(ledger)] == [
        ("home 0", None, DAY),
        ("home 1", DAY, lower),
        ("home 0", lower, DAY),
        ("home 1", DAY, lower),
    ]


def in_order(ledger: Ledger) -> list[Change]:
    found = reversed(changes.latest(ledger, 100))
    return [each for each in found if each.kind == "cap"]


def test_of_many_that_notice_a_change_at_once_one_puts_it_on_record(
    ledger: Ledger,
) -> None:
    start = Barrier(4)

    def notice(number: int) -> bool:
        start.wait(30)
        return note(ledger, DAY, by=f"server {number}")

    with ThreadPoolExecutor(4) as pool:
        written = list(pool.map(notice, range(4)))

    assert sorted(written) == [False, False, False, True]
    assert len(changes.latest(ledger, 10)) == 2


def test_the_latest_changes_come_first_and_as_many_as_asked_for(ledger: Ledger) -> None:
    note(ledger, DAY, at_us=1)
    note(ledger, at_us=2)

    found = changes.latest(ledger, 2)

    assert [(each.kind, each.at_us) for each in found] == [("cap", 2), ("policy", 2)]


REWRITES = {
    "update changes": update(table).values(by="nobody"),
    "delete changes": delete(table),
    "update movements": update(movements).values(nusd=0),
    "delete movements": delete(movements),
}

REPLACEMENTS = {
    "a change": "INSERT OR REPLACE INTO changes (id, at_us, by, kind, name) "
    "SELECT id, at_us, 'nobody', kind, name FROM changes",
    "the number of a movement": "INSERT OR REPLACE INTO movements "
    "SELECT id, 'y_new', at_us, kind, 0 FROM movements",
    "what was set aside": "INSERT OR REPLACE INTO movements "
    "(try_id, at_us, kind, nusd) "
    "SELECT try_id, at_us, kind, 0 FROM movements WHERE kind = 'reserve'",
    "what was settled": "REPLACE INTO movements (try_id, at_us, kind, nusd) "
    "SELECT try_id, at_us, 'release', 0 FROM movements WHERE kind = 'settle'",
}


@pytest.mark.parametrize("how", REWRITES)
def test_what_is_on_record_cannot_be_rewritten_even_by_hand(
    ledger: Ledger, how: str
) -> None:
    note(ledger, DAY)
    answered(ledger, "q_1")

    with (
        pytest.raises(LedgerError, match=r"rows of \w+ are only ever appended"),
        translated_errors(ledger.path),
        writing(ledger.engine) as connection,
    ):
        connection.execute(REWRITES[how])

    assert [each.by for each in changes.latest(ledger, 10)] == ["ada", "ada"]


@pytest.mark.parametrize("how", REPLACEMENTS)
def test_what_is_on_record_in_a_file_cannot_be_replaced_either(
    tmp_path: Path, how: str
) -> None:
    with closing(Ledger.open(tmp_path / "ledger.db")) as ledger:
        note(ledger, DAY)
        answered(ledger, "q_1")
        with reading(ledger.engine) as connection:
            before = [connection.execute(select(t)).all() for t in (table, movements)]

        with (
            closing(sqlite3.connect(tmp_path / "ledger.db")) as by_hand,
            pytest.raises(sqlite3.IntegrityError, match="are only ever appended"),
        ):
            by_hand.execute(REPLACEMENTS[how])

        with reading(ledger.engine) as connection:
            after = [connection.execute(select(t)).all() for t in (table, movements)]
    assert after == before


@pytest.mark.parametrize("name", ["changes", "movements"])
def test_a_server_refuses_to_empty_a_table_of_the_record(
    database: str, name: str
) -> None:
    ledger = Ledger.open(database)
    note(ledger, DAY)

    with (
        pytest.raises(LedgerError, match=f"rows of {name} are only ever appended"),
        translated_errors(ledger.path),
        writing(ledger.engine) as connection,
    ):
        connection.execute(text(f"TRUNCATE {name}"))

    assert len(changes.latest(ledger, 10)) == 2
    ledger.close()


def test_compacting_and_repairing_leave_the_record_alone(ledger: Ledger) -> None:
    note(ledger, DAY)
    answered(ledger, "q_1")
    before = changes.latest(ledger, 10)

    compact(ledger, before_us=NOON_US + HOUR_US)
    found, left = repair(ledger)

    assert (found, left) == ([], [])
    assert changes.latest(ledger, 10) == before
