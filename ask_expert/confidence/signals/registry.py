"""The signals that the local model is asked for, cheapest first."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ask_expert.confidence.signals import (
    changed_assumption,
    draft_logprob,
    follow_up,
    logprob_margin,
    low_logprob,
    lowest_group,
    mean_logprob,
    min_logprob,
    model_agreement,
    p_true,
    paraphrase_agreement,
    self_verification,
    style_agreement,
    tail_confidence,
    token_entropy,
    vote_entropy,
    vote_margin,
    vote_share,
)
from ask_expert.confidence.sitting import Sitting
from ask_expert.local.probe import Capabilities

Measure = Callable[[Sitting], Awaitable[float]]
"""
Returns a signal's value.

Raises:
    SignalAbsentError: It cannot be measured; the text is the reason.
    LocalModelError: The server gave no usable answer.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """
    How one signal is measured.

    Attributes:
        name: The signal, and the fact.
        measure: Measures it.
        cost: What it takes, for people, beside reading the problem once.
        surer_when: Whether a high or a low value speaks for the answer.
        needs: Any one of these abilities of the server; none when empty.
    """

    name: str
    measure: Measure
    cost: str
    surer_when: str = "high"
    needs: tuple[str, ...] = ()

    def missing(self, can: Capabilities) -> str | None:
        """Return why this server cannot give it; None when it can."""
        if not self.needs or any(getattr(can, name) for name in self.needs):
            return None
        reasons = [
            f"{name}: {can.lacking.get(name, 'not there')}" for name in self.needs
        ]
        return f"the server lacks {'; '.join(reasons)}"


_ANSWER = "one answer, which all of its kind share"
_VOTES = "up to `samples` answers, which all of its kind share"
_LOGPROBS = ("logprobs",)
_TOP = ("top_logprobs",)

_ALL = (
    Signal(
        name="mean_logprob", measure=mean_logprob.measure, cost=_ANSWER, needs=_LOGPROBS
    ),
    Signal(
        name="min_logprob", measure=min_logprob.measure, cost=_ANSWER, needs=_LOGPROBS
    ),
    Signal(
        name="low_logprob", measure=low_logprob.measure, cost=_ANSWER, needs=_LOGPROBS
    ),
    Signal(
        name="logprob_margin", measure=logprob_margin.measure, cost=_ANSWER, needs=_TOP
    ),
    Signal(
        name="token_entropy",
        measure=token_entropy.measure,
        cost=_ANSWER,
        surer_when="low",
        needs=_TOP,
    ),
    Signal(name="lowest_group", measure=lowest_group.measure, cost=_ANSWER, needs=_TOP),
    Signal(
        name="tail_confidence",
        measure=tail_confidence.measure,
        cost=_ANSWER,
        needs=_TOP,
    ),
    Signal(
        name="p_true",
        measure=p_true.measure,
        cost="one token after the answer",
        needs=_TOP,
    ),
    Signal(
        name="draft_logprob",
        measure=draft_logprob.measure,
        cost="reading the draft; nothing is written",
        needs=("prompt_logprobs", "echo"),
    ),
    Signal(
        name="self_verification",
        measure=self_verification.measure,
        cost=f"{self_verification.VERDICTS} words after the answer",
    ),
    Signal(name="vote_share", measure=vote_share.measure, cost=_VOTES),
    Signal(
        name="vote_entropy",
        measure=vote_entropy.measure,
        cost=_VOTES,
        surer_when="low",
    ),
    Signal(name="vote_margin", measure=vote_margin.measure, cost=_VOTES),
    Signal(
        name="style_agreement", measure=style_agreement.measure, cost="a second answer"
    ),
    Signal(
        name="model_agreement",
        measure=model_agreement.measure,
        cost="an answer of the other model",
    ),
    Signal(
        name="follow_up",
        measure=follow_up.measure,
        cost="a second answer, after the first",
    ),
    Signal(
        name="paraphrase_agreement",
        measure=paraphrase_agreement.measure,
        cost="a new wording and its answer",
    ),
    Signal(
        name="changed_assumption",
        measure=changed_assumption.measure,
        cost="a changed problem and its answer",
    ),
)

SIGNALS: Mapping[str, Signal] = MappingProxyType({each.name: each for each in _ALL})
"""By name, in the order in which they are measured."""
