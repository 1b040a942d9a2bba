"""What a strategy is given, what it may use up, and what it returns; plain data."""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ask_expert.local.answered import Answered, Request, Sample
from ask_expert.local.client import LocalModel
from ask_expert.local.sampling import samples
from ask_expert.question import Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """
    What a check says of one answer.

    Attributes:
        passed: Everything passed.
        share: Part of it that passed, from 0 to 1.
        output: What it printed, for a second look.
    """

    passed: bool
    share: float
    output: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """
    How likely an answer is right, as the local model says when asked.

    Attributes:
        p_true: Probability; None when it could not be measured.
        tokens: What asking has cost.
    """

    p_true: float | None
    tokens: int


Check = Callable[[str], Awaitable[Checked]]
Label = Callable[[Sequence[str]], Awaitable[Sequence[Hashable | None]]]
"""Answers that say the same get the same label; one that cannot be read gets None."""

Judge = Callable[[str], Awaitable[Judged]]
Weight = Callable[[Sample], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """
    One local model, and whether one request may ask it for several answers.

    Attributes:
        model: Whom to ask.
        at_once: Its server takes `n`.
        thinks: Its template has a thinking mode that a request can switch on.
    """

    model: LocalModel
    at_once: bool = True
    thinks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """
    What is to be solved, and the tools that tell answers apart.

    Attributes:
        turns: The conversation.
        max_tokens: Most tokens of one answer.
        check: Runs what decides whether an answer is right; None when nothing does.
        label: Tells which answers say the same; None when nothing does.
        judge: Measures P(True); None when the server cannot.
        weight: What one vote counts; None counts every vote alike.
        top_logprobs: How many alternatives beside each token a weight needs.
        seed: First seed of what is sampled.
        temperature: Of what is sampled.
    """

    turns: tuple[Turn, ...]
    max_tokens: int
    check: Check | None = None
    label: Label | None = None
    judge: Judge | None = None
    weight: Weight | None = None
    top_logprobs: int = 0
    seed: int = 1
    temperature: float = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """
    A strategy's answer.

    Attributes:
        text: The answer; "" when none came within the limits.
        strategy: Which one found it.
        tokens: Local tokens used: prompts that no cache held, and all answers.
        seconds: From begin to end.
        answers: How many answers were looked at.
        checked: What the check said of it; None when none was run.
        score: What it was chosen by, in the strategy's own unit.
        why: How it was chosen, in a few words.
    """

    text: str
    strategy: str
    tokens: int
    seconds: float
    answers: int
    checked: Checked | None = None
    score: float | None = None
    why: str = ""


@dataclass(slots=True, kw_only=True)
class Meter:
    """
    Counts what a strategy uses; every request goes through it.

    Attributes:
        max_tokens: Most local tokens; a request is not begun once they are used.
        max_seconds: Most seconds from the first use.
        clock_s: Monotonic seconds.
        tokens: Used so far.
        answers: Answers that came so far.
        cut: Texts of those that broke off at their limit.
    """

    max_tokens: int
    max_seconds: float
    clock_s: Callable[[], float]
    tokens: int = 0
    answers: int = 0
    cut: set[str] = field(default_factory=set[str])
    _began_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._began_s = self.clock_s()

    @property
    def seconds(self) -> float:
        """Seconds since it was made."""
        return self.clock_s() - self._began_s

    @property
    def is_used_up(self) -> bool:
        """Whether nothing more may be begun."""
        return self.tokens >= self.max_tokens or self.seconds >= self.max_seconds

    def add(self, tokens: int) -> None:
        """Count tokens that were used beside the answers."""
        self.tokens += tokens

    async def ask(self, seat: Seat, request: Request) -> Answered:
        """
        Ask, and count what it took.

        Raises:
            LocalModelError: No usable answer came.
        """
        answered = await samples(seat.model, request, at_once=seat.at_once)
        self.tokens += answered.tokens
        self.answers += len(answered.samples)
        self.cut |= {each.text for each in answered.samples if not each.finished}
        return answered


class Strategy(Protocol):
    """One way to solve; it keeps what it needs to know, such as n, as attributes."""

    @property
    def name(self) -> str:
        """How settings and reports call it."""
        ...

    async def solve(self, seat: Seat, work: Work, meter: Meter) -> Solved:
        """
        Return the best answer found within the meter's limits.

        Raises:
            LocalModelError: Not one answer came.
            MissingToolError: What it chooses by is not there.
        """
        ...


def request(work: Work, *, n: int = 1, greedy: bool = False) -> Request:
    """Return the request for answers to a work's own conversation."""
    return Request(
        turns=work.turns,
        max_tokens=work.max_tokens,
        n=n,
        temperature=0.0 if greedy else work.temperature,
        seed=work.seed,
        top_logprobs=None if work.weight is None else work.top_logprobs,
    )
