"""The state of local servers as people read it."""

from collections.abc import Iterator

from ask_expert.local.state import State

HEAD = ("server", "model", "state", "queue", "cache", "prefix hits", "tokens/s")
_UNKNOWN = "-"


def cells(state: State) -> tuple[str, ...]:
    """Return the cells of a server's row."""
    counted, rates = state.metrics, state.rates
    queue = _UNKNOWN
    if counted is not None and counted.running is not None:
        queue = f"{counted.running:g} running"
        queue += f", {counted.waiting:g} waiting" if counted.waiting is not None else ""
    speed = rates.output_tokens_per_s if rates else None
    return (
        state.name,
        state.model,
        _state(state),
        queue,
        _share(counted.cache_used if counted else None),
        _share(counted.hit_rate if counted else None),
        _UNKNOWN if speed is None else f"{speed:.1f}",
    )


def sentences(state: State) -> Iterator[str]:
    """Yield what the row has no room for: what was measured when, and what is not known."""
    if state.models and state.model not in state.models:
        yield f"it serves {', '.join(state.models)}, not {state.model}"
    if state.window:
        yield f"window of {state.window:,} tokens"
    rates = state.rates
    if rates is not None:
        read = rates.prompt_tokens_per_s
        took = f", {read:.1f} prompt tokens/s" if read is not None else ""
        hits = f", {_share(rates.hit_rate)} of them from the prefix cache"
        hits = hits if rates.hit_rate is not None else ""
        yield f"measured over {rates.seconds:.1f} s{took}{hits}"
    for why in dict.fromkeys(state.lacking.values()):
        yield f"not known: {why}"


def _state(state: State) -> str:
    if not state.answers:
        return "DOWN"
    if state.healthy is False:
        return "UNHEALTHY"
    if not state.sound:
        return "OTHER MODEL"
    return "healthy" if state.healthy else "answers"


def _share(share: float | None) -> str:
    return _UNKNOWN if share is None else f"{share:.1%}"
