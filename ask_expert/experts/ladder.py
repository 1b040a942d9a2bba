"""
Which experts a question may be put to, and in which order; pure.

Cheapest first. A follow-up stays with the expert of its thread. Where an answer did
not help, the next one up is asked. Whoever is below comes last, for an outage above.
"""

from collections.abc import Sequence

from ask_expert.settings import ExpertSettings


def rungs(
    ladder: Sequence[ExpertSettings],
    *,
    answered_by: Sequence[str] = (),
    thread_expert: str | None = None,
) -> tuple[ExpertSettings, ...]:
    """
    Return the experts in the order in which they are asked, until one answers.

    Args:
        ladder: The policy's experts, cheapest first.
        answered_by: Experts whose answers did not help: the first one above all of
            them is asked; the topmost again where there is none above.
        thread_expert: Who answered last in the thread: asked first if nothing else
            says where to begin.
    """
    places = {expert.name: place for place, expert in enumerate(ladder)}
    climbed = [places[name] for name in answered_by if name in places]
    start = 0
    if climbed:
        start = min(max(climbed) + 1, len(ladder) - 1)
    elif thread_expert in places:
        start = places[thread_expert]
    return (*ladder[start:], *reversed(ladder[:start]))


def next_cheaper(
    cheapest_first: Sequence[ExpertSettings],
    expert: ExpertSettings,
    waiting: Sequence[ExpertSettings],
) -> ExpertSettings | None:
    """Return the next one down the ladder from an expert that was not asked yet."""
    names = [each.name for each in cheapest_first]
    if expert.name not in names:
        return None
    below = names[: names.index(expert.name)]
    found = {each.name: each for each in waiting}
    return next((found[name] for name in reversed(below) if name in found), None)


def too_long(expert: ExpertSettings, *, likely_tokens: int, least: int) -> bool:
    """
    Return whether a request does not fit into an expert's context window.

    Args:
        expert: Who would be asked.
        likely_tokens: What the input likely has; no bound, so that nobody is passed
            over who would do.
        least: Output tokens below which an answer is of no use.
    """
    window = expert.context_window
    return window is not None and likely_tokens + least > window
