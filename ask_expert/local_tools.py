"""
What tells the answers of a local strategy apart: a check, votes, P(True), weights.

A strategy knows none of these; it is handed what the question and the server allow.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio.to_thread

from ask_expert.confidence.calibration.document import Applied
from ask_expert.confidence.signals import deepconf, p_true
from ask_expert.confidence.signals.check_result import CheckResult, run_check
from ask_expert.confidence.signals.registry import SIGNALS
from ask_expert.confidence.sitting import Sitting, tops
from ask_expert.errors import LocalModelError, SignalAbsentError
from ask_expert.experts.cleaning import plain
from ask_expert.house import House
from ask_expert.intake import Case
from ask_expert.local.answered import Sample
from ask_expert.local.strategies.names import Choice
from ask_expert.local.strategies.work import (
    Check,
    Checked,
    Judge,
    Judged,
    Meter,
    Solved,
    Weight,
)

_LEAST_ALTERNATIVES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """
    How sure an answer of the local system is.

    Attributes:
        value: From 0 to 1; None when nothing says it.
        calibrated: It is a calibrated probability, not a score.
        said: In words.
    """

    value: float | None
    calibrated: bool
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """
    The tools of one question at one server.

    Attributes:
        sitting: The question before the server's model.
        meter: Counts what the tools use, too.
    """

    sitting: Sitting
    meter: Meter

    async def label(self, texts: Sequence[str]) -> Sequence[Hashable | None]:
        """Group answers that say the same; one that broke off is in no group."""
        found = [
            Sample(text=text, finished=text not in self.meter.cut) for text in texts
        ]
        self.sitting.tokens = self.meter.tokens
        try:
            return await self.sitting.groups(found)
        finally:
            self.meter.tokens = self.sitting.tokens

    @property
    def judge(self) -> Judge | None:
        """Measures P(True); None where the server cannot."""
        if SIGNALS["p_true"].missing(self.sitting.can) is not None:
            return None
        return self._judged

    async def _judged(self, text: str) -> Judged:
        problem = replace(self.sitting.problem, draft=text)
        before = self.meter.tokens
        sitting = replace(self.sitting, problem=problem, tokens=before)
        try:
            value = await p_true.measure(sitting)
        except (SignalAbsentError, LocalModelError):
            value = None  # an answer that cannot be judged is still an answer
        return Judged(p_true=value, tokens=sitting.tokens - before)

    @property
    def weight(self) -> Weight | None:
        """Weighs a vote by DeepConf; None where the server tells too little."""
        can = self.sitting.can
        enough = can.logprobs and can.top_logprobs >= _LEAST_ALTERNATIVES
        return lowest_group if enough else None


def lowest_group(sample: Sample) -> float | None:
    """Return the confidence of an answer's least confident stretch, if it is told."""
    try:
        alternatives = tops(sample.tokens or (), least=_LEAST_ALTERNATIVES)
    except SignalAbsentError:
        return None
    return deepconf.lowest_group(alternatives)


def check_of(house: House, case: Case) -> Check | None:
    """Return the question's check as one of answers; None where it cannot judge them."""
    name = case.question.check
    if name is None or not house.settings.checks[name].reads_answer:
        return None

    async def check(text: str) -> Checked:
        result = await anyio.to_thread.run_sync(
            lambda: _run(house, case, name, text), abandon_on_cancel=True
        )
        output = house.masker.mask(plain(result.output), case.marks)
        passed = result.passed is True
        return Checked(passed=passed, share=float(passed), output=output)

    return check


def _run(house: House, case: Case, name: str, text: str) -> CheckResult:
    with TemporaryDirectory(prefix="ask-expert-") as folder:
        answer = Path(folder) / "answer.md"
        answer.write_text(text, encoding="utf-8", errors="replace")
        return run_check(
            name,
            house.settings.checks[name],
            folder=Path(case.question.caller.project),
            environ=house.environ,
            answer=answer,
        )


def own_signals(choice: Choice, solved: Solved) -> dict[str, float]:
    """Return the facts that a strategy has measured on its own answer."""
    score = solved.score
    if score is None or solved.checked is not None:
        return {}
    if choice.name == "vote":
        return {"vote_share": score}
    if choice.name == "best_of_n" and choice.by == "logprob":
        return {"mean_logprob": score} if score > float("-inf") else {}
    by_p_true = choice.name == "search" or choice.by == "p_true"
    return {"p_true": score} if by_p_true and score >= 0 else {}


def figure(
    choice: Choice, solved: Solved, own: dict[str, float], applied: Applied
) -> Figure:
    """Return how sure an answer is: calibrated, else by the strategy's own score."""
    if applied.probability is not None:
        value = applied.probability
        return Figure(
            value=value, calibrated=True, said=f"calibrated confidence {value:.2f}"
        )
    name, value = _score(choice, solved, own)
    if value is None:
        return Figure(value=None, calibrated=False, said=name)
    said = f"{name} {value:.2f}, uncalibrated ({applied.reason})"
    return Figure(value=value, calibrated=False, said=said)


def _score(
    choice: Choice, solved: Solved, own: dict[str, float]
) -> tuple[str, float | None]:
    if "vote_share" in own:
        return "vote share", own["vote_share"]
    if "mean_logprob" in own:
        # e to the mean is the geometric mean of the tokens' probabilities
        return "mean token probability", math.exp(own["mean_logprob"])
    if choice.name in {"weighted_vote", "mixture"} and solved.checked is None:
        return f"share in the {choice.name}", solved.score
    if "p_true" in own:
        return "P(True)", own["p_true"]
    return "nothing says how sure the answer is", None
