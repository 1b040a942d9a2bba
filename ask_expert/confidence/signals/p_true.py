"""
Signal: probability that the model gives to `yes` when asked whether the answer is right.

Source:
    Kadavath et al. (2022), "Language Models (Mostly) Know What They Know", 2207.05221.
"""

import math
from collections.abc import Sequence

from ask_expert.confidence import prompts
from ask_expert.confidence.sitting import Sitting
from ask_expert.errors import SignalAbsentError
from ask_expert.local.answered import Request

_YES, _NO = "yes", "no"


async def measure(sitting: Sitting) -> float:
    """Measure it on the agent's draft, else on the model's own greedy answer."""
    turns = prompts.verify(sitting.problem.text, await sitting.answer())
    top = sitting.can.top_logprobs
    answered = await sitting.ask(Request(turns=turns, max_tokens=1, top_logprobs=top))
    tokens = answered.samples[0].tokens
    if not tokens:
        raise SignalAbsentError("the server told no token of its verdict")
    value = p_true(tokens[0].top)
    if value is None:
        raise SignalAbsentError(
            f"neither yes nor no is among the {len(tokens[0].top)} likeliest tokens"
        )
    return value


def p_true(alternatives: Sequence[tuple[str, float]]) -> float | None:
    """
    Return P(yes) / (P(yes) + P(no)); None when neither is among the alternatives.

    A tokenizer may cut the words, so that their beginnings count, in any case.
    """
    weight = {_YES: 0.0, _NO: 0.0}
    for text, logprob in alternatives:
        begun = text.strip().casefold()
        for word in weight:
            if begun and word.startswith(begun):
                weight[word] += math.exp(logprob)
    total = math.fsum(weight.values())
    return weight[_YES] / total if total > 0 else None
