"""What befalls each request of the chaos run: drawn beforehand, by a fixed seed."""

from dataclasses import dataclass
from random import Random
from typing import Any

from tests.fakes.shapes import Behaviour

CHANCE = 0.55
"""
Share of requests that is dealt a fault.

What befalls a stream spares a request for a reply in one piece, so about 40 % meet
their fault: the run prints how many did.
"""

GOOD = "whole"
_STATUSES = (400, 401, 402, 403, 404, 408, 409, 413, 429, 500, 502, 503, 504, 529)
_WAITS = {429, 503, 529}

FAULTS: dict[str, dict[str, Any]] = {
    **{
        str(status): {
            "status": status,
            "retry_after": "0" if status in _WAITS else None,
        }
        for status in _STATUSES
    },
    "429, no quota": {"status": 429, "code": "insufficient_quota"},
    "invalid JSON": {"fault": "invalid_json"},
    "HTML page, 200": {"fault": "html"},
    "HTML page, 502": {"fault": "html", "status": 502},
    "empty body": {"fault": "empty"},
    "empty choices": {"fault": "empty_choices"},
    "error in a 200": {"fault": "error_in_success"},
    "cut body": {"fault": "cut"},
    "reset before the first byte": {"fault": "reset"},
    "gzip bomb": {"fault": "gzip_bomb"},
    "redirect to another host": {"fault": "redirect"},
    "slow loris": {"fault": "slow_loris"},
    "usage missing": {"usage": "none"},
    "usage absurd": {"usage": "absurd"},
    "usage negative": {"usage": "negative"},
    "refusal": {"finish": "refusal"},
    "content filter": {"finish": "content_filter"},
    "stream: cut before the text": {"fault": "stream_cut_first"},
    "stream: cut in the text": {"fault": "stream_cut"},
    "stream: cut before the usage": {"fault": "stream_cut_before_counts"},
    "stream: ends in the text": {"fault": "stream_ends_early"},
    "stream: reset in the text": {"fault": "stream_reset"},
    "stream: stalls in the text": {"fault": "stream_stall"},
    "stream: comments only": {"fault": "stream_comments"},
    "stream: error before the text": {"fault": "stream_error_first"},
    "stream: error in the text": {"fault": "stream_error_after"},
    "stream: no JSON in the text": {"fault": "stream_garbage"},
    "stream: gzip bomb": {"fault": "stream_gzip_bomb"},
}
"""By name in the table."""

DECK = sorted([*FAULTS, *(name for name in FAULTS if name.startswith("stream: "))])
"""What is dealt from; faults of streams are in it twice, since half are spared."""

_TEXT_IS_WHOLE = {None, "stream_cut_before_counts"}
_NO_ANSWER = {"refusal", "content_filter"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """
    What one request meets.

    Attributes:
        name: Its fault's name in the table, or `GOOD`.
        behaviour: What the provider does.
    """

    name: str
    behaviour: Behaviour

    def spares(self, *, streamed: bool) -> bool:
        """Return whether the fault passes a request by."""
        fault = self.behaviour.fault or ""
        return self.name == GOOD or (fault.startswith("stream_") and not streamed)

    def text_is_whole(self, *, streamed: bool) -> bool:
        """Return whether all of an answer's text is sent, and so must be kept."""
        behaviour = self.behaviour
        sent = self.spares(streamed=streamed) or behaviour.fault in _TEXT_IS_WHOLE
        return sent and behaviour.status == 200 and behaviour.finish not in _NO_ANSWER


def draw(seed: int, count: int, *, away: str) -> list[Met]:
    """
    Return what the requests meet, in their order of arrival.

    Faults are dealt from a shuffled deck, so that each comes about as often.

    Args:
        seed: Of the draw.
        count: How many requests to draw for.
        away: Where redirects lead.
    """
    rng = Random(seed)  # noqa: S311  # a repeatable draw
    deck: list[str] = []
    drawn: list[Met] = []
    for number in range(count):
        name = GOOD
        if rng.random() < CHANCE:
            deck = deck or rng.sample(DECK, len(DECK))
            name = deck.pop()
        output = rng.randint(20, 1500)
        behaviour = Behaviour(
            text=text(number),
            input_tokens=rng.randint(50, 400),
            cache_read_tokens=rng.choice([0, 0, 150]),
            output_tokens=output,
            reasoning_tokens=rng.randint(0, output // 2),
            location=away,
            **FAULTS.get(name, {}),
        )
        drawn.append(Met(name=name, behaviour=behaviour))
    return drawn


def text(number: int) -> str:
    """Return the answer to the request of that number, unlike any other."""
    return (
        f"Advice {number}: hold the lock around the counter while it is read and "
        f"written, then run the failing test again {number % 7 + 1} times."
    )
