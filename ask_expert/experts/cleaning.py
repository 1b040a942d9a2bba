"""Take out of a reply what no ledger, log or agent shall get: secrets, unseen characters."""

from dataclasses import replace

from ask_expert.answer_block import visible
from ask_expert.redaction import Marks, Masker
from ask_expert.reply import ExpertAnswer, Provenance

MOST_CHARS = 200
"""A name or id of a provider is not longer; what is, is no name."""

MOST_ANSWER_CHARS = 1_000_000
"""What is longer is no advice; an agent is shown far less."""


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
        request_id=word(told.request_id),
        region=word(told.region),
        finish_reason=word(told.finish_reason),
        rate_limits={
            word(name) or "": word(value) or ""
            for name, value in told.rate_limits.items()
        },
    )
    text = masker.mask(visible(plain(answer.text))[:MOST_ANSWER_CHARS], marks)
    return replace(answer, text=text, provenance=provenance)


def plain(text: str) -> str:
    """Return the text without null characters and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
