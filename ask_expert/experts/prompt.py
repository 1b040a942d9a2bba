"""Compose what an expert is sent from a question: one template, labelled sections."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from ask_expert.answer_block import word
from ask_expert.errors import InvalidQuestionError
from ask_expert.experts import fitting, templates
from ask_expert.experts.fitting import (
    NO_ROOM,
    Exchange,
    Part,
    Room,
    cost,
    exchange_cost,
    section,
)
from ask_expert.experts.templates import Template
from ask_expert.experts.tokens import prompt_bound
from ask_expert.files import shown
from ask_expert.question import Attachment, Prompt, Question, Turn

MAX_TOKENS = 60_000
"""Most tokens of a prompt, where the settings do not say."""

MOST_EVIDENCE_CHARS = 8_000
"""Most characters of an error, and of what a check printed; the rest is cut."""

_MORE_OF_THE_END = 75
"""Per cent of it that is kept from its end: a stack trace says there what failed."""

_NOT_STORED = "was sent, is not stored"
_STUBS_SHARE = 4  # one part in so many may go to saying which files are left out


def compose(
    question: Question,
    *,
    template: Template | None = None,
    history: Sequence[Turn] = (),
    attachments: Sequence[Attachment] = (),
    check_output: str | None = None,
    show_local_answer: bool = True,
    max_tokens: int = MAX_TOKENS,
) -> Prompt:
    """
    Return the prompt: the template as system text, the question as the last turn.

    It has at most `max_tokens`, by `tokens.prompt_bound`. What finds no room is cut or
    dropped in the order that `fitting` states, and named in `left_out`.

    Args:
        question: Masked already.
        template: What the expert is told; the shipped one of its kind when absent.
        history: Earlier turns of the thread, oldest first.
        attachments: Files, and those left out with the reason.
        check_output: What the named check printed, if it did not pass; masked.
        show_local_answer: Whether the expert sees the agent's own answer.
        max_tokens: Most tokens of the prompt.

    Raises:
        InvalidQuestionError: The question alone has more tokens; it is never cut.
    """
    if template is None:
        kind = templates.kind_of(question, show_local_answer=show_local_answer)
        template = templates.shipped(kind)
    sheet = _Sheet(room=Room(left=0))
    _admit(sheet, question, template, history, max_tokens)
    _say_what_files_there_are(sheet, attachments)
    own = question.my_answer if show_local_answer else None
    _cut_in(sheet, _large_parts(question, check_output, own))
    thread = fitting.exchanges(history)
    newest = [each for each in thread[-1:] if sheet.room.take(exchange_cost(each))]
    _add_attempts(sheet, question.tried or ())
    _add_files(sheet, attachments)
    older = fitting.older_that_fit(thread[:-1], sheet.room) if newest else []
    if question.my_answer and not show_local_answer:
        sheet.left_out.append("my_answer: local_answer is omit")
    return _assembled(sheet, template, [*older, *newest], thread)


@dataclass(slots=True, kw_only=True)
class _Sheet:
    """
    The message that is being written.

    Attributes:
        room: Tokens that are left.
        sections: Place on the page → section.
        stored: Place → what the ledger keeps instead, where that differs.
        sent: Names of the parts that are sent.
        left_out: Names of the others, with the reason.
    """

    room: Room
    sections: dict[tuple[int, int], str] = field(
        default_factory=dict[tuple[int, int], str]
    )
    stored: dict[tuple[int, int], str] = field(
        default_factory=dict[tuple[int, int], str]
    )
    sent: list[str] = field(default_factory=list[str])
    left_out: list[str] = field(default_factory=list[str])

    def text(self) -> str:
        """Return the message, in the order of the page."""
        return "\n\n".join(self.sections[place] for place in sorted(self.sections))

    def stored_text(self) -> str:
        """Return what the ledger keeps of it."""
        kept = {**self.sections, **self.stored}
        return "\n\n".join(kept[place] for place in sorted(kept))


_QUESTION, _CONTEXT, _ERROR, _CHECK, _TRIED, _OWN, _FILES = range(7)
"""Places on the page."""


def _admit(
    sheet: _Sheet,
    question: Question,
    template: Template,
    history: Sequence[Turn],
    max_tokens: int,
) -> None:
    """Write the question, and set aside what the rest of the frame takes."""
    asked = section("Question", question.text)
    notes = max(map(len, (fitting.BETWEEN, fitting.BEFORE))) + 2 if history else 0
    if question.tried:
        notes += cost(_attempts_left_out(len(question.tried)))
    frame = Prompt(system=template.text, turns=(Turn(role="user", text=""),))
    sheet.room.left = max_tokens - prompt_bound(frame) - notes
    most = sheet.room.left
    if not sheet.room.take(cost(asked)):
        raise InvalidQuestionError(
            f"`question` alone may have {cost(asked):,} tokens; send.max_tokens leaves "
            f"{max(0, most):,} for it. Say in a few sentences what you need to know, and "
            "give code and data in `context`, which can be cut."
        )
    sheet.sections[_QUESTION, 0] = asked
    sheet.sent.append("question")


def _large_parts(
    question: Question, check_output: str | None, own_answer: str | None
) -> Iterator[tuple[int, Part]]:
    """Yield what is cut in its middle, the most important first, with its place."""
    if question.error:
        yield _ERROR, _evidence("error", "Last error", question.error)
    if check_output:
        label = "Output of the check, which did not pass"
        yield _CHECK, _evidence("check", label, check_output)
    if question.context:
        yield _CONTEXT, Part(name="context", label="Context", text=question.context)
    if own_answer:
        label = "The model's own answer so far"
        yield _OWN, Part(name="my_answer", label=label, text=own_answer)


def _evidence(name: str, label: str, text: str) -> Part:
    return Part(
        name=name,
        label=label,
        text=text,
        tail_percent=_MORE_OF_THE_END,
        most_chars=MOST_EVIDENCE_CHARS,
    )


def _cut_in(sheet: _Sheet, parts: Iterable[tuple[int, Part]]) -> None:
    for place, part in parts:
        text, missing = fitting.cut_to_fit(part, sheet.room)
        if text is not None:
            sheet.sections[place, 0] = text
            sheet.sent.append(part.name)
        if missing is not None:
            sheet.left_out.append(missing)


def _add_attempts(sheet: _Sheet, tried: Sequence[str]) -> None:
    """Write the attempts that find room, the newest first."""
    dropped: list[int] = []
    written: list[int] = []
    for number, attempt in reversed([*enumerate(tried, start=1)]):
        text = section(f"Tried and failed, attempt {number}", attempt)
        if sheet.room.take(cost(text)):
            sheet.sections[_TRIED, number] = text
            written.append(number)
        else:
            dropped.append(number)
    if dropped:
        sheet.sections[_TRIED, 0] = _attempts_left_out(len(dropped))
    sheet.sent += _numbered(written)
    sheet.left_out += (f"{name}: {NO_ROOM}" for name in _numbered(dropped))


def _attempts_left_out(number: int) -> str:
    return f"## Tried and failed, attempts left out\n\nThere is no room for {number}."


def _numbered(numbers: Sequence[int]) -> Iterator[str]:
    """Yield `tried 1` or, for those in a row, `tried 1-3`; oldest first."""
    ordered = enumerate(sorted(numbers))
    for _, run in groupby(ordered, key=lambda pair: pair[1] - pair[0]):
        first, *more = [number for _, number in run]
        yield f"tried {first}-{more[-1]}" if more else f"tried {first}"


def _say_what_files_there_are(sheet: _Sheet, attachments: Sequence[Attachment]) -> None:
    """Write of every file that it is left out, as far as there is room for that."""
    share = Room(left=sheet.room.left // _STUBS_SHARE)
    for number, attachment in enumerate(attachments):
        stub = _stub(attachment, attachment.left_out or "no room")
        if share.take(cost(stub)):
            sheet.room.take(cost(stub))
            sheet.sections[_FILES, number] = stub


def _stub(attachment: Attachment, reason: str) -> str:
    return f"## File {word(attachment.path)}\n\nLeft out: {word(reason)}"


def _add_files(sheet: _Sheet, attachments: Sequence[Attachment]) -> None:
    """Write the files that find room, in the order in which they are named."""
    for number, attachment in enumerate(attachments):
        place = _FILES, number
        path = word(attachment.path)
        if attachment.text is None:
            reason = attachment.left_out or "not readable"
            sheet.left_out.append(f"{path}: {word(reason)}")
            continue
        text = section(f"File {path}", attachment.text)
        stub = sheet.sections.get(place)
        freed = 0 if stub is None else cost(stub)
        if sheet.room.take(cost(text) - freed):
            sheet.sections[place] = text
            sheet.stored[place] = _stub(attachment, _NOT_STORED)
            sheet.sent.append(f"file {shown(path)}")
        else:
            sheet.left_out.append(f"{path}: {NO_ROOM}")


def _assembled(
    sheet: _Sheet, template: Template, kept: Sequence[Exchange], thread: list[Exchange]
) -> Prompt:
    """Return the prompt with as much of the thread as was kept."""
    turns = [turn for exchange in kept for turn in exchange]
    skipped = sum(map(len, thread)) - len(turns)
    asked = Turn(role="user", text=sheet.text())
    return Prompt(
        system=fitting.with_note(template.text, fitting.history_note(kept, thread)),
        turns=(*turns, asked),
        template=template.name,
        stored=sheet.stored_text(),
        sent=(*sheet.sent, *fitting.thread_sent(len(turns))),
        left_out=(*sheet.left_out, *fitting.thread_left_out(skipped, NO_ROOM)),
        skipped_turns=skipped,
    )
