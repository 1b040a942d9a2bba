import base64
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.experts import tokens
from ask_expert.experts.tokens import (
    likely_tokens,
    prompt_bound,
    text_bound,
    upper_bound_tokens,
)
from ask_expert.question import Prompt, Turn

BLOB = b"".join(hashlib.sha256(bytes([n])).digest() for n in range(64))
CODE = Path(tokens.__file__).read_text(encoding="utf-8")
ENGLISH = "the quick brown fox asks a stronger model when it is stuck " * 40
# Bytes a token under o200k, measured; the bound must not be under bytes / ratio.
SAMPLES = {
    "English": (ENGLISH, 4.2),
    "Python": (CODE, 4.3),
    "JSON": (json.dumps([{"id": n, "name": "x"} for n in range(99)]), 3.3),
    "Chinese": ("锁的顺序不同会导致死锁。" * 50, 4.1),
    "emoji": ("🧠🚀🎉" * 100, 1.96),
    "hex": (BLOB.hex(), 1.75),
    "base64": (base64.b64encode(BLOB).decode(), 1.46),
    "punctuation": ("!@#$%^&*()[]{}<>?/|~`" * 50, 1.52),
    "rare letters": ("xqzkjwvq zzqxjkvw " * 60, 1.70),
    "consonants": ("bdfghlmnpw wpnmlhgfdb " * 60, 1.88),
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_no_kind_of_text_has_more_tokens_than_its_bound(kind: str) -> None:
    text, bytes_per_token = SAMPLES[kind]
    data = text.encode()

    assert text_bound(data) >= len(data) / bytes_per_token


@pytest.mark.parametrize("kind", ["base64", "hex", "emoji", "Chinese", "punctuation"])
def test_dense_text_counts_a_token_a_byte(kind: str) -> None:
    data = SAMPLES[kind][0].encode()

    assert text_bound(data) == len(data)


def test_plain_words_are_let_off() -> None:
    data = ENGLISH.encode()

    assert text_bound(data) < 0.7 * len(data)


@given(st.binary(max_size=2000))
def test_the_bound_lies_between_half_the_bytes_and_all_of_them(data: bytes) -> None:
    assert len(data) / 2 <= text_bound(data) <= len(data)


@given(st.binary(max_size=500), st.binary(max_size=500))
def test_more_text_never_has_a_much_lower_bound(one: bytes, two: bytes) -> None:
    assert text_bound(one + two) >= text_bound(one) - 1


def test_anthropic_s_tokenizer_is_allowed_a_third_more() -> None:
    body = b"9" * 1000

    openai = upper_bound_tokens(body, api="openai_chat")
    anthropic = upper_bound_tokens(body, api="anthropic")

    assert (openai, anthropic) == (1000 + 216, 1300 + 216)


def test_every_message_has_its_overhead() -> None:
    one = b'{"messages":[{"role":"user"}]}'
    two = b'{"messages":[{"role":"user"},{"role":"user"}]}'

    more = upper_bound_tokens(two, api="openai_chat") - upper_bound_tokens(
        one, api="openai_chat"
    )

    assert more >= 16


@pytest.mark.parametrize("kind", ["English", "Python", "JSON", "Chinese"])
def test_what_is_likely_is_near_what_was_measured(kind: str) -> None:
    text, bytes_per_token = SAMPLES[kind]
    data = text.encode()

    measured = len(data) / bytes_per_token

    assert 0.9 * measured < likely_tokens(data) < 2.1 * measured


@given(st.binary(max_size=500))
def test_what_is_likely_is_never_above_the_bound(data: bytes) -> None:
    assert likely_tokens(data) <= text_bound(data)


@given(st.text(), st.lists(st.text(), max_size=4))
def test_a_prompt_s_bound_holds_for_all_its_texts(
    system: str, texts: list[str]
) -> None:
    turns = tuple(Turn(role="user", text=text) for text in texts)
    data = "".join((system, *texts)).encode(errors="replace")

    bound = prompt_bound(Prompt(system=system, turns=turns))

    assert bound >= text_bound(data) - len(turns)
    assert bound <= len(data) + 16 * len(turns)


def test_ten_megabytes_are_bounded_at_once() -> None:
    assert upper_bound_tokens(b"a" * 10_000_000, api="openai_chat") > 10_000_000
