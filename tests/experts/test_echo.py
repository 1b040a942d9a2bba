import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.experts.echo import (
    keys_sent,
    text_without_key,
    without_end_of_key,
    without_key,
    without_start_of_key,
)

KEY = 'sk-"quoted"\\key-0123'


def test_a_key_is_taken_out_as_it_is_and_as_json_spells_it() -> None:
    body = f"{KEY} ".encode() + json.dumps({"text": KEY}).encode()

    assert without_key(body, KEY) == b'[key] {"text": "[key]"}'


@pytest.mark.parametrize("key", [None, "", "word"])
def test_a_key_that_may_be_a_word_is_left(key: str | None) -> None:
    assert without_key(b"a word", key) == b"a word"
    assert without_start_of_key("a word", key) == "a word"


@given(length=st.integers(0, len(KEY) - 1))
def test_a_key_that_broke_off_is_taken_out_from_its_fourth_letter_on(
    length: int,
) -> None:
    found = without_start_of_key(f"Yours: {KEY[:length]}", KEY)

    assert found == (f"Yours: {KEY[:length]}" if length < 4 else "Yours: [key]")


def test_what_a_signature_is_made_of_is_taken_for_a_key() -> None:
    headers = {
        "authorization": "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261122/bedrock, "
        "SignedHeaders=host;x-amz-date, Signature=0123456789abcdef",
        "x-amz-security-token": "FwoGZXIvYXdzEBYaDsecret==",
        "x-amz-date": "20261122T050426Z",
        "x-goog-user-project": "my-project",
    }

    assert set(keys_sent(headers, "the-key-itself")) == {
        "AKIDEXAMPLE/20261122/bedrock",
        "0123456789abcdef",
        "FwoGZXIvYXdzEBYaDsecret==",
        "the-key-itself",
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer ya29.c.Kl6iB0123=="},
        {"Authorization": "ya29.c.Kl6iB0123=="},
        {"api-key": "ya29.c.Kl6iB0123=="},
        {"x-goog-api-key": "ya29.c.Kl6iB0123=="},
    ],
)
def test_the_scheme_before_a_token_is_no_part_of_it(headers: dict[str, str]) -> None:
    assert keys_sent(headers, None) == ("ya29.c.Kl6iB0123==",)


@given(escaped=st.sets(st.integers(0, len(KEY) - 1)))
def test_a_key_is_found_however_json_escapes_it(escaped: set[int]) -> None:
    letters = [
        f"\\u{ord(each):04x}" if place in escaped else json.dumps(each)[1:-1]
        for place, each in enumerate(KEY)
    ]
    body = f'{{"cost": 0.10, "text": "{"".join(letters)}"}}'.encode()

    assert without_key(body, KEY) == b'{"cost": 0.10, "text": "[key]"}'


@pytest.mark.parametrize("unseen", ["\u200b", "\x1b[31m", "\ufeff"])
def test_a_key_that_unseen_characters_take_apart_is_found(unseen: str) -> None:
    apart = f"{KEY[:6]}{unseen}{KEY[6:]}"

    assert text_without_key(f"Yours: {apart}", KEY) == "Yours: [key]"
    assert json.loads(without_key(json.dumps([apart]).encode(), KEY)) == ["[key]"]
    assert without_start_of_key(f"Yours: {apart[:-2]}", KEY) == "Yours: [key]"


def test_a_text_without_a_key_stays_as_it_is() -> None:
    text = "na\u00efve \u200b\u00abquoted\u00bb \\u0041"
    body = json.dumps({"text": text}, ensure_ascii=False).encode()

    assert text_without_key(text, KEY) == text
    assert without_key(body, KEY) == body


def test_a_key_whose_beginning_was_cut_off_is_taken_out() -> None:
    assert without_end_of_key(f"{KEY[5:]} is wrong", KEY) == "[key] is wrong"
    assert without_end_of_key("is wrong", KEY) == "is wrong"
