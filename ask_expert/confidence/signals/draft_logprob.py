"""Signal: mean log-probability of the agent's own draft under the local model."""

from ask_expert.confidence import prompts
from ask_expert.confidence.signals.mean_logprob import mean
from ask_expert.confidence.sitting import Sitting, known
from ask_expert.errors import SignalAbsentError
from ask_expert.local.answered import Token


async def measure(sitting: Sitting) -> float:
    """
    Measure it by having the model read the draft, in nats a token.

    vLLM's `prompt_logprobs` read it as an answer in the conversation; a server that
    can only echo reads problem and draft as one plain text.
    """
    draft = sitting.problem.draft
    if draft is None:
        raise SignalAbsentError("no draft was handed in")
    if sitting.can.prompt_logprobs:
        return mean(known(await _in_conversation(sitting, draft)))
    return mean(known(await _in_plain_text(sitting, draft)))


async def _in_conversation(sitting: Sitting, draft: str) -> tuple[Token, ...]:
    turns = prompts.proposed(sitting.problem.text, draft)
    return drafted(await sitting.score(turns, whole=False), draft)


async def _in_plain_text(sitting: Sitting, draft: str) -> tuple[Token, ...]:
    opening = "\n\n".join(turn.text for turn in prompts.solve(sitting.problem.text))
    text = f"{opening}\n\n{draft}"
    tokens, offsets = await sitting.echo(text)
    begins = len(text) - len(draft)
    return tuple(
        token for token, at in zip(tokens, offsets, strict=True) if at >= begins
    )


def drafted(tokens: tuple[Token, ...], draft: str) -> tuple[Token, ...]:
    """
    Return the last tokens, those that read as the draft does.

    A letter outside ASCII may be cut into tokens that do not read at all, so those
    letters, and white space, are passed over.

    Raises:
        SignalAbsentError: None do: the server's template or tokenizer changed what
            was handed in.
    """
    wanted = _letters(draft)
    left = len(wanted)
    for count, token in enumerate(reversed(tokens), 1):
        piece = _letters(token.text)
        if not wanted.startswith(piece, max(0, left - len(piece)), left):
            break
        left -= len(piece)
        if left <= 0 and wanted:
            return tokens[-count:]
    raise SignalAbsentError("the server read another text than the draft")


def _letters(text: str) -> str:
    """Return what of a text every tokenizer shows: ASCII, without white space."""
    return "".join(char for char in text if char.isascii() and not char.isspace())
