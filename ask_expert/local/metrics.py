"""Read what a local server's `/metrics` page says; pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_SAMPLE = re.compile(
    r"^([A-Za-z_:][\w:]*)(?:\{[^\n]*\})? +(\S+)(?: +-?\d+)?$", re.MULTILINE
)

_VLLM = {
    "running": ("vllm:num_requests_running",),
    "waiting": ("vllm:num_requests_waiting",),
    "cache_used": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    "lookups": ("vllm:prefix_cache_queries_total", "vllm:prefix_cache_queries"),
    "hits": ("vllm:prefix_cache_hits_total", "vllm:prefix_cache_hits"),
    "prompt_tokens": ("vllm:prompt_tokens_total", "vllm:prompt_tokens"),
    "output_tokens": ("vllm:generation_tokens_total", "vllm:generation_tokens"),
}
_LLAMA_CPP = {
    "running": ("llamacpp:requests_processing",),
    "waiting": ("llamacpp:requests_deferred",),
    "cache_used": ("llamacpp:kv_cache_usage_ratio",),
    "prompt_tokens": ("llamacpp:prompt_tokens_total",),
    "output_tokens": ("llamacpp:tokens_predicted_total",),
}
_SHARE = "cache_used"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """
    What a server counts; each is None when it does not say.

    Counters count from the server's start.

    Attributes:
        running: Requests it works on.
        waiting: Requests in its queue.
        cache_used: Share of its key-value cache that is in use, in [0, 1]; of the
            fullest engine when there are several.
        lookups: Prompt tokens that were looked up in its prefix cache.
        hits: How many of them were there.
        prompt_tokens: Tokens of prompts.
        output_tokens: Tokens of answers.
    """

    running: float | None = None
    waiting: float | None = None
    cache_used: float | None = None
    lookups: float | None = None
    hits: float | None = None
    prompt_tokens: float | None = None
    output_tokens: float | None = None

    @property
    def hit_rate(self) -> float | None:
        """Share of prompt tokens that were found in the prefix cache, in [0, 1]."""
        if self.hits is None or not self.lookups:
            return None
        return self.hits / self.lookups


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """
    What happened between two readings.

    Attributes:
        seconds: Between them.
        prompt_tokens_per_s: Prompt tokens a second; None when it is not told.
        output_tokens_per_s: Answer tokens a second; None when it is not told.
        hit_rate: Share of the prompt tokens looked up in between that the prefix
            cache had; None when there were none.
    """

    seconds: float
    prompt_tokens_per_s: float | None
    output_tokens_per_s: float | None
    hit_rate: float | None


def parse(text: str) -> Metrics | None:
    """
    Return what a page in Prometheus's text format says; None when it says nothing.

    Several engines behind one server are added up.
    """
    totals: dict[str, float] = {}
    for name, value in _SAMPLE.findall(text):
        try:
            number = float(value)
        except ValueError:
            continue
        if number - number:  # infinite, or none
            continue
        before = totals.get(name, 0.0)
        is_share = any(name in names.get(_SHARE, ()) for names in (_VLLM, _LLAMA_CPP))
        totals[name] = max(before, number) if is_share else before + number
    for names in (_VLLM, _LLAMA_CPP):
        found = _named(totals, names)
        if found:
            return Metrics(**found)
    return None


def between(first: Metrics, second: Metrics, seconds: float) -> Rates:
    """
    Return what happened between two readings of one server.

    A counter that fell was set back by a new start: nothing is said of it.
    """
    lookups = _grown(first.lookups, second.lookups)
    hits = _grown(first.hits, second.hits)

    def rate(grown: float | None) -> float | None:
        return None if grown is None or seconds <= 0 else grown / seconds

    return Rates(
        seconds=seconds,
        prompt_tokens_per_s=rate(_grown(first.prompt_tokens, second.prompt_tokens)),
        output_tokens_per_s=rate(_grown(first.output_tokens, second.output_tokens)),
        hit_rate=None if hits is None or not lookups else hits / lookups,
    )


def _named(
    totals: Mapping[str, float], names: Mapping[str, tuple[str, ...]]
) -> dict[str, float]:
    found: dict[str, float] = {}
    for ours, theirs in names.items():
        told = [totals[each] for each in theirs if each in totals]
        found |= {ours: told[0]} if told else {}
    return found


def _grown(first: float | None, second: float | None) -> float | None:
    if first is None or second is None or second < first:
        return None
    return second - first
