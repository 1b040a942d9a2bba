import pytest

from ask_expert.experts.cleaning import masked_answer
from ask_expert.redaction import Marks, Masker
from ask_expert.reply import ExpertAnswer, Provenance, Usage

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
