"""
Fit what an expert is sent into a number of tokens, by a stated order.

What finds no room is dropped in this order:

1. turns of the thread: those between its first question and its newest, oldest
   first; then the first question with its answer;
2. files, the last named first;
3. attempts, oldest first;
4. the newest question of the thread with its answer;
5. the agent's own answer, then the context, then what the check printed, then the
   error: each is cut in its middle, and left out only where no cut fits.

The question is never cut. A file or attempt that is too large for what is left does not
keep a smaller one from being sent.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

from ask_expert.answer_block import ends, head_and_tail
from ask_expert.experts.tokens import prompt_bound, text_bound, turn_bound
from ask_expert.question import Prompt, Turn

NO_ROOM = "no room in send.max_tokens"
NO_BUDGET = "no room in the budget"
NO_WINDOW = "no room in the expert's window"

BETWEEN = "Some turns between the first answer and the next question are left out."
BEFORE = "The oldest turns of this conversation are left out."
"""Said to the expert. They hold no number, so that a provider's cache stays good."""

_LEAST_CHARS = 200
"""A part is not cut to less: it is left out then."""

_FENCE = re.compile(r"`{3,}")
_JOINED = 2  # tokens of the blank line between two sections

T = TypeVar("T")
Exchange = tuple[Turn, ...]
"""A question of the thread with its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """
    One labelled text of a question.

    Attributes:
        name: How replies call it.
        label: Its heading.
        text: What it says; masked.
        tail_percent: Share of its end in what is kept when it is cut in the middle.
        most_chars: Most characters that are ever sent of it; None for all.
    """

    name: str
    label: str
    text: str
    tail_percent: int = 50
    most_chars: int | None = None


@dataclass(slots=True, kw_only=True)
class Room:
    """Tokens that are left."""

    left: int

    def take(self, tokens: int) -> bool:
        """Take so many tokens, if that many are left."""
        if tokens > self.left:
            return False
        self.left -= tokens
        return True


def section(label: str, text: str) -> str:
    """Fence a text with one backtick more than its own longest fence."""
    longest = max((len(run) for run in _FENCE.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"## {label}\n\n{fence}text\n{text.rstrip()}\n{fence}"


def cost(text: str) -> int:
    """Return the most tokens that a section adds to a message."""
    return text_bound(text.encode(errors="replace")) + _JOINED


def cut_to_fit(part: Part, room: Room) -> tuple[str | None, str | None]:
    """
    Return a part's section, cut in its middle as far as need be, and what was cut.

    Returns:
        The section, None if no cut of it fits; and why it is not whole, if so.
    """
    most = min(len(part.text), part.most_chars or len(part.text))
    whole = _cut_section(part, most)
    if room.take(cost(whole)):
        return whole, _cut_note(part, most)
    least, fits = _LEAST_CHARS, None
    while least < most:
        middle = (least + most) // 2
        tried = _cut_section(part, middle)
        if cost(tried) <= room.left:
            fits, least = middle, middle + 1
        else:
            most = middle
    if fits is None:
        return None, f"{part.name}: {NO_ROOM}"
    text = _cut_section(part, fits)
    room.take(cost(text))
    return text, _cut_note(part, fits)


def _cut_section(part: Part, chars: int) -> str:
    text = head_and_tail(part.text, chars, tail_percent=part.tail_percent)
    return section(part.label, text)


def _cut_note(part: Part, chars: int) -> str | None:
    if chars >= len(part.text):
        return None
    kept = sum(map(len, ends(part.text, chars, tail_percent=part.tail_percent)))
    return f"{part.name}: {len(part.text) - kept:,} characters cut from its middle"


def exchanges(turns: Sequence[Turn]) -> list[Exchange]:
    """Return a conversation in questions with their answers, oldest first."""
    starts = [number for number, turn in enumerate(turns) if turn.role == "user"]
    edges = [0, *(start for start in starts if start), len(turns)]
    return [tuple(turns[a:b]) for a, b in pairwise(edges) if a < b]


def exchange_cost(exchange: Exchange) -> int:
    """Return the most tokens of a question of the thread with its answer."""
    return sum(map(turn_bound, exchange))


def older_that_fit(older: Sequence[Exchange], room: Room) -> list[Exchange]:
    """Return those before the newest exchange that find room: the first, and the latest."""
    first = [each for each in older[:1] if room.take(exchange_cost(each))]
    latest: list[Exchange] = []
    for exchange in reversed(older[1:]):
        if not room.take(exchange_cost(exchange)):
            break
        latest.insert(0, exchange)
    return [*first, *latest]


def history_note(kept: Sequence[Exchange], all_of_it: Sequence[Exchange]) -> str:
    """Return what the expert is told of turns that are left out; empty if none are."""
    if len(kept) == len(all_of_it):
        return ""
    return BETWEEN if len(kept) > 1 and kept[0] is all_of_it[0] else BEFORE


def with_note(system: str, note: str) -> str:
    """Return the system text with what it says of turns that are left out."""
    return f"{system}\n\n{note}" if note else system


def shorter(prompt: Prompt, *, why: str = NO_BUDGET) -> Prompt | None:
    """
    Return the prompt with about half of its older turns, rounded down.

    Turns go in the order that the module states. None when there are none to drop.

    Args:
        prompt: A prompt of `compose`, or what this made of it.
        why: The reason that the reply gives.
    """
    kept = exchanges(prompt.turns[:-1])
    if not kept:
        return None
    return _with_exchanges(prompt, kept, keep=len(kept) // 2, why=why)


def within(prompt: Prompt, tokens: int, *, why: str = NO_WINDOW) -> Prompt | None:
    """
    Return the prompt with as many older turns as fit into so many tokens.

    The tokens are an upper bound. None when it does not fit without any older turn:
    compose it again with a smaller `max_tokens` then.
    """
    if prompt_bound(prompt) <= tokens:
        return prompt
    kept = exchanges(prompt.turns[:-1])
    if not kept:
        return None
    alone = prompt_bound(_with_exchanges(prompt, kept, keep=0, why=why))
    costs = [exchange_cost(exchange) for exchange in kept]
    room = tokens - alone - len(BETWEEN)  # one note may be longer than the other
    for keep in range(len(kept) - 1, 0, -1):
        if sum(_chosen(costs, keep, has_first=_has_first(prompt))) <= room:
            return _with_exchanges(prompt, kept, keep=keep, why=why)
    return _with_exchanges(prompt, kept, keep=0, why=why) if alone <= tokens else None


def _has_first(prompt: Prompt) -> bool:
    """Return whether the oldest turn of a prompt is the first of the thread."""
    return not prompt.system.endswith(BEFORE)


def _chosen(kept: Sequence[T], keep: int, *, has_first: bool) -> list[T]:
    """Return so many of them: the first of the thread, if it is there, and the newest."""
    if has_first and keep > 1:
        return [kept[0], *kept[len(kept) - keep + 1 :]]
    return [*kept[len(kept) - keep :]]


def _with_exchanges(
    prompt: Prompt, kept: Sequence[Exchange], *, keep: int, why: str
) -> Prompt:
    """Return the prompt with so many of its exchanges, fewer than it has."""
    system = prompt.system
    for note in (BETWEEN, BEFORE):
        system = system.removesuffix(f"\n\n{note}")
    has_first = _has_first(prompt)
    chosen = _chosen(kept, keep, has_first=has_first)
    note = BETWEEN if has_first and keep > 1 else BEFORE
    turns = [turn for exchange in chosen for turn in exchange]
    skipped = prompt.skipped_turns + len(prompt.turns) - 1 - len(turns)
    return replace(
        prompt,
        system=with_note(system, note),
        turns=(*turns, prompt.turns[-1]),
        sent=(
            *(each for each in prompt.sent if not each.startswith("thread: ")),
            *thread_sent(len(turns)),
        ),
        left_out=(
            *(each for each in prompt.left_out if not each.startswith("thread: ")),
            *thread_left_out(skipped, why),
        ),
        skipped_turns=skipped,
    )


def thread_sent(turns: int) -> tuple[str, ...]:
    """Return how replies call the turns of the thread that are sent."""
    return (f"thread: {turns} older turns",) if turns else ()


def thread_left_out(turns: int, why: str) -> tuple[str, ...]:
    """Return how replies call those that are not."""
    return (f"thread: {turns} older turns, {why}",) if turns else ()
