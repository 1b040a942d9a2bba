"""
One problem before the local model: what is asked of it once serves every signal.

It counts tokens, keeps to their limit, and remembers what came, failures included.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

from ask_expert.confidence import prompts
from ask_expert.confidence.answers.comparing import Comparison, Key, Kind, detect
from ask_expert.confidence.answers.final import without_thoughts
from ask_expert.errors import LocalModelError, SignalAbsentError
from ask_expert.experts.tokens import text_bound
from ask_expert.local.answered import Answered, Request, Sample, Token
from ask_expert.local.client import LocalModel
from ask_expert.local.probe import Capabilities
from ask_expert.local.sampling import samples
from ask_expert.question import Turn

T = TypeVar("T")

ANSWER_TOKENS = 512
"""Most tokens of one answer to the problem."""

TEMPERATURE = 0.8
"""Of the answers that vote."""

_WORD_TOKENS = 4
_TURN_TOKENS = 16
_LEAST_TOKENS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """
    What is asked, and how answers to it are compared.

    Attributes:
        text: The question with all that is needed to answer it.
        draft: The agent's own answer, if it handed one in.
        kind: What the answers are; detected when absent.
        behaviour: Key of code by what it does on visible tests.
    """

    text: str
    draft: str | None = None
    kind: Kind | None = None
    behaviour: Key | None = None


@dataclass(slots=True, kw_only=True)
class Sitting:
    """
    The local model at work on one problem.

    Attributes:
        problem: What is asked.
        model: Who is asked.
        can: What its server can give.
        samples: Most answers that vote.
        max_tokens: What all requests together may take, in tokens.
        second: Another model, for comparison.
        seed: Of the first sample.
        tokens: What the requests took so far.
        comparison: How answers are compared, once that is known.
    """

    problem: Problem
    model: LocalModel
    can: Capabilities
    samples: int
    max_tokens: int
    second: LocalModel | None = None
    seed: int = 0
    tokens: int = 0
    comparison: Comparison | None = None
    _kept: dict[str, object] = field(default_factory=dict[str, object])

    @property
    def listing(self) -> int | None:
        """What to ask for so that tokens are listed, and so counted, where they can be."""
        return 0 if self.can.logprobs else None

    async def once(self, name: str, make: Callable[[], Awaitable[T]]) -> T:
        """Return what `make` returned or raised the first time."""
        if name not in self._kept:
            try:
                self._kept[name] = await make()
            except (SignalAbsentError, LocalModelError) as error:
                self._kept[name] = error
        found = self._kept[name]
        if isinstance(found, SignalAbsentError | LocalModelError):
            raise found
        return cast("T", found)

    async def ask(self, request: Request, *, other: bool = False) -> Answered:
        """
        Ask the model, or the other one, within what is left of the tokens.

        Raises:
            SignalAbsentError: The tokens are used up, or it does not fit the window.
            LocalModelError: The server gave no usable answer.
        """
        model = self.model
        if other:
            if self.second is None:
                raise SignalAbsentError("no second local model is set up")
            model = self.second
        room = min(request.max_tokens, (self.max_tokens - self.tokens) // request.n)
        if self.can.window is not None and not other:
            room = min(room, self.can.window - _likely(request.turns))
        if room < min(request.max_tokens, _LEAST_TOKENS):
            raise SignalAbsentError(self._no_room(request.turns))
        wanted = replace(request, max_tokens=room)
        answered = await samples(model, wanted, at_once=self.can.n)
        self.tokens += answered.tokens
        return answered

    async def solve(self, turns: tuple[Turn, ...], *, other: bool = False) -> Sample:
        """
        Return one greedy answer to a conversation.

        Raises:
            SignalAbsentError: It is empty, or the tokens are used up.
            LocalModelError: The server gave no usable answer.
        """
        top = self.can.top_logprobs if self.can.logprobs and not other else None
        request = Request(turns=turns, max_tokens=ANSWER_TOKENS, top_logprobs=top)
        answered = await self.ask(request, other=other)
        sample = answered.samples[0]
        if not without_thoughts(sample.text):
            raise SignalAbsentError("the local model's answer is empty")
        return sample

    async def score(self, turns: tuple[Turn, ...], *, whole: bool) -> tuple[Token, ...]:
        """
        Return a conversation's own tokens; see `LocalModel.score`.

        Raises:
            SignalAbsentError: The tokens are used up, or the server told none.
            LocalModelError: The server gave no usable answer.
        """
        self._check_room(turns)
        answered = await self.model.score(turns, whole=whole)
        self.tokens += answered.tokens
        if answered.prompt is None:
            raise SignalAbsentError("the server told no tokens of the prompt")
        return answered.prompt

    async def echo(self, text: str) -> tuple[tuple[Token, ...], tuple[int, ...]]:
        """
        Return a text's own tokens and where each begins; see `LocalModel.echo`.

        Raises:
            SignalAbsentError: The tokens are used up.
            LocalModelError: The server gave no usable answer.
        """
        self._check_room((Turn(role="user", text=text),))
        answered, offsets = await self.model.echo(text)
        self.tokens += answered.tokens
        return answered.prompt or (), offsets

    async def first(self) -> Sample:
        """Return the model's own greedy answer; see `solve` for what it raises."""
        turns = prompts.solve(self.problem.text)
        return await self.once("first", lambda: self.solve(turns))

    @property
    def first_text(self) -> str | None:
        """The model's own greedy answer, if it was asked for and came."""
        found = self._kept.get("first")
        return found.text if isinstance(found, Sample) else None

    async def answer(self) -> str:
        """Return the answer that is in question: the agent's draft, else the first."""
        return self.problem.draft or (await self.first()).text

    async def listed(self) -> tuple[Token, ...]:
        """
        Return the tokens of the first answer.

        Raises:
            SignalAbsentError: The server told none, or not all of them.
            LocalModelError: The server gave no usable answer.
        """
        tokens = (await self.first()).tokens
        if not tokens:
            raise SignalAbsentError("the server told no tokens of its answer")
        return tokens

    async def logprobs(self) -> tuple[float, ...]:
        """Return the log-probabilities of the first answer's tokens; see `listed`."""
        return known(await self.listed())

    async def says(self, first: str, second: str) -> bool:
        """Return whether the first answer says what the second does, by the model."""
        turns = prompts.says(self.problem.text, first, second)
        words = await self.words(turns, n=1, temperature=0.0)
        return words[0] is True

    async def words(
        self, turns: tuple[Turn, ...], *, n: int, temperature: float
    ) -> tuple[bool | None, ...]:
        """Return so many answers of yes or no; None for what is neither."""
        request = Request(
            turns=turns,
            max_tokens=_WORD_TOKENS,
            n=n,
            temperature=temperature,
            seed=self.seed,
            top_logprobs=self.listing,
            choices=("yes", "no"),
            guide=self.can.guide,
        )
        answered = await self.ask(request)
        return tuple(yes_or_no(each.text) for each in answered.samples)

    async def groups(self, replies: Sequence[Sample | str]) -> tuple[int | None, ...]:
        """Group answers that are the same; one that broke off is in no group."""
        texts = [_whole(each) for each in replies]
        if self.comparison is None:
            kind = self.problem.kind
            found = [each for each in texts if each]
            self.comparison = Comparison(
                kind=kind or detect(self.problem.text, found),
                given=kind is not None,
                behaviour=self.problem.behaviour,
            )
        return await self.comparison.groups(texts, self.says)

    async def same(self, one: Sample | str, two: Sample | str) -> bool:
        """
        Return whether two answers are the same.

        Raises:
            SignalAbsentError: One of them cannot be read.
            LocalModelError: The server gave no usable answer, as a judge.
        """
        first, second = await self.groups([one, two])
        if first is None or second is None:
            kind = self.comparison.kind if self.comparison else "answer"
            raise SignalAbsentError(f"one of two answers holds no whole {kind}")
        return first == second

    def _check_room(self, turns: tuple[Turn, ...]) -> None:
        if self.max_tokens <= self.tokens:
            raise SignalAbsentError(self._no_room(turns))

    def _no_room(self, turns: tuple[Turn, ...]) -> str:
        window = self.can.window
        if window is not None and window - _likely(turns) < _LEAST_TOKENS:
            return f"the question does not fit the window of {window:,} tokens"
        return f"the limit of {self.max_tokens:,} tokens is reached"


