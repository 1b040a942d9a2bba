import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ask_expert.ledger.store import Ledger
from ask_expert.report import finds
from tests.report.ledgers import NOON_US, Paid, answered, record, repeated


def ask(
    ledger: Ledger, id_: str, question: str, answer: str = "Yes.", sent: str = ""
) -> None:
    texts = {"question": question, "sent": sent}
    at_us = NOON_US + int(id_.removeprefix("q_"))
    answered(ledger, id_, Paid(text=answer), at_us=at_us, fields={"texts": texts})


def found(ledger: Ledger, *words: str, limit: int = 20) -> list[str]:
    return [each.id for each in finds.find(ledger, words, limit)]


def test_all_words_must_occur_in_question_evidence_or_answer(ledger: Ledger) -> None:
    ask(ledger, "q_1", "Why does it hang?", "Hold the lock.", "TimeoutError: 5 s")
    ask(ledger, "q_2", "Why does it fail?", "Hold the lock.")

    assert found(ledger, "hang", "lock", "timeouterror") == ["q_1"]
    assert found(ledger, "lock", "hold the") == ["q_2", "q_1"]
    assert found(ledger, "lock", "nothing of the kind") == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Hold the LOCK", "lock"),
        ("Die Größe ist ÜBERALL falsch", "überall"),
        ("die größe", "GRÖßE"),
        ('He said "quote" and \\ back', '"quote" and \\'),
        ("100% of a_b", "100%"),
        ("日本語のテキスト", "本語"),
        ("two\nlines", "two"),
    ],
)
def test_a_word_is_found_in_any_case_and_script(
    ledger: Ledger, text: str, word: str
) -> None:
    ask(ledger, "q_1", text)
    ask(ledger, "q_2", "unrelated", answer=text)

    assert found(ledger, word) == ["q_2", "q_1"]


@pytest.mark.parametrize("word", ["a%c", "a_c", "%", "_", "ä", "a\\c"])
def test_a_pattern_is_no_wildcard(ledger: Ledger, word: str) -> None:
    ask(ledger, "q_1", "abc öbc", answer="abc", sent="abc")

    assert found(ledger, word) == []


def test_an_answer_given_again_is_found_once(ledger: Ledger) -> None:
    ask(ledger, "q_1", "Why?", "Hold the lock.")
    repeated(ledger, "q_2", of="q_1", at_us=NOON_US + 2)
    ledger.record(record("q_3", at_us=NOON_US + 3, status="stay_local", texts=None))

    assert found(ledger, "lock") == ["q_1"]


def test_the_newest_come_first_up_to_the_limit(ledger: Ledger) -> None:
    for number in range(120):
        ask(ledger, f"q_{number}", "Why?")

    assert found(ledger, "why", limit=2) == ["q_119", "q_118"]
    assert len(found(ledger, "why", limit=1000)) == 120


def test_the_snippet_shows_what_the_first_line_does_not(ledger: Ledger) -> None:
    answer = f"{'x ' * 100}\x1b[2Jhold\n the  lock{' y' * 100}"
    ask(ledger, "q_1", "Why does it hang?\nIt hangs.", answer)

    (find,) = finds.find(ledger, ["hang", "LOCK"], 20)

    assert find.question == "Why does it hang?"
    assert find.snippet.startswith("…")
    assert "hold the lock y y" in find.snippet
    assert find.snippet.endswith("…")
    assert len(find.snippet) < 90


@pytest.mark.parametrize(
    "words", [[], ["", "  "], ["x"] * 21, ["x" * 201]], ids=["0", "blank", "21", "long"]
)
def test_too_few_or_too_many_words_are_refused(
    ledger: Ledger, words: list[str]
) -> None:
    with pytest.raises(ValueError, match="word"):
        finds.find(ledger, words, 20)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    data=st.data(),
)
def test_every_part_of_a_text_is_found(
    ledger: Ledger, text: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(text)))
    word = text[start : start + data.draw(st.integers(1, 20))].strip()
    number = len(found(ledger, "marker", limit=1000))
    ask(ledger, f"q_{number}", "marker", sent=text)

    hits = found(ledger, *([word] if word else ["marker"]), limit=1000)

    assert f"q_{number}" in hits
