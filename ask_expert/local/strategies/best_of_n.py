"""Several answers, and the one that a check, or a score of its own, prefers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ask_expert.errors import MissingToolError
from ask_expert.local.answered import Sample
from ask_expert.local.strategies.names import By
from ask_expert.local.strategies.work import (
    Checked,
    Meter,
    Seat,
    Solved,
    Work,
    request,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BestOfN:
    """
    The best of n samples; the first of them is greedy.

    By a check, sampling stops at the first that passes, so that n is a bound.

    Attributes:
        n: How many answers at most.
        by: What decides: the check, the mean log-probability, or P(True).
        at_once: How many answers are asked for at a time.
    """

    n: int = 4
    by: By = "check"
    at_once: int = 4

    @property
    def name(self) -> str:
        """E.g. `best_of_4_by_check`."""
        return f"best_of_{self.n}_by_{self.by}"

    async def solve(self, seat: Seat, work: Work, meter: Meter) -> Solved:
        """
        Return the answer with the highest score; among equals, the one that came first.

        Raises:
            MissingToolError: What it chooses by is not there.
        """
        self._needs(work)
        best: tuple[float, str, Checked | None] | None = None
        left = self.n
        seed = work.seed
        while left and not (best and (meter.is_used_up or _is_enough(best[2]))):
            greedy = left == self.n
            count = 1 if greedy else min(left, self.at_once)
            found = await self._draw(seat, work, meter, count, seed, greedy=greedy)
            left, seed = left - count, seed + count
            for sample in found:
                scored = await self._scored(work, meter, sample)
                if best is None or scored[0] > best[0]:
                    best = scored
                if _is_enough(scored[2]):
                    break
        if best is None:
            raise MissingToolError("best of 0 is nothing; give n above 0.")
        score, text, checked = best
        return Solved(
            text=text,
            strategy=self.name,
            tokens=meter.tokens,
            seconds=meter.seconds,
            answers=meter.answers,
            checked=checked,
            score=score,
            why=f"the best of {self.n - left} by {self.by}",
        )

    def _needs(self, work: Work) -> None:
        if self.by == "check" and work.check is None:
            raise MissingToolError("Best-of-n by check needs a check.")
        if self.by == "p_true" and work.judge is None:
            raise MissingToolError("Best-of-n by P(True) needs a server that can.")

    async def _draw(
        self,
        seat: Seat,
        work: Work,
        meter: Meter,
        count: int,
        seed: int,
        *,
        greedy: bool,
    ) -> Sequence[Sample]:
        asked = replace(request(work, n=count, greedy=greedy), seed=seed)
        if self.by == "logprob":
            asked = replace(asked, top_logprobs=0)
        return (await meter.ask(seat, asked)).samples

    async def _scored(
        self, work: Work, meter: Meter, sample: Sample
    ) -> tuple[float, str, Checked | None]:
        if self.by == "check" and work.check is not None:
            checked = await work.check(sample.text)
            return checked.share, sample.text, checked
        if self.by == "p_true" and work.judge is not None:
            judged = await work.judge(sample.text)
            meter.add(judged.tokens)
            score = -1.0 if judged.p_true is None else judged.p_true
            return score, sample.text, None
        return mean_logprob(sample), sample.text, None


def mean_logprob(sample: Sample) -> float:
    """Return the mean log-probability of an answer; minus infinity when not known."""
    told = [each.logprob for each in sample.tokens or ()]
    known = [each for each in told if each is not None]
    if not known or len(known) < len(told):
        return float("-inf")
    return sum(known) / len(known)


def _is_enough(checked: Checked | None) -> bool:
    return checked is not None and checked.passed
