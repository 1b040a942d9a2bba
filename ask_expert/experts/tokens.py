"""
An upper bound of the tokens in some bytes, without any tokenizer.

No vendor ships a tokenizer that works offline for its newest models, so tokens
are bounded, not counted.
"""

import re

_CHEAP = b"abcdefghilmnoprstuvwy "
_UNBROKEN = re.compile(rb"[A-Za-z0-9+/_=-]{32,}|[a-z]{16,}")
_ROLE = b'"role":'
_PER_MESSAGE = 16
_PER_REQUEST = 200
_TOKENIZER = {"anthropic": (13, 10), "openrouter": (13, 10)}


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
            OpenRouter may ask it.
    """
    times, over = _TOKENIZER.get(api, (1, 1))
    messages = body.count(_ROLE) + 1  # the system text counts as one
    scaled = -(-text_bound(body) * times // over)
    return scaled + messages * _PER_MESSAGE + _PER_REQUEST


def _cheap(data: bytes) -> int:
    return len(data) - len(data.translate(None, _CHEAP))
