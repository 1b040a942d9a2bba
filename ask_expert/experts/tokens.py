"""
An upper bound of the tokens in some bytes, without any tokenizer.

No vendor ships a tokenizer that works offline for its newest models, so tokens
are bounded, not counted. What is likely is told too, and never used for money.
"""

import re

from ask_expert.question import Prompt, Turn

_CHEAP = b"abcdefghilmnoprstuvwy "
_UNBROKEN = re.compile(rb"[A-Za-z0-9+/_=-]{32,}|[a-z]{16,}")
_ROLE = b'"role":'
_PER_MESSAGE = 16
_PER_REQUEST = 200
_FINE = (13, 10)
_TOKENIZER: dict[str, tuple[int, int]] = dict.fromkeys(
    ("openai_chat", "openai_responses", "gemini", "vertex_gemini", "command"), (1, 1)
)


def text_bound(data: bytes) -> int:
    """
    Return the most tokens that a byte-level tokenizer makes of `data`.

    No token is shorter than one byte. Common lower-case letters and spaces count
    five tokens in nine bytes, which also bounds words of random letters; digits,
    punctuation, capitals, rare letters, unbroken runs such as base64, and all
    outside ASCII count a token a byte.

    Source:
        Bytes a token under o200k, measured with bpe-openai 0.1.4 on 2026-11-21:
        English 4.2, Python 4.3, random consonants 1.88, hex 1.75, Chinese
        characters at random 1.57, punctuation at random 1.52, base64 1.46.
    """
    cheap = _cheap(data)
    for run in _UNBROKEN.finditer(data):
        cheap -= _cheap(run.group())
    return len(data) - cheap * 4 // 9


def upper_bound_tokens(body: bytes, *, api: str) -> int:
    """
    Return the most input tokens that a request body can be billed for.

    Args:
        body: The final JSON; its own syntax counts too, which errs on the safe side.
        api: Wire format; Anthropic's tokenizer makes about 30 % more tokens, and
            OpenRouter, a cloud or an adapter that is not ours may ask it.
    """
    times, over = _TOKENIZER.get(api, _FINE)
    messages = body.count(_ROLE) + 1  # the system text counts as one
    scaled = -(-text_bound(body) * times // over)
    return scaled + messages * _PER_MESSAGE + _PER_REQUEST


def turn_bound(turn: Turn) -> int:
    """Return the most tokens of one message of a conversation."""
    return text_bound(turn.text.encode(errors="replace")) + _PER_MESSAGE


def prompt_bound(prompt: Prompt) -> int:
    """Return the most tokens of a prompt's texts, as `send.max_tokens` counts them."""
    system = text_bound(prompt.system.encode(errors="replace"))
    return system + sum(map(turn_bound, prompt.turns))


def likely_tokens(body: bytes) -> int:
    """
    Return about how many tokens a request body has.

    An estimate, which may be too low: only good for choosing an expert whose window
    fits, before its price is known. Money is bounded by `upper_bound_tokens`.

    Source:
        3.5 bytes of ASCII a token and 2 of anything else, which is on the high side
        of the prose and code that `text_bound` names.
    """
    plain = len(body.decode("ascii", "ignore"))
    other = len(body) - plain
    return -(-(4 * plain + 7 * other) // 14)


def _cheap(data: bytes) -> int:
    return len(data) - len(data.translate(None, _CHEAP))
