"""Whatever a text holds, both databases keep it alike."""

import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ask_expert.ledger import export
from ask_expert.ledger.columns import as_json, clean, storable
from ask_expert.ledger.records import End, Granted
from ask_expert.ledger.store import Ledger
from ask_expert.report import finds
from tests.ledger.support import ANSWER, NOW, charge, question, request, tokens


@given(st.text())
def test_only_what_no_database_takes_is_replaced(text: str) -> None:
    stored = storable(text)

    stored.encode()
    assert "\0" not in stored
    assert len(stored) == len(text)
    assert storable(stored) == stored
    assert all(b in (a, "\ufffd") for a, b in zip(text, stored, strict=True))


@given(st.recursive(st.none() | st.booleans() | st.text(), st.lists))
def test_json_is_cleaned_wherever_a_text_stands(value: object) -> None:
    document = as_json({"key": value})

    assert json.loads(document) == {"key": clean(value)}
    assert r"\u0000" not in document.replace(r"\\", "")


@pytest.mark.parametrize("text", ["a\0b", "half \ud83d of a pair", "whole 😀 pair"])
def test_an_answer_that_was_paid_for_is_kept_whatever_it_holds(
    ledger: Ledger, text: str
) -> None:
    asked = question(texts={"question": text, "sent": text})
    granted = ledger.reserve(asked, request(5), ceiling=tokens)
    assert isinstance(granted, Granted)

    end = End(now_us=NOW, status="answered", stored_answer=text)
    ledger.settle(granted.try_id, ANSWER, charge(5), end=end)

    found = ledger.standing(asked.id, None)
    assert found is not None
    assert found.answer == storable(text)
    file = io.StringIO()
    assert export.write(ledger, "jsonl", file) == 1
    assert json.loads(file.getvalue())["question"] == storable(text)
    assert [each.id for each in finds.find(ledger, [text[-1]], 5)] == [asked.id]


TEXTS = st.text(st.sampled_from("aAbBkKiI\u212a\u0130\u0131äÄßſ%_\\ x"), max_size=8)


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=TEXTS, word=TEXTS.filter(str.strip))
def test_a_search_finds_what_python_finds_in_either_database(
    ledger: Ledger, text: str, word: str
) -> None:
    asked = question(texts={"question": text}, status="stay_local")
    ledger.record(asked)

    found = [each.id for each in finds.find(ledger, [word], 100_000)]

    assert (asked.id in found) == (word.strip().lower() in text.lower())
