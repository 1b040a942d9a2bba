"""
What several experts' answers add up to: an agreement, or what they disagree on.

Each is asked to begin with a line `ANSWER:`; those lines are compared, not the
prose under them. Two agree if they name the same numbers and share most words.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ask_expert.experts.desk import Call, Failed, Result, Settled
from ask_expert.reply import PanelVoice
from ask_expert.settings import ExpertSettings

SAME_WORDS = 0.5
"""Least share of common words (Jaccard index) of two lines that agree."""

_LINE = re.compile(r"^[\s*#_>`]*answer[\s*_`]*:[\s*_`]*(?P<said>.*)$", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)?")
_IDLE = frozenset("a an and are as at be by for in is it of on or that the to".split())  # noqa: SIM905
_MOST_SHOWN = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """
    Which answers say the same.

    Attributes:
        agreeing: Places of the answers in the largest group, first ones first.
        agreed: Whether that group is more than half of them.
    """

    agreeing: tuple[int, ...]
    agreed: bool


def agreement(texts: Sequence[str]) -> Agreement:
    """
    Return the largest group of answers that agree with its first one.

    Of groups of the same size the one that begins first counts: experts stand in
    the ladder's order, cheapest first.
    """
    lines = [headline(text) for text in texts]
    groups = [
        tuple(
            place
            for place, other in enumerate(lines)
            if place == first or agree(line, other)
        )
        for first, line in enumerate(lines)
    ]
    largest = max(groups, key=len, default=())
    return Agreement(agreeing=largest, agreed=len(largest) * 2 > len(texts))


def headline(text: str) -> str:
    """Return what follows `ANSWER:`, else the first line that says anything."""
    lines = [line for line in text.splitlines() if line.strip()]
    for line in lines:
        found = _LINE.match(line)
        if found and found["said"].strip():
            return found["said"].strip()
    return lines[0].strip() if lines else ""


def agree(one: str, other: str) -> bool:
    """Return whether two lines say the same: equal numbers, mostly equal words."""
    ours, theirs = _words(one), _words(other)
    if {word for word in ours if word[0].isdigit()} != {
        word for word in theirs if word[0].isdigit()
    }:
        return False
    if ("not" in ours) != ("not" in theirs):
        return False
    both = ours | theirs
    return bool(both) and len(ours & theirs) / len(both) >= SAME_WORDS


def _words(line: str) -> frozenset[str]:
    return frozenset(
        word for word in _WORD.findall(line.casefold()) if word not in _IDLE
    )


def verdict(
    call: Call,
    asked: Sequence[tuple[ExpertSettings, Result]],
    answers: Sequence[Settled],
) -> Settled:
    """
    Return the agreed answer in the words of the first expert that gives it, or all.

    Args:
        call: The question; its `paid_nusd` is what all of them cost.
        asked: Every expert of the panel, with what became of it.
        answers: Those that answered; at least one.
    """
    found = agreement([each.answer.text for each in answers])
    agreeing = {answers[place].expert.name for place in found.agreeing}
    agreed = found.agreed and len(answers) > 1
    first = answers[found.agreeing[0]] if agreed else answers[0]
    voices = tuple(
        _voice(expert, result, agreeing if agreed else None) for expert, result in asked
    )
    silent = tuple(_silence(expert, each) for expert, each in asked if _is_silent(each))
    text = _text(answers, agreeing if agreed else None, size=len(asked))
    return replace(
        first,
        answer=replace(first.answer, text=text),
        paid_nusd=call.paid_nusd,
        passed_over=silent,
        voices=voices,
        booked=all(each.booked for each in answers),
        may_be_billed=any(
            isinstance(each, Failed) and each.may_be_billed for _, each in asked
        ),
    )


def _is_silent(result: Result) -> bool:
    return not isinstance(result, Settled) or result.answer.trouble is not None


def _silence(expert: ExpertSettings, result: Result) -> str:
    if isinstance(result, Settled):
        return f"{expert.name}: {result.answer.trouble}"
    reason = getattr(result, "reason", "was asked elsewhere")
    return reason if reason.startswith(expert.name) else f"{expert.name}: {reason}"


def _voice(
    expert: ExpertSettings, result: Result, agreeing: set[str] | None
) -> PanelVoice:
    settled = isinstance(result, Settled)
    silent = _is_silent(result)
    unknown = isinstance(result, Failed) and result.may_be_billed
    cost_nusd = None if unknown else 0
    return PanelVoice(
        expert=expert.name,
        cost_nusd=result.charge.nusd if settled else cost_nusd,
        subscription=settled and result.charge.source == "subscription",
        agrees=None if silent or agreeing is None else expert.name in agreeing,
    )


def _text(answers: Sequence[Settled], agreeing: set[str] | None, *, size: int) -> str:
    """Return one text: the agreed answer under a line on who says so, or all of them."""
    if len(answers) == 1:
        return answers[0].answer.text
    if agreeing is None:
        parts = [f"The experts disagree ({len(answers)} of {size} answered)."]
        parts += [f"## {each.expert.name}\n\n{each.answer.text}" for each in answers]
        return "\n\n".join(parts)
    named = [each for each in answers if each.expert.name in agreeing]
    names = ", ".join(each.expert.name for each in named)
    lines = [f"{len(named)} of {len(answers)} experts agree: {names}."]
    lines += [
        f"{each.expert.name} says otherwise: {headline(each.answer.text)[:_MOST_SHOWN]}"
        for each in answers
        if each.expert.name not in agreeing
    ]
    return "\n".join([*lines, "", named[0].answer.text])
