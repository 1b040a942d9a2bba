"""Compose what an expert is sent from a question: one template, labelled sections."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files

from ask_expert.question import Attachment, Prompt, Question, Turn

_TEMPLATE = "advise.md"
_FENCE = re.compile(r"`{3,}")


def compose(
    question: Question,
    *,
    history: Sequence[Turn] = (),
    attachments: Sequence[Attachment] = (),
    show_local_answer: bool = True,
) -> Prompt:
    """
    Return the prompt: the template as system text, the question as the last turn.

    Args:
        question: Masked already.
        history: Earlier turns of the thread, oldest first.
        attachments: Files, and those left out with the reason.
        show_local_answer: Whether the expert sees the agent's own answer.
    """
    name, system = _template()
    parts = list(_sections(question, show_local_answer=show_local_answer))
    parts += [_file(attachment) for attachment in attachments]
    asked = Turn(role="user", text="\n\n".join(parts))
    return Prompt(system=system, turns=(*history, asked), template=name)


@cache
def _template() -> tuple[str, str]:
    """Return name and version, from the first line, and the text under it."""
    text = (
        files("ask_expert.experts").joinpath("templates", _TEMPLATE).read_text("utf-8")
    )
    name, _, system = text.partition("\n")
    return name.strip(), system.strip()


def _sections(question: Question, *, show_local_answer: bool) -> Iterator[str]:
    yield _section("Question", question.text)
    if question.context:
        yield _section("Context", question.context)
    if question.error:
        yield _section("Last error", question.error)
    for number, attempt in enumerate(question.tried or (), start=1):
        yield _section(f"Tried and failed, attempt {number}", attempt)
    if question.my_answer and show_local_answer:
        yield _section("The model's own answer so far", question.my_answer)


def _file(attachment: Attachment) -> str:
    label = f"File {_one_line(attachment.path)}"
    if attachment.text is None:
        reason = _one_line(attachment.left_out or "not readable")
        return f"## {label}\n\nLeft out: {reason}"
    return _section(label, attachment.text)


def _section(label: str, text: str) -> str:
    """Fence a text with one backtick more than its own longest fence."""
    longest = max((len(run) for run in _FENCE.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"## {label}\n\n{fence}text\n{text.rstrip()}\n{fence}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
