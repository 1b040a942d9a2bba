"""Several answers, and the one that most of them give."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from ask_expert.errors import MissingToolError
from ask_expert.local.answered import Sample
from ask_expert.local.strategies.work import Meter, Seat, Solved, Weight, Work, request


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """
    The answer that most samples give; among equals, the one that came first.

    Attributes:
        n: How many samples.
        weighted: A vote counts as the work's weight says, as in DeepConf
            (arXiv 2508.15260), not once.
    """

    n: int = 5
    weighted: bool = False

    @property
    def name(self) -> str:
        """`weighted_vote` or `vote`."""
        return "weighted_vote" if self.weighted else "vote"

    async def solve(self, seat: Seat, work: Work, meter: Meter) -> Solved:
        """
        Return the first answer of the largest group; its score is the group's share.

        Raises:
            MissingToolError: Nothing tells which answers say the same, or what a vote
                counts.
        """
        if work.label is None:
            raise MissingToolError("A vote needs answers that can be compared.")
        if self.weighted and work.weight is None:
            raise MissingToolError("The server tells nothing to weigh votes by.")
        answered = await meter.ask(seat, request(work, n=self.n))
        labels = await work.label([each.text for each in answered.samples])
        weight = work.weight if self.weighted else None
        best, share = winner(labels, weights(answered.samples, weight))
        text = answered.samples[best].text
        checked = await work.check(text) if work.check else None
        return Solved(
            text=text,
            strategy=self.name,
            tokens=meter.tokens,
            seconds=meter.seconds,
            answers=meter.answers,
            checked=checked,
            score=share,
            why=f"{share:.0%} of {len(labels)} votes",
        )


def weights(found: Sequence[Sample], weight: Weight | None) -> list[float]:
    """
    Return what each sample's vote counts.

    Where one cannot be weighed all count alike: a mixture would favour whoever
    happens to be told.
    """
    if weight is None:
        return [1.0] * len(found)
    told = [weight(each) for each in found]
    known = [each for each in told if each is not None and math.isfinite(each)]
    if len(known) < len(told) or min(known, default=0.0) < 0:
        return [1.0] * len(found)
    return known if sum(known) > 0 else [1.0] * len(found)


def winner(
    labels: Sequence[Hashable | None], counts: Sequence[float]
) -> tuple[int, float]:
    """
    Return the first answer of the heaviest group, and the group's share of all votes.

    Votes that cannot be read belong to no group; when none can, the first answer
    wins with a share of 0.
    """
    sums: dict[Hashable, float] = {}
    first: dict[Hashable, int] = {}
    for place, (label, count) in enumerate(zip(labels, counts, strict=True)):
        if label is not None:
            sums[label] = sums.get(label, 0.0) + count
            first.setdefault(label, place)
    if not sums:
        return 0, 0.0
    best = max(sums, key=lambda label: (sums[label], -first[label]))
    return first[best], sums[best] / sum(counts)
