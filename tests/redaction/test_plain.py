import pytest

from ask_expert.redaction.plain import without_secrets

KEY = "sk-proj-Zz9Yy8Xx7Ww6Vv5Uu4Tt3Ss2"


def test_a_key_in_a_sentence_of_ours_becomes_a_mark() -> None:
    shown = without_secrets(f"'experts.0.api': cannot be '{KEY}'; known: gemini")

    assert shown == ("'experts.0.api': cannot be '«SECRET:openai_key»'; known: gemini")


@pytest.mark.parametrize(
    "sentence",
    [
        "/home/me/settings.yaml:5: 'experts.0.key_env': give the name of a variable",
        "There is no question 'q_7574sty1y99b' here.",
        "OPENAI_API_KEY is not set: export OPENAI_API_KEY=..., or name another variable",
    ],
)
def test_a_sentence_without_a_secret_stays_as_it_is(sentence: str) -> None:
    assert without_secrets(sentence) == sentence
