from datetime import UTC, datetime
from pathlib import Path

from ask_expert.budget import caps, from_us
from ask_expert.ledger.store import Ledger
from ask_expert.policy import presets
from ask_expert.report import desk
from tests.report.ledgers import ME, NOON_US, Paid, answered, sent

NOON = from_us(NOON_US)


def test_a_wrong_policy_leaves_the_ledger_readable_and_says_what_is_wrong(
    home: Path, ledger: Ledger
) -> None:
    answered(ledger, "q_1")
    (home / "settings.yaml").write_text("policy: ballanced\n")

    with desk.opened(home, {}) as found:
        assert found.house is None
        assert found.ledger.standing("q_1", None) is not None
        assert found.trouble is not None
        assert "did you mean 'balanced'?" in found.trouble


def test_the_ledger_that_the_settings_name_is_read_though_the_policy_is_wrong(
    home: Path,
) -> None:
    (home / "settings.yaml").write_text("policy: nope\nledger: other.db\n")

    with desk.opened(home, {}) as found:
        assert found.ledger.path == home / "other.db"


def test_opening_marks_what_a_dead_process_left_behind(
    home: Path, ledger: Ledger
) -> None:
    sent(ledger, "q_1", lease_us=1)

    with desk.opened(home, {}) as found:
        standing = found.ledger.standing("q_1", None)

    assert standing is not None
    assert standing.try_state == "unresolved"


def test_budgets_are_shown_though_no_key_is_set_in_this_shell(
    home: Path, ledger: Ledger
) -> None:
    limits = presets.load("balanced", home=home).budgets
    binding = caps(limits, caller=ME, task="t_1", expert="second", now=NOON)
    answered(
        ledger,
        "q_1",
        Paid(expert="second", cost_nusd=5),
        caps=tuple(cap for cap in binding if cap.scope != "call"),
    )

    with desk.opened(home, {}) as found:
        assert found.house is not None
        rooms = desk.rooms_now(found.house, NOON)

    assert [
        (room.cap.scope, room.cap.expert, room.spent_nusd, room.calls) for room in rooms
    ] == [
        ("call", "", 0, 0),
        ("task", "", 5, 1),
        ("day", "", 5, 1),
        ("month", "second", 5, 1),
    ]


def test_a_home_that_was_never_used_has_empty_budgets(home: Path) -> None:
    with desk.opened(home, {}) as found:
        assert found.house is not None
        rooms = desk.rooms_now(found.house, datetime.now(UTC))

    assert {room.cap.scope for room in rooms} == {"call", "task", "day"}
    assert all(room.spent_nusd == 0 for room in rooms)
