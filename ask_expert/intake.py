"""
Take a question in: check it, gather its evidence, mask it, name it.

Everything behind this door is masked; nothing before it is stored or sent.
"""

import hashlib
import hmac
import json
import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

from ask_expert import files
from ask_expert.answer_block import clean, head_and_tail, word
from ask_expert.confidence.signals.check_result import CheckResult, run_check
from ask_expert.confidence.signals.repeated_error import signature
from ask_expert.errors import InvalidQuestionError
from ask_expert.experts.cleaning import plain
from ask_expert.house import House
from ask_expert.ledger.records import Closed, Past, new_id
from ask_expert.question import Attachment, Caller, Question, Turn
from ask_expert.redaction import Marks
from ask_expert.yaml_file import nearest

MAX_FILES = 20
"""Most files of one question."""

_MAX_NAME_CHARS = 200
_MAX_AGENT_CHARS = 100
_MAX_CHECK_CHARS = 8000
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """
    A question behind the door: every text in it is masked.

    Attributes:
        id: Handle of the question.
        asked_us: When it was asked, microseconds since 1970 UTC.
        question: The masked question.
        task: The task it belongs to, named by the agent or made up.
        thread: The conversation it continues or begins.
        history: The conversation so far.
        attachments: Masked files, and what is left out.
        check: The masked result of the named check.
        marks: Marks of the thread.
        key: Keyed hash of all that makes it the same question.
        text_key: Keyed hash of its own text alone.
        error_signature: Hash of the normalised error.
        past: What the ledger knows that bears on it.
    """

    id: str
    asked_us: int
    question: Question
    task: str
    thread: str
    history: tuple[Turn, ...]
    attachments: tuple[Attachment, ...]
    check: CheckResult | None
    marks: Marks
    key: str
    text_key: str
    error_signature: str | None
    past: Past


def take_in(house: House, question: Question) -> Case:
    """
    Take a question in. Blocking: it reads files, runs the named check, reads the ledger.

    Raises:
        InvalidQuestionError: It cannot be used; the text says how to mend it.
        LedgerError: The ledger cannot be read.
    """
    question = _admitted(house, question)
    caller = known_caller(house, question.caller)
    asked_us = house.now_us()
    history = _history(house, question.thread, caller)
    marks = Marks(
        key=house.mask_key,
        known=house.ledger.thread_marks(question.thread) if question.thread else {},
    )
    attachments = _masked_files(house, question, marks)
    check = _masked_check(house, question, marks)
    masked = replace(_masked_question(house, question, marks), caller=caller)
    task = (
        masked.task or house.ledger.current_task(caller, now_us=asked_us) or new_id("t")
    )
    key = _key(house.mask_key, masked, attachments, check)
    text_key = _text_key(house.mask_key, masked)
    error = signature(masked.error) if masked.error else None
    return Case(
        id=new_id("q"),
        asked_us=asked_us,
        question=masked,
        task=task,
        thread=question.thread or new_id("c"),
        history=history,
        attachments=attachments,
        check=check,
        marks=marks,
        key=key,
        text_key=text_key,
        error_signature=error,
        past=house.ledger.past(
            caller,
            task=task,
            key=key,
            text_key=text_key,
            error_signature=error,
            thread=question.thread,
            now_us=asked_us,
        ),
    )


def known_caller(house: House, caller: Caller) -> Caller:
    """
    Return the caller as budgets, look-ups and the ledger know it: without secrets.

    The name of a user may be bytes that are no text, which no database takes. A session or project that holds a secret is told from others by a keyed hash.
    Files and checks need the caller as it came. Doing it twice changes nothing.
    """
    agent = house.masker.scrub(clean(caller.agent))
    session = _without_secrets(house, caller.session)
    project = _without_secrets(house, caller.project)
    if session != caller.session or len(session) > _MAX_NAME_CHARS:
        session = f"s_{_digest(house, caller.session)[:16]}"
    if project != caller.project:
        project = f"{project}#{_digest(house, caller.project)[:8]}"
    return replace(
        caller,
        session=session,
        project=project,
        agent=word(agent, _MAX_AGENT_CHARS),
        user=plain(caller.user),
    )


def _without_secrets(house: House, text: str) -> str:
    return house.masker.scrub(_clean(text) or "")


def _digest(house: House, text: str) -> str:
    data = text.encode("utf-8", "surrogatepass")
    return hmac.new(house.mask_key, data, hashlib.sha256).hexdigest()


