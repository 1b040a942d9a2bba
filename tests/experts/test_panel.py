import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.experts.panel import agree, agreement, headline


@pytest.mark.parametrize(
    "text",
    [
        "ANSWER: hold the lock\n\nbecause",
        "**ANSWER:** hold the lock\n",
        "\n## Answer: hold the lock",
        "hold the lock\nand more",
    ],
)
def test_the_headline_is_what_follows_answer_or_the_first_line(text: str) -> None:
    assert headline(text) == "hold the lock"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("The lock is not re-entrant.", "lock not re-entrant", True),
        ("use asyncio.Lock", "use a thread pool", False),
        ("42", "42.0", False),
        ("the answer is 42", "answer: 42", True),
        ("the answer is 42", "the answer is 43", False),
        ("it is safe", "it is not safe", False),
        ("", "", False),
    ],
)
def test_two_lines_agree_by_numbers_negation_and_words(
    one: str, other: str, *, same: bool
) -> None:
    assert agree(one, other) is same


def test_more_than_half_agree() -> None:
    found = agreement(["ANSWER: 41", "ANSWER: 42", "ANSWER: 42"])

    assert found.agreeing == (1, 2)
    assert found.agreed


def test_one_of_two_is_no_majority() -> None:
    assert not agreement(["ANSWER: 41", "ANSWER: 42"]).agreed


@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_agreement_is_symmetric_and_its_group_is_never_empty(texts: list[str]) -> None:
    found = agreement(texts)

    assert all(
        agree(one, other) == agree(other, one) for one in texts for other in texts
    )
    assert found.agreeing
