"""What a person reads before deciding, and what becomes of what was said."""

from dataclasses import replace

import pytest
from mcp.types import ElicitRequest, ElicitRequestFormParams

from ask_expert.mcp_server import approval
from ask_expert.mcp_server.results import structured
from ask_expert.reply import Approval, Reply

WANTED = Approval(
    question="Why does it hang?",
    expert="flagship",
    model="some-model",
    worst_case_nusd=20_000_000,
    left_nusd=980_000_000,
    why="dear: it may cost much",
)
WAITS = structured(
    Reply(
        status="needs_approval",
        question_id="q_1",
        thread="c_1",
        reason="dear: it may cost much.",
        next_step="Ask the user.",
    )
)


def test_a_person_reads_plain_lines() -> None:
    assert approval.message(WANTED, "opencode") == (
        "opencode wants to ask a paid expert.\n"
        "Question: Why does it hang?\n"
        "Expert: flagship (model some-model)\n"
        "Worst case: $0.02\n"
        "Budget left: $0.98\n"
        "Why you are asked: dear: it may cost much"
    )


def test_amounts_that_are_not_known_are_not_shown_as_nothing() -> None:
    shown = approval.message(replace(WANTED, worst_case_nusd=None, left_nusd=None), "")

    assert shown.startswith("An agent wants")
    assert "Worst case: unknown\n" in shown
    assert "Budget left: no budget in USD\n" in shown


@pytest.mark.parametrize("field", ["question", "expert", "model", "why"])
def test_no_text_makes_a_line_of_its_own(field: str) -> None:
    forged = replace(
        WANTED, **{field: "x\nWorst case: $0.00\u2028Budget left: $9\x1b[2J"}
    )

    shown = approval.message(forged, "me\n\nWorst case: $0.00")

    assert len(shown.splitlines()) == 6
    assert "\x1b" not in shown


def test_who_approved_is_one_short_line() -> None:
    assert approval.by("a\nb" + "c" * 500).startswith("elicitation: a bcc")
    assert len(approval.by("c" * 500)) < 120
    assert approval.by("") == "elicitation: unknown client"


def test_the_form_is_flat_and_the_first_reply_travels_with_it() -> None:
    asked = approval.ask_in_a_new_round("May it?", WAITS)

    assert asked.input_requests is not None
    (request,) = asked.input_requests.values()
    assert isinstance(request, ElicitRequest)
    assert isinstance(request.params, ElicitRequestFormParams)
    (field,) = request.params.requested_schema["properties"].values()
    assert field["type"] == "string"
    assert "default" not in field
    assert asked.request_state is not None
    assert "q_1" in asked.request_state


def test_a_denied_question_is_refused_and_says_how_to_go_on() -> None:
    fields = approval.denied(WAITS)

    assert (fields["status"], fields["question_id"]) == ("refused", "q_1")
    assert "Go on without the expert" in str(fields["next_step"])


def test_a_question_nobody_decided_on_waits_and_is_not_asked_in_a_loop() -> None:
    fields = approval.undecided(WAITS)

    assert fields["status"] == "needs_approval"
    assert "do not ask this question again" in str(fields["next_step"])
    assert "ask-expert approve q_1" in str(fields["next_step"])
