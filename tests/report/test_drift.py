import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.ledger.store import Ledger
from ask_expert.report.drift import (
    Identity,
    Kin,
    Sighting,
    Strayed,
    as_json,
    drift,
    kin,
    sentences,
    sightings,
    verdict,
)
from tests.report.ledgers import NOON_US, Paid, answered, sent


def seen(
    served: str | None,
    *,
    thread: str | None = None,
    at: int = 0,
    tries: int = 1,
    expert: str = "flagship",
    **identity: str,
) -> Sighting:
    return Sighting(
        expert=expert,
        asked="model-1",
        identity=Identity(served_model=served, **identity),
        thread=thread,
        first_us=at,
        last_us=at,
        tries=tries,
    )


@pytest.mark.parametrize(
    ("asked", "served", "expected"),
    [
        ("gpt-6.1-sol", "gpt-6.1-sol", "same"),
        ("GPT-6.1-sol", "gpt-6.1-SOL", "same"),
        ("gemini-4-argon", "models/gemini-4-argon", "same"),
        ("gpt-6.1-sol", "gpt-6.1-sol-2026-10-01", "snapshot"),
        ("claude-opus-5-5", "claude-opus-5-5-20261001", "snapshot"),
        ("claude-opus-5-5", "claude-opus-5-5@20261001", "snapshot"),
        ("claude-opus-5-5-latest", "claude-opus-5-5-20261001", "snapshot"),
        ("gemini-4-argon", "gemini-4-argon-001", "snapshot"),
        ("gpt-4", "gpt-4-0613", "snapshot"),
        ("gpt-6.1-sol", "gpt-6.1-sol-mini", "different"),
        ("gpt-6.1-sol", "gpt-6.1", "different"),
        ("claude-opus-5", "claude-opus-5-5", "different"),
        ("claude-opus-5", "claude-opus-5-5-20261001", "different"),
        ("gpt-4", "gpt-4-8192", "different"),
        ("gpt-6-2026-08-01", "gpt-6-2026-10-01", "different"),
        ("gpt-6.1-sol", "xgpt-6.1-sol-2026-10-01", "different"),
        ("gpt-6.1-sol", None, "unnamed"),
    ],
)
def test_only_a_date_or_a_revision_makes_a_name_a_snapshot(
    asked: str, served: str | None, expected: Kin
) -> None:
    assert kin(asked, served) == expected


def test_a_snapshot_of_the_asked_model_is_no_drift() -> None:
    (finding,) = drift([seen("model-1-2026-10-01", tries=3, fingerprint="fp_1")])

    assert [each.kin for each in finding.served] == ["snapshot"]
    assert not finding.drifted
    assert sentences(finding) == []
    assert verdict([finding]).startswith("No drift")


def test_another_model_from_the_first_try_on_is_drift() -> None:
    (finding,) = drift([seen("model-1-mini", tries=3), seen("model-1", at=1)])

    assert finding.differs
    assert sentences(finding)[0] == (
        "different: 3 of 4 tries were served by another model"
    )
    assert verdict([finding]) == "Drift: flagship (model-1)."


def test_what_changed_over_time_is_named() -> None:
    (finding,) = drift(
        [
            seen("model-1-2026-08-01", fingerprint="fp_1", region="eu"),
            seen("model-1-2026-10-01", at=5, fingerprint="fp_2", region="eu"),
        ]
    )

    assert finding.changed == ("served_model", "fingerprint")
    assert not finding.differs
    assert sentences(finding) == ["changed over time: served model, fingerprint"]


def test_what_is_told_now_and_then_has_not_changed() -> None:
    (finding,) = drift(
        [seen("model-1", provider="x"), seen("model-1"), seen(None, provider="x")]
    )

    assert len(finding.served) == 3
    assert not finding.drifted


def test_a_switch_inside_a_thread_is_told_with_the_share_it_stuck_for() -> None:
    (finding,) = drift(
        [
            seen("model-1", thread="c_1", at=0),
            seen("model-1-mini", thread="c_1", at=1, tries=3),
            seen("model-1", thread="c_2", at=2, tries=2),
        ]
    )

    assert finding.strayed == (
        Strayed(thread="c_1", tries=4, unexpected=3, switched=True),
    )
    assert sentences(finding)[-1] == (
        "switched inside thread c_1: 3 of 4 tries (75%) served by the unexpected one"
    )


