"""Number, choice, code and short text: when two answers are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.confidence.answers import choice, code, number, short_text
from ask_expert.confidence.answers.final import final, without_thoughts
from ask_expert.evaluation.sandbox import run_tests


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("2 + 2 is 4.\nAnswer: 4", "4"),
        ("Answer: 3\nNo, wait.\n**Answer: 4**", "4"),
        ("so it is\n#### 12", "12"),
        (r"thus \boxed{\frac{1}{2}} holds", r"\frac{1}{2}"),
        (r"Answer: \boxed{7}", "7"),
        ("<think>Answer: 1</think>Paris", "Paris"),
        ("<think>never ended", ""),
        ("no mark at all", "no mark at all"),
    ],
)
def test_the_last_mark_names_the_final_answer(reply: str, answer: str) -> None:
    assert final(reply) == answer
    assert "<think>" not in without_thoughts(reply)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Answer: 1,234.50 dollars", "It costs $1234.5"),
        ("Answer: 1/2", "so 0.50"),
        (r"\boxed{\frac{1}{2}}", "Answer: .5"),
        ("#### -12", "Answer: \u221212"),
        ("12kg", "Answer: 12 kilograms"),
        ("1e3", "1000."),
    ],
)
def test_equal_numbers_are_the_same(one: str, two: str) -> None:
    assert number.key(one) == number.key(two) is not None


@pytest.mark.parametrize("reply", ["", "no number", "x2", "v1.2.3", "9" * 61, "1/0"])
def test_no_number_is_none(reply: str) -> None:
    assert number.key(reply) is None


@given(st.integers())
def test_every_whole_number_is_read_as_itself(value: int) -> None:
    assert number.number(f"Answer: {value % 10**30}") == value % 10**30


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("Answer: B", "B"),
        ("(b) because of that", "B"),
        ("The answer is C.", "C"),
        ("I think option D is right", "D"),
        ("(A) is wrong, so\nB", "B"),
        ("A cat sat there", None),
        ("", None),
    ],
)
def test_a_choice_is_its_letter(reply: str, letter: str | None) -> None:
    assert choice.key(reply) == letter


def test_options_are_letters_from_a_on() -> None:
    assert choice.offers_choices("Which?\nA) one\nB) two\n(C) three")
    assert not choice.offers_choices("Which?\nB) two\nC) three")
    assert not choice.offers_choices("I have a) nothing")


DOUBLE = "Here:\n```python\ndef f(x: int) -> int:\n    '''Double.'''\n    y: int = 2\n    return x*y  # fast\n```"
SAME = "```\ndef f(x):\n    y = 2\n    return x * y\n```\nDone."
OTHER = "```python\ndef f(x):\n    return x + x\n```"
WRONG = "```python\ndef f(x):\n    return x\n```"


def test_code_that_reads_the_same_is_the_same() -> None:
    assert code.key(DOUBLE) == code.key(SAME) is not None
    assert code.key(DOUBLE) != code.key(OTHER)


@pytest.mark.parametrize("reply", ["", "Use a lock.", "```\ndef f(:\n```", "(" * 9999])
def test_what_is_no_code_is_none(reply: str) -> None:
    assert code.key(reply) is None


def test_code_that_does_the_same_on_the_visible_tests_is_the_same() -> None:
    tests = ["assert f(0) == 0", "assert f(2) == 4"]
    behaviour = code.by_behaviour(
        lambda source, test: run_tests(source, [test]).passed, tests
    )

    found = [behaviour(each) for each in (DOUBLE, OTHER, WRONG, "no code")]

    assert found == ["++", "++", "+-", None]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Answer: The Eiffel Tower.", "eiffel tower"),
        ("Answer: `Paris`", "  paris  "),
        ("a re-entrant lock", "re entrant lock"),
    ],
)
def test_short_answers_are_the_same_but_for_case_articles_and_marks(
    one: str, two: str
) -> None:
    assert short_text.key(one) == short_text.key(two) is not None


def test_numbers_in_short_answers_keep_their_point() -> None:
    assert short_text.key("3.5 kg") != short_text.key("35 kg")
    assert short_text.key("-3 degrees") != short_text.key("3 degrees")


def test_marks_alone_stay_and_nothing_is_none() -> None:
    assert short_text.key("???") == "???"
    assert short_text.key("  ") is None
    assert not short_text.is_short("word " * 13)
