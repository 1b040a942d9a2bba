"""What a local model is asked, and what comes of it; plain data."""

from dataclasses import dataclass
from typing import Literal

from ask_expert.question import Turn

Guide = Literal["structured_outputs", "guided_choice", "json_schema"]
"""How a server is told to answer with one of a few words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    A conversation that is to be answered.

    Attributes:
        turns: Oldest first; roles as the wire has them.
        max_tokens: Most tokens of each answer.
        n: How many answers.
        temperature: 0 is greedy.
        seed: Makes sampling repeatable where the server honours it.
        top_logprobs: None asks for no log-probabilities, 0 for those of the
            answer's own tokens.
        choices: The only answers that `guide` lets pass.
        guide: How this server is told so; None leaves the answer free.
        continues: The last turn is the model's own, and the answer goes on from it.
        thinks: Switch on the thinking mode of the model's template.
    """

    turns: tuple[Turn, ...]
    max_tokens: int
    n: int = 1
    temperature: float = 0.0
    seed: int | None = None
    top_logprobs: int | None = None
    choices: tuple[str, ...] = ()
    guide: Guide | None = None
    continues: bool = False
    thinks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """
    One token, and what else could have stood in its place.

    Attributes:
        text: As the server shows it; half a letter may be a replacement character.
        logprob: Natural logarithm of its probability; None when not known or infinite.
        top: Likeliest tokens at this place with their log-probabilities, as many as
            were asked for and are finite.
    """

    text: str
    logprob: float | None
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """
    One answer.

    Attributes:
        text: The answer.
        finished: It ended by itself, not at the limit.
        tokens: Its tokens; None when the server told none.
    """

    text: str
    finished: bool
    tokens: tuple[Token, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """
    What came of one or several requests with the same prompt.

    Attributes:
        samples: The answers.
        input_tokens: Tokens of the prompts.
        cached_tokens: How many of them the server had worked out before.
        output_tokens: Tokens of the answers.
        seconds: From the first byte sent to the last one read.
        fingerprint: What the server calls its build; "" when it does not say.
        prompt: Tokens of the prompt, where they were asked for.
    """

    samples: tuple[Sample, ...]
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    seconds: float
    fingerprint: str = ""
    prompt: tuple[Token, ...] | None = None

    @property
    def tokens(self) -> int:
        """What had to be computed: prompt tokens not in the cache, and the answers."""
        return self.input_tokens - self.cached_tokens + self.output_tokens