def test_a_thread_that_begins_with_the_wrong_model_expects_the_right_one() -> None:
    (finding,) = drift(
        [
            seen("model-1-mini", thread="c_1", at=0),
            seen("model-1", thread="c_1", at=1, tries=4),
        ]
    )

    assert finding.strayed == (
        Strayed(thread="c_1", tries=5, unexpected=1, switched=True),
    )


def test_a_thread_that_sticks_to_the_wrong_model_has_no_switch_but_strayed() -> None:
    (finding,) = drift([seen("other", thread="c_1", tries=2)])

    assert finding.strayed == (
        Strayed(thread="c_1", tries=2, unexpected=2, switched=False),
    )
    assert "another model all through thread c_1" in sentences(finding)[-1]


def test_another_upstream_inside_a_thread_is_a_switch_too() -> None:
    (finding,) = drift(
        [
            seen(None, thread="c_1", at=0),
            seen("model-1", thread="c_1", at=1, provider="a"),
            seen("model-1", thread="c_1", at=2, provider="b"),
        ]
    )

    assert finding.changed == ("provider",)
    assert finding.strayed == (
        Strayed(thread="c_1", tries=3, unexpected=1, switched=True),
    )


def test_experts_are_not_held_against_each_other() -> None:
    findings = drift([seen("model-1", expert="b"), seen("model-1", expert="a")])

    assert [each.expert for each in findings] == ["a", "b"]
    assert not any(each.drifted for each in findings)


def test_nothing_on_record_is_no_drift() -> None:
    assert drift([]) == []
    assert verdict([]) == "No drift: no expert has answered yet."


sighting = st.builds(
    seen,
    st.sampled_from(["model-1", "model-1-2026-10-01", "other", None]),
    thread=st.sampled_from(["c_1", "c_2", None]),
    at=st.integers(0, 5),
    tries=st.integers(1, 3),
    fingerprint=st.sampled_from(["a", "b"]),
)


@given(st.lists(sighting, max_size=12))
def test_every_try_is_counted_and_no_share_is_above_one(rows: list[Sighting]) -> None:
    findings = drift(rows)

    tries = sum(one.tries for each in findings for one in each.served)
    assert tries == sum(row.tries for row in rows)
    assert all(0 < one.share <= 1 for each in findings for one in each.strayed)


@given(st.lists(sighting, max_size=12), st.integers(0, 1_000))
def test_when_it_happened_changes_the_times_alone(
    rows: list[Sighting], later: int
) -> None:
    moved = [
        seen(
            row.identity.served_model,
            thread=row.thread,
            at=row.first_us + later,
            tries=row.tries,
            fingerprint=row.identity.fingerprint or "",
        )
        for row in rows
    ]

    assert [sentences(each) for each in drift(moved)] == [
        sentences(each) for each in drift(rows)
    ]


def test_the_ledger_tells_who_served_each_thread_and_when(ledger: Ledger) -> None:
    told = {"fingerprint": "fp_1", "provider": "upstream", "service_tier": "default"}
    for number, served in enumerate(("model-1", "model-1", "model-2")):
        answered(
            ledger,
            f"q_{number}",
            Paid(served=served, identity={**told, "region": "eu"}),
            at_us=NOON_US + number,
            fields={"thread": "c_1"},
        )
    answered(ledger, "q_alone", Paid(served="model-1"), at_us=NOON_US + 9)
    sent(ledger, "q_in_flight", at_us=NOON_US + 10)

    rows = sightings(ledger)

    identity = Identity(served_model="model-1", region="eu", **told)
    assert rows[0] == Sighting(
        expert="flagship",
        asked="model-1",
        identity=identity,
        thread="c_1",
        first_us=NOON_US,
        last_us=NOON_US + 1,
        tries=2,
    )
    assert [(row.identity.served_model, row.thread) for row in rows[1:]] == [
        ("model-2", "c_1"),
        ("model-1", None),
    ]


def test_what_was_asked_before_a_time_is_left_out(ledger: Ledger) -> None:
    answered(ledger, "q_1", Paid(served="other"))
    answered(ledger, "q_2", at_us=NOON_US + 1)

    (finding,) = drift(sightings(ledger, NOON_US + 1))

    assert not finding.drifted
    assert as_json(finding)["served"] == [
        {
            "served_model": "model-1",
            "fingerprint": None,
            "service_tier": None,
            "provider": None,
            "region": None,
            "kin": "same",
            "first_seen": "2026-11-22T12:00:00.000001Z",
            "last_seen": "2026-11-22T12:00:00.000001Z",
            "tries": 1,
        }
    ]
