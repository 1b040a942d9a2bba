from ask_expert.confidence.assess import assess, given, with_measured
from ask_expert.confidence.measured import Measured
from ask_expert.question import Caller, Question

CALLER = Caller(session="s", project="/p", user="u")


def question(**more: object) -> Question:
    return Question(text="Why?", caller=CALLER, **more)  # pyright: ignore[reportArgumentType]


def test_what_was_not_handed_in_is_absent_with_the_reason() -> None:
    facts = assess(question(), check=None, same_error=0, asked_before=0)

    assert {each.name: (each.value, each.why_absent) for each in given(facts)} == {
        "stated_confidence": (None, "the agent stated none"),
        "failed_attempts": (None, "the agent listed no attempts"),
        "check_failed": (None, "no check was named, or it did not end in time"),
        "repeated_error": (None, "no error was handed in"),
        "stalled": (None, "neither an error nor attempts were handed in"),
    }


def test_the_same_error_the_third_time_is_a_stall() -> None:
    case = question(error="boom", tried=("once",))

    second = assess(case, check=None, same_error=1, asked_before=0)
    third = assess(case, check=None, same_error=2, asked_before=0)

    assert (second["repeated_error"], second["stalled"]) == (2, False)
    assert (third["repeated_error"], third["stalled"]) == (3, True)


def test_the_same_attempt_three_times_is_a_stall() -> None:
    tried = ("retry 1", "retry 2", "retry 3")

    facts = assess(question(tried=tried), check=None, same_error=0, asked_before=0)

    assert facts["stalled"] is True
    assert "repeated_error" not in facts


def test_measured_signals_become_facts_and_absent_ones_do_not() -> None:
    found = (
        Measured(name="vote_share", value=0.6),
        Measured(name="p_true", value=None, why_absent="none"),
    )

    assert with_measured({"has_error": True}, found) == {
        "has_error": True,
        "vote_share": 0.6,
    }
