"""Take the samples that vote; three signals read them."""

from ask_expert.confidence import prompts
from ask_expert.confidence.sitting import ANSWER_TOKENS, TEMPERATURE, Sitting
from ask_expert.confidence.votes import Votes, further
from ask_expert.errors import SignalAbsentError
from ask_expert.local.answered import Request, Sample

_FEWEST = 2


async def voted(sitting: Sitting) -> Votes:
    """
    Return the votes of sampled answers, taken once.

    Raises:
        SignalAbsentError: None of them can be read, or there is one alone.
        LocalModelError: The server gave no usable answer.
    """
    return await sitting.once("votes", lambda: _taken(sitting))


async def _taken(sitting: Sitting) -> Votes:
    if sitting.samples < _FEWEST:
        raise SignalAbsentError("one sample alone shows no agreement")
    taken: list[Sample] = []
    votes = Votes(groups=())
    while more := further(votes.counts, left=sitting.samples - len(taken)):
        came = await _more(sitting, more, len(taken), has_some=len(taken) >= _FEWEST)
        if not came:
            break
        taken += came
        votes = Votes(groups=await sitting.groups(taken))
    if not votes.counts:
        what = sitting.comparison.kind if sitting.comparison else "answer"
        raise SignalAbsentError(f"none of {len(taken)} samples holds a whole {what}")
    if len(taken) < _FEWEST:
        raise SignalAbsentError("one sample alone shows no agreement")
    return votes


async def _more(
    sitting: Sitting, count: int, before: int, *, has_some: bool
) -> tuple[Sample, ...]:
    """Return further samples; none where the tokens are used up and some are there."""
    request = Request(
        turns=prompts.solve(sitting.problem.text),
        max_tokens=ANSWER_TOKENS,
        n=count,
        temperature=TEMPERATURE,
        seed=sitting.seed + before,
        top_logprobs=sitting.listing,
    )
    try:
        return (await sitting.ask(request)).samples
    except SignalAbsentError:
        if has_some:
            return ()
        raise
