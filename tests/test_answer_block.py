from hypothesis import given
from hypothesis import strategies as st

from ask_expert.answer_block import MAX_CHARS, block, clean


def test_terminal_codes_and_unseen_characters_are_taken_out() -> None:
    assert clean("a\x1b[31mb\x1b]0;title\x07c\u202ed\u200be\U000e0041f\x00") == "abcdef"


def test_what_people_write_is_kept() -> None:
    text = "def f():\n\treturn 'naïve — 你好 ☃'\r\n"

    assert clean(text) == text


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


def test_a_long_answer_is_cut_in_the_middle() -> None:
    cut = clean("a" * MAX_CHARS + "b" * MAX_CHARS)

    assert cut.startswith("aaa")
    assert cut.endswith("bbb")
    assert f"[… {MAX_CHARS} characters left out …]" in cut


@given(st.text())
def test_no_answer_can_end_its_own_block(text: str) -> None:
    shown = block(text, "flagship")

    word = shown.split()[1]
    assert shown.count(f"<<<END ADVICE {word}>>>") == 1 + text.count(word)
    assert shown.endswith(f"<<<END ADVICE {word}>>>")