def known(tokens: Sequence[Token]) -> tuple[float, ...]:
    """
    Return the tokens' log-probabilities.

    Raises:
        SignalAbsentError: One is null or infinite: a mean of the rest would mislead.
    """
    found = tuple(token.logprob for token in tokens if token.logprob is not None)
    if len(found) < len(tokens) or not found:
        raise SignalAbsentError("a token has no finite log-probability")
    return found


def tops(tokens: Sequence[Token], *, least: int) -> tuple[tuple[float, ...], ...]:
    """
    Return for each token the log-probabilities of its likeliest alternatives.

    Raises:
        SignalAbsentError: The server told fewer than `least` beside one of them.
    """
    found = tuple(tuple(p for _, p in token.top) for token in tokens)
    if any(len(each) < least for each in found) or not found:
        raise SignalAbsentError(f"a token has fewer than {least} finite alternatives")
    return found


def yes_or_no(text: str) -> bool | None:
    """Return the verdict that a text begins with; None when it is neither."""
    word = without_thoughts(text).lstrip("*_\"'`( ").casefold()
    if word.startswith("yes"):
        return True
    return False if word.startswith("no") and not word.startswith("not") else None


def _whole(reply: Sample | str) -> str | None:
    if isinstance(reply, str):
        return reply
    return reply.text if reply.finished else None


def _likely(turns: tuple[Turn, ...]) -> int:
    """Return about how many tokens a conversation has; a strict server says no itself."""
    text = "".join(turn.text for turn in turns).encode(errors="replace")
    return text_bound(text) // 2 + _TURN_TOKENS * len(turns)
