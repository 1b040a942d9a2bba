"""What a prompt alone tells before anybody has answered it."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ask_expert.confidence.calibration.libraries import library
from ask_expert.confidence.calibration.metrics import Floats

CHARACTERS_UP_TO = 2_000_000
"""Character n-grams are used for tables of at most so many characters: they are slow."""

_TAKEN_CHARS = 20_000
_BUCKETS = 2**18
_NUMBER = re.compile(r"\d[\d.,]*")
_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"[.!?](?:\s|$)")
_CLAUSE = re.compile(
    r"[,;:]|\b(?:and|but|if|when|while|which|that|than|because)\b", re.IGNORECASE
)
_RATIO = re.compile(
    r"\b(?:half|twice|double|triple|third|quarter|percent|times|more|less|each|every"
    r"|per|rest|remaining)\b",
    re.IGNORECASE,
)
_NEGATION = re.compile(r"\b(?:not|except|never|no|neither|nor)\b", re.IGNORECASE)
_MONEY = re.compile(r"[%$€£]")
_OPERATOR = re.compile(r"[+\-*/=<>^]")
_MARK = re.compile(r"[^\w\s]")
_MOST_DIGITS = 15


def length(prompts: Sequence[str]) -> Floats:
    """Return each prompt's length in characters."""
    return np.array([float(len(each)) for each in prompts])


def shape(prompts: Sequence[str]) -> Floats:
    """
    Return a few cheap numbers a prompt: lengths, numbers, clauses, negations.

    Counts are taken as log(1 + count), so that a long prompt does not drown the rest.
    Shape: (prompts, features).
    """
    return np.array([_shape(each[:_TAKEN_CHARS]) for each in prompts])


def _shape(text: str) -> list[float]:
    words = _WORD.findall(text)
    numbers = _NUMBER.findall(text)
    lines = [len(each) for each in text.split("\n")]
    chars, count = max(len(text), 1), max(len(words), 1)
    digits = [re.sub(r"[.,]", "", each)[:_MOST_DIGITS] for each in numbers]
    largest = max((float(each) for each in digits if each.isdecimal()), default=0.0)
    counts = [
        len(text),
        len(words),
        text.count("\n"),
        len(numbers),
        len(_SENTENCE.findall(text)),
        len(_CLAUSE.findall(text)),
        text.count("?"),
        len(_MONEY.findall(text)),
        len(_OPERATOR.findall(text)),
        len(_RATIO.findall(text)),
        len(_NEGATION.findall(text)),
        len(_MARK.findall(text)),
        largest,
        max(lines),
        min(lines),
    ]
    spread = float(np.std(lines)) / chars
    shares = [
        spread,
        sum(map(str.isdigit, text)) / chars,
        sum(map(str.isupper, text)) / chars,
        sum(map(len, words)) / count,
        len({each.lower() for each in words}) / count,
    ]
    return [*(float(np.log1p(each)) for each in counts), *shares]


def word_counts(prompts: Sequence[str]) -> Any:
    """Return a sparse matrix of hashed counts of runs of one to three words and marks."""
    pattern = r"(?u)\w+|[^\w\s]"
    return _hashed(prompts, ngram_range=(1, 3), token_pattern=pattern)


def character_counts(prompts: Sequence[str]) -> Any | None:
    """Return the same of 2 to 5 characters within words; None when it is too much."""
    if sum(min(len(each), _TAKEN_CHARS) for each in prompts) > CHARACTERS_UP_TO:
        return None
    return _hashed(prompts, analyzer="char_wb", ngram_range=(2, 5))


def _hashed(prompts: Sequence[str], **options: object) -> Any:
    """Hashing learns nothing from the rows, so that no fold leaks into another."""
    text = library("sklearn.feature_extraction.text")
    vectorizer = text.HashingVectorizer(
        n_features=_BUCKETS, alternate_sign=False, norm=None, **options
    )
    return vectorizer.transform([each[:_TAKEN_CHARS] for each in prompts])
