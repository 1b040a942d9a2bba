"""Take out of a reply what no ledger, log or agent shall get: secrets, unseen characters."""

import re
from dataclasses import replace
from typing import overload

from ask_expert.answer_block import visible
from ask_expert.errors import ExpertError
from ask_expert.redaction import Marks, Masker
from ask_expert.reply import ExpertAnswer, Provenance

MOST_CHARS = 200
"""A name or id of a provider is not longer; what is, is no name."""

MOST_TOLD_CHARS = 300
"""What a provider says of an error is cut to this in a message."""

MOST_ANSWER_CHARS = 1_000_000
"""What is longer is no advice; an agent is shown far less."""

_ID = re.compile(rf"[A-Za-z0-9_.:-]{{1,{MOST_CHARS}}}", re.ASCII)


def masked_answer(answer: ExpertAnswer, masker: Masker, marks: Marks) -> ExpertAnswer:
    """
    Return the answer with every secret in it masked, wherever a provider put it.

    A server that quotes the key back, in its text, its names or its headers, must
    not carry it into the ledger or to the agent. Characters that nobody sees are
    taken out first: between its letters they would hide it from the masker.
    """

    def word(text: str | None) -> str | None:
        if text is None:
            return None
        one_line = " ".join(masker.scrub(visible(plain(text))).split())
        return one_line[:MOST_CHARS]

    told = answer.provenance
    provenance = Provenance(
        asked_model=told.asked_model,
        served_model=word(told.served_model),
        fingerprint=word(told.fingerprint),
        service_tier=word(told.service_tier),
        provider=word(told.provider),
        request_id=masked_id(told.request_id, masker),
        region=word(told.region),
        finish_reason=word(told.finish_reason),
        rate_limits={
            word(name) or "": word(value) or ""
            for name, value in told.rate_limits.items()
        },
    )
    text = masker.mask(visible(plain(answer.text))[:MOST_ANSWER_CHARS], marks)
    return replace(answer, text=text, provenance=provenance)


def masked_error(error: ExpertError, masker: Masker) -> ExpertError:
    """
    Return the error with every secret in it masked, and the provider's words cut.

    They are cut last: of a key that a cut goes through the masker would see a half,
    and let it pass.
    """

    def word(text: str) -> str:
        return masker.scrub(plain(text))

    def message(text: str) -> str:
        if len(error.told) <= MOST_TOLD_CHARS:
            return word(text)
        before, told, after = text.partition(error.told)
        said = word(told)
        if len(said) > MOST_TOLD_CHARS:
            said = f"{said[: MOST_TOLD_CHARS - 1]}…"
        return f"{word(before)}{said}{word(after)}"

    error.args = tuple(
        message(each) if isinstance(each, str) else each for each in error.args
    )
    if error.request_id is not None:
        error.request_id = masked_id(error.request_id, masker)
    return error


@overload
def masked_id(told: str, masker: Masker) -> str: ...
@overload
def masked_id(told: None, masker: Masker) -> None: ...
def masked_id(told: str | None, masker: Masker) -> str | None:
    """
    Return the id of a request with every sure secret in it masked.

    An id is random letters by its nature, and a masked one can be asked for no more:
    only known values, and kinds that show what they are, are taken for secrets in it.
    What has not the plain form of an id is masked like any other word.
    """
    if told is None:
        return None
    if _ID.fullmatch(told):
        return masker.scrub_sure(told)
    one_line = " ".join(masker.scrub(visible(plain(told))).split())
    return one_line[:MOST_CHARS]


def plain(text: str) -> str:
    """Return the text without null characters and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
