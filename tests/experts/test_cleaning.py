import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.errors import ExpertRejectedError
from ask_expert.experts.cleaning import (
    MOST_CHARS,
    MOST_TOLD_CHARS,
    masked_answer,
    masked_error,
    masked_id,
)
from ask_expert.redaction import Marks, Masker
from ask_expert.reply import ExpertAnswer, Provenance, Usage
from tests.fakes.ids import generation_id, hexadecimal, letters

KEY = "correcthorsebatterystaple"
MASKER = Masker(known={"key of flagship": KEY})


def cleaned(text: str, told: Provenance) -> ExpertAnswer:
    answer = ExpertAnswer(text=text, usage=Usage(), provenance=told)
    return masked_answer(answer, MASKER, Marks(key=b"home"))


@pytest.mark.parametrize("unseen", ["\u200b", "\u00ad", "\x1b[31m", "\0"])
def test_a_key_that_unseen_characters_take_apart_is_masked(unseen: str) -> None:
    apart = f"{KEY[:9]}{unseen}{KEY[9:]}"

    answer = cleaned(f"Yours: {apart}", Provenance(asked_model="m", request_id=apart))

    assert answer.text.startswith("Yours: \u00abSECRET:")
    assert str(answer.provenance.request_id).startswith("\u00abSECRET:")
    assert KEY[9:] not in f"{answer.text} {answer.provenance.request_id}"


def test_a_key_is_masked_in_the_name_of_a_rate_limit() -> None:
    limits = {f"x-ratelimit-{KEY}": "1"}

    answer = cleaned("Hi.", Provenance(asked_model="m", rate_limits=limits))

    (name,) = answer.provenance.rate_limits
    assert KEY not in name
    assert "SECRET" in name


@pytest.mark.parametrize("before", [MOST_TOLD_CHARS - each for each in (1, 9, 23)])
def test_a_key_that_the_cut_of_an_error_goes_through_leaves_no_half(
    before: int,
) -> None:
    told = f"{'x' * (before - 1)} {KEY} {'y' * 300}"
    raw = ExpertRejectedError("dear", f"HTTP 400: {told}. Check `model`.", told=told)

    message = str(masked_error(raw, MASKER))

    assert not any(KEY[:length] in message for length in range(4, len(KEY)))
    assert message.startswith("dear: HTTP 400: xxx")
    assert message.endswith("\u2026. Check `model`.")
    assert len(message) < MOST_TOLD_CHARS + 60


def test_the_words_of_a_short_error_stay_whole_and_a_key_in_them_is_masked() -> None:
    raw = ExpertRejectedError("dear", f"HTTP 401: {KEY} is wrong.", told=f"{KEY} is")

    message = str(masked_error(raw, MASKER))

    assert message.startswith("dear: HTTP 401: \u00abSECRET:")
    assert message.endswith(" is wrong.")


REQUEST_IDS = (
    generation_id(0),
    f"chatcmpl-{letters(0, 29)}",
    f"msg_01{letters(0, 22)}",
    f"resp_{hexadecimal(0, 48)}",
    f"req_011{letters(1, 21)}",
    "791bcf62-080e-4568-87d0-94c72e3b4946",
)


@pytest.mark.parametrize("told", REQUEST_IDS)
def test_the_id_of_a_request_stays_though_it_looks_random(told: str) -> None:
    error = ExpertRejectedError("dear", "HTTP 400.", request_id=told)

    answer = cleaned("Hi.", Provenance(asked_model="m", request_id=told))

    assert answer.provenance.request_id == told
    assert masked_error(error, MASKER).request_id == told
    assert masked_id(told, MASKER) == told


@given(st.integers(0, 10**9))
def test_no_id_of_a_generation_is_taken_for_a_secret(number: int) -> None:
    told = generation_id(number)

    assert masked_id(told, MASKER) == told


@pytest.mark.parametrize(
    "secret",
    [KEY, f"gen-{KEY}", f"req_{KEY}.1", f"sk-ant-api03-{letters(0, 93)}AA"],
    ids=["known", "known behind a prefix", "known within", "shows what it is"],
)
def test_a_key_that_comes_back_as_the_id_of_a_request_is_masked(secret: str) -> None:
    error = ExpertRejectedError("dear", "HTTP 400.", request_id=secret)

    answer = cleaned("Hi.", Provenance(asked_model="m", request_id=secret))

    kept = (answer.provenance.request_id, masked_error(error, MASKER).request_id)
    assert all("SECRET:" in str(each) for each in kept)
    assert not any(part in str(kept) for part in (KEY, letters(0, 93)))


def test_what_has_not_the_form_of_an_id_is_masked_like_any_word() -> None:
    told = f"{generation_id(0)}\n{'x ' * 200}"

    kept = str(masked_id(told, MASKER))

    assert kept.startswith("\u00abSECRET:high_entropy\u00bb x x")
    assert len(kept) == MOST_CHARS
