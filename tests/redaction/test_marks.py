from hypothesis import given
from hypothesis import strategies as st

from ask_expert.redaction import Marks

PAIRS = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.text(min_size=1)), max_size=20
)


def test_the_same_secret_keeps_its_number_and_numbers_count_per_kind() -> None:
    marks = Marks(key=b"home")

    made = [
        marks.mark("github_pat", "one"),
        marks.mark("github_pat", "two"),
        marks.mark("jwt", "three"),
        marks.mark("github_pat", "one"),
    ]

    assert made == [
        "«SECRET:github_pat:1»",
        "«SECRET:github_pat:2»",
        "«SECRET:jwt:1»",
        "«SECRET:github_pat:1»",
    ]
    assert (marks.count, marks.kinds) == (3, ("github_pat", "jwt"))


def test_a_second_question_continues_the_numbers_of_the_first() -> None:
    first = Marks(key=b"home")
    first.mark("jwt", "old")
    second = Marks(key=b"home", known=first.new)

    made = second.mark("jwt", "new"), second.mark("jwt", "old")

    assert made == ("«SECRET:jwt:2»", "«SECRET:jwt:1»")
    assert list(second.new.values()) == [2]
    assert second.count == 2


def test_what_is_stored_holds_no_secret_and_depends_on_the_key() -> None:
    one, other = Marks(key=b"home"), Marks(key=b"other home")
    one.mark("jwt", "hunter2hunter2")
    other.mark("jwt", "hunter2hunter2")

    assert "hunter2" not in repr(one.new)
    assert one.new.keys() != other.new.keys()


@given(PAIRS, PAIRS)
def test_marks_stand_for_secrets_one_to_one_over_two_questions(
    asked: list[tuple[str, str]], asked_again: list[tuple[str, str]]
) -> None:
    first = Marks(key=b"home")
    made = {pair: first.mark(*pair) for pair in asked}
    second = Marks(key=b"home", known=first.new)

    again = {pair: second.mark(*pair) for pair in asked_again}

    assert all(made[pair] == again[pair] for pair in made.keys() & again.keys())
    together = made | again
    assert len(set(together.values())) == len(together)


def test_a_secret_with_half_a_surrogate_pair_can_be_marked() -> None:
    assert Marks(key=b"home").mark("jwt", "a\ud83d") == "«SECRET:jwt:1»"