def _admitted(house: House, question: Question) -> Question:
    """Return the question in clean text, or say what is wrong with it."""
    question = replace(
        question,
        text=_clean(question.text) or "",
        context=_clean(question.context),
        my_answer=_clean(question.my_answer),
        error=_clean(question.error),
        task=_clean(question.task),
        tried=None
        if question.tried is None
        else tuple(filter(None, map(_clean, question.tried))),
    )
    if not question.text:
        raise InvalidQuestionError(
            "`question` is empty. Say in one or two sentences what you need to know."
        )
    _check_sizes(house, question)
    confidence = question.stated_confidence
    if confidence is not None and not 0 <= confidence <= 1:
        raise InvalidQuestionError(
            f"`confidence` must be between 0 and 1, got {confidence:g}. Give 0.7 for 70 %."
        )
    checks = house.settings.checks
    if question.check is not None and question.check not in checks:
        known = nearest(question.check, [*checks]) if checks else "no check is set up."
        raise InvalidQuestionError(
            f"There is no check {question.check[:80]!r}; {known} Leave `check` out or "
            "name a known one; a command cannot be handed in."
        )
    return question


def _check_sizes(house: House, question: Question) -> None:
    parts = (
        question.text,
        question.context or "",
        question.my_answer or "",
        question.error or "",
        *(question.tried or ()),
    )
    size = sum(len(part.encode()) for part in parts)
    limit = house.settings.send.max_bytes
    if size > limit:
        raise InvalidQuestionError(
            f"The question has {size:,} bytes, the limit is {limit:,}. Send the part "
            "that matters: the failing function, the exact error, the tail of a log."
        )
    if len(question.files) > MAX_FILES:
        raise InvalidQuestionError(
            f"{len(question.files)} files are too many; name at most {MAX_FILES}."
        )
    if question.task is not None and len(question.task) > _MAX_NAME_CHARS:
        raise InvalidQuestionError(
            f"`task` is a short name, at most {_MAX_NAME_CHARS} characters long."
        )


def _clean(text: str | None) -> str | None:
    """Return the text without what no database or wire can carry; None if empty."""
    if text is None:
        return None
    return plain(text).strip("\r\n\t ") or None


def _history(house: House, thread: str | None, caller: Caller) -> tuple[Turn, ...]:
    if thread is None:
        return ()
    turns = house.ledger.thread_turns(thread, caller)
    if turns is None:
        raise InvalidQuestionError(
            f"There is no thread {thread[:80]!r} here. Leave `thread` out to "
            "begin a new one, and repeat the context."
        )
    if isinstance(turns, Closed):
        raise InvalidQuestionError(
            f"The thread {thread[:80]!r} is closed. Leave `thread` out to "
            "begin a new one, and repeat the context."
        )
    return turns


def _masked_question(house: House, question: Question, marks: Marks) -> Question:
    def mask(text: str | None) -> str | None:
        return None if text is None else house.masker.mask(text, marks)

    return replace(
        question,
        text=house.masker.mask(question.text, marks),
        context=mask(question.context),
        tried=None
        if question.tried is None
        else tuple(house.masker.mask(each, marks) for each in question.tried),
        my_answer=mask(question.my_answer),
        error=mask(question.error),
        task=mask(question.task),
        files=tuple(house.masker.mask(each, marks) for each in question.files),
    )


def _masked_files(
    house: House, question: Question, marks: Marks
) -> tuple[Attachment, ...]:
    if not question.files:
        return ()
    send = house.settings.send
    found = files.read_files(
        [_clean(path) or "" for path in question.files],
        project=Path(question.caller.project),
        folders=send.folders,
        max_bytes=send.max_bytes,
    )
    return tuple(
        replace(
            each,
            path=house.masker.mask(each.path, marks),
            text=None
            if each.text is None
            else house.masker.mask(_clean(each.text) or "", marks),
        )
        for each in found
    )


def _masked_check(house: House, question: Question, marks: Marks) -> CheckResult | None:
    if question.check is None:
        return None
    result = run_check(
        question.check,
        house.settings.checks[question.check],
        folder=Path(question.caller.project),
        environ=house.environ,
    )
    output = house.masker.mask(_clean(result.output) or "", marks)
    return replace(
        result, output=head_and_tail(output, _MAX_CHECK_CHARS, tail_percent=75)
    )


def _key(
    key: bytes,
    question: Question,
    attachments: tuple[Attachment, ...],
    check: CheckResult | None,
) -> str:
    """Return what two askings of the same question share; never task or session."""
    caller: Caller = question.caller
    parts = [
        caller.user,
        caller.project,
        question.thread,
        _normal(question.text),
        _normal(question.context),
        _normal(question.error),
        [_normal(each) for each in question.tried or ()],
        [check.name, check.passed, signature(check.output)] if check else None,
        [
            [each.path, hashlib.sha256((each.text or "").encode()).hexdigest()]
            for each in attachments
        ],
    ]
    data = json.dumps(parts, ensure_ascii=False).encode()
    return hmac.new(key, data, hashlib.sha256).hexdigest()


def _text_key(key: bytes, question: Question) -> str:
    """Return what two questions share that differ in their evidence alone."""
    parts = [question.caller.user, question.caller.project, _normal(question.text)]
    data = json.dumps(parts, ensure_ascii=False).encode()
    return hmac.new(key, data, hashlib.sha256).hexdigest()


def _normal(text: str | None) -> str | None:
    if text is None:
        return None
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", text)).strip()
