import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ask_expert.errors import InvalidQuestionError
from ask_expert.experts.fitting import BEFORE, BETWEEN, shorter, within
from ask_expert.experts.prompt import MOST_EVIDENCE_CHARS, compose
from ask_expert.experts.templates import Template
from ask_expert.experts.tokens import prompt_bound, text_bound
from ask_expert.question import Attachment, Caller, Prompt, Question, Turn
from ask_expert.redaction.marks import MARK_RE

CALLER = Caller(session="s", project="/p", user="u")
TEMPLATE = Template(name="advise 9", text="Be brief.")
LINES = "".join(f"line {number}\n" for number in range(1, 5001))


def a_question(**facts: object) -> Question:
    return Question(**{"text": "Why?", "caller": CALLER, **facts})  # pyright: ignore[reportArgumentType]


def a_thread(pairs: int, *, chars: int = 400) -> tuple[Turn, ...]:
    """Return a conversation whose questions and answers begin with their number."""
    return tuple(
        Turn(role=role, text=f"{role} {number} " + "x" * chars)
        for number in range(1, pairs + 1)
        for role in ("user", "assistant")
    )


def kept(prompt: Prompt) -> list[str]:
    return [turn.text.split()[1] for turn in prompt.turns[:-1] if turn.role == "user"]


def fit(question: Question, max_tokens: int, **more: object) -> Prompt:
    return compose(question, template=TEMPLATE, max_tokens=max_tokens, **more)  # pyright: ignore[reportArgumentType]


def test_what_fits_is_sent_whole() -> None:
    question = a_question(context="c" * 3000, error="e" * 3000, tried=("t" * 3000,))

    prompt = fit(question, 60_000, history=a_thread(3))

    assert prompt.left_out == ()
    assert (kept(prompt), prompt.skipped_turns) == (["1", "2", "3"], 0)
    assert prompt.system == "Be brief."


def test_the_oldest_turns_between_the_first_and_the_newest_go_first() -> None:
    prompt = fit(a_question(), 3500, history=a_thread(6))

    assert kept(prompt) == ["1", "5", "6"]
    assert prompt.system == f"Be brief.\n\n{BETWEEN}"
    assert prompt.skipped_turns == 6
    assert prompt.sent[-1] == "thread: 6 older turns"
    assert prompt.left_out == ("thread: 6 older turns, no room in send.max_tokens",)


def test_then_the_first_question_of_the_thread_and_the_newest_last() -> None:
    attachments = (Attachment(path="a.py", text="y" * 900),)

    with_file = fit(a_question(), 2200, history=a_thread(3), attachments=attachments)
    with_error = fit(a_question(error="9" * 1400), 1800, history=a_thread(3))

    assert (kept(with_file), "file a.py" in with_file.sent) == (["3"], True)
    assert with_file.system == f"Be brief.\n\n{BEFORE}"
    assert (kept(with_error), with_error.sent) == ([], ("question", "error"))
    assert with_error.skipped_turns == 6


def test_files_go_before_attempts_and_the_last_named_first() -> None:
    attachments = tuple(
        Attachment(path=f"{name}.py", text="9" * 1000) for name in ("a", "b", "c")
    )
    question = a_question(tried=("8" * 1000, "7" * 1000))

    two_files = fit(question, 5000, attachments=attachments)
    no_file = fit(question, 2800, attachments=attachments)
    one_attempt = fit(question, 1800, attachments=attachments)

    assert two_files.sent == ("question", "tried 1-2", "file a.py", "file b.py")
    assert two_files.left_out == ("c.py: no room in send.max_tokens",)
    assert no_file.sent == ("question", "tried 1-2")
    assert one_attempt.sent == ("question", "tried 2")
    assert one_attempt.left_out[0] == "tried 1: no room in send.max_tokens"
    assert "There is no room for 1." in one_attempt.turns[-1].text


def test_a_smaller_file_takes_the_room_that_a_larger_one_leaves() -> None:
    attachments = (
        Attachment(path="large.py", text="9" * 9000),
        Attachment(path="small.py", text="9" * 900),
    )

    prompt = fit(a_question(), 3000, attachments=attachments)

    assert "file small.py" in prompt.sent
    assert "large.py: no room in send.max_tokens" in prompt.left_out


def test_the_own_answer_is_cut_before_the_context_and_that_before_the_error() -> None:
    question = a_question(
        context=LINES[:6000], error=LINES[:6000], my_answer=LINES[:6000]
    )

    def cut(max_tokens: int) -> set[str]:
        return {each.split(":")[0] for each in fit(question, max_tokens).left_out}

    assert cut(60_000) == set()
    assert cut(12_000) == {"my_answer"}
    assert cut(8000) == {"my_answer", "context"}
    assert cut(3000) == {"my_answer", "context", "error"}


def test_a_cut_says_how_much_is_missing_and_falls_between_lines() -> None:
    prompt = fit(a_question(context=LINES), 10_000)

    (note,) = prompt.left_out
    text = prompt.turns[-1].text
    shown = re.search(r"^\[… ([\d,]+) characters left out …\]$", text, re.MULTILINE)
    assert shown is not None
    assert note == f"context: {shown[1]} characters cut from its middle"
    assert set(re.findall(r"^line.*$", text, re.MULTILINE)) <= set(LINES.splitlines())
    assert prompt_bound(prompt) > 9_900


def test_error_and_check_output_are_always_cut_to_their_end_and_beginning() -> None:
    prompt = fit(
        a_question(error=f"Traceback\n{LINES}KeyError: 'x'"),
        60_000,
        check_output=f"$ check tests\n{LINES}1 failed",
    )

    text = prompt.turns[-1].text
    assert len(text) < 2 * MOST_EVIDENCE_CHARS + 500
    for kept_of_it in ("Traceback", "KeyError: 'x'", "$ check tests", "1 failed"):
        assert kept_of_it in text
    assert [each.split(":")[0] for each in prompt.left_out] == ["error", "check"]
    head, _, tail = text.partition("[…")
    assert 2 * len(head) < len(tail.partition("## ")[0])


def test_the_question_is_never_cut_but_refused_where_it_alone_is_too_large() -> None:
    question = a_question(text="9" * 2000, context="c")

    assert "9" * 2000 in fit(question, 2200).turns[-1].text
    with pytest.raises(
        InvalidQuestionError, match=r"send\.max_tokens leaves 1,\d\d\d for it"
    ):
        fit(question, 2000)


MARKED = st.lists(
    st.sampled_from(
        ["«SECRET:aws_access_key:1»", "x", "word ", "\n", "9" * 40, "锁", "`" * 3]
    ),
    max_size=60,
).map(lambda pieces: "".join(pieces) * 7)
TEXT = st.one_of(st.none(), MARKED)
FILES = st.lists(
    st.one_of(
        st.builds(Attachment, path=st.sampled_from(["a.py", "b:1-9"]), text=MARKED),
        st.builds(Attachment, path=st.just("p" * 300), left_out=st.just("is gone")),
    ),
    max_size=4,
)


@st.composite
def questions(draw: st.DrawFn) -> tuple[Question, dict[str, object]]:
    question = a_question(
        text=draw(MARKED.filter(str.strip)),
        context=draw(TEXT),
        error=draw(TEXT),
        my_answer=draw(TEXT),
        tried=tuple(draw(st.lists(MARKED, max_size=4))),
    )
    chars = draw(st.integers(0, 900))
    return question, {
        "history": a_thread(draw(st.integers(0, 5)), chars=chars),
        "attachments": tuple(draw(FILES)),
        "check_output": draw(TEXT),
        "show_local_answer": draw(st.booleans()),
    }


@settings(max_examples=150)
@given(questions(), st.integers(1_000, 30_000))
def test_no_prompt_is_larger_than_allowed_and_nothing_of_it_is_half(
    asked: tuple[Question, dict[str, object]], max_tokens: int
) -> None:
    question, more = asked
    try:
        prompt = compose(question, max_tokens=max_tokens, **more)  # pyright: ignore[reportArgumentType]
    except InvalidQuestionError:
        frame = 1200  # a template, and the lines that say what is left out
        assert text_bound(question.text.encode()) > max_tokens - frame
        return

    assert prompt_bound(prompt) <= max_tokens
    assert question.text.rstrip() in prompt.turns[-1].text
    for text in (prompt.turns[-1].text, prompt.stored):
        rest = re.sub(MARK_RE, "", text)
        assert "«" not in rest
        assert "»" not in rest
    assert prompt == compose(question, max_tokens=max_tokens, **more)  # pyright: ignore[reportArgumentType]


@settings(max_examples=100)
@given(questions(), st.integers(1_000, 30_000))
def test_every_part_is_either_sent_or_named_with_the_reason(
    asked: tuple[Question, dict[str, object]], max_tokens: int
) -> None:
    question, more = asked
    try:
        prompt = compose(question, max_tokens=max_tokens, **more)  # pyright: ignore[reportArgumentType]
    except InvalidQuestionError:
        return

    named = {*prompt.sent, *(each.split(":")[0] for each in prompt.left_out)}
    for name in ("context", "error", "my_answer"):
        assert (name in named) == bool(getattr(question, name))
    assert ("check" in named) == bool(more["check_output"])
    files = [each for each in named if each.startswith(("file", "a.py", "b", "p"))]
    assert bool(files) == bool(more["attachments"])
    tried = [each for each in named if each.startswith("tried")]
    assert bool(tried) == bool(question.tried)
    history = more["history"]
    assert len(prompt.turns) - 1 + prompt.skipped_turns == len(history)  # pyright: ignore[reportArgumentType]


def test_a_prompt_is_made_shorter_by_half_of_its_older_turns_until_none_is_left() -> (
    None
):
    prompt = fit(a_question(), 60_000, history=a_thread(7))
    seen: list[list[str]] = []
    notes: list[str] = []

    while (next_one := shorter(prompt)) is not None:
        prompt = next_one
        seen.append(kept(prompt))
        notes.append(prompt.left_out[-1])

    assert seen == [["1", "6", "7"], ["7"], []]
    assert notes == [
        f"thread: {turns} older turns, no room in the budget" for turns in (8, 12, 14)
    ]


def test_what_the_expert_is_told_follows_what_is_left_out() -> None:
    whole = fit(a_question(error="E"), 60_000, history=a_thread(4))

    half = shorter(whole)
    assert half is not None
    newest = shorter(half)
    assert newest is not None

    assert half.system == f"Be brief.\n\n{BETWEEN}"
    assert newest.system == f"Be brief.\n\n{BEFORE}"
    assert (half.turns[-1], half.stored) == (whole.turns[-1], whole.stored)
    assert half.sent == ("question", "error", "thread: 4 older turns")
    assert newest.sent == ("question", "error", "thread: 2 older turns")
    assert half.template == whole.template


def test_turns_that_were_left_out_before_are_counted_on() -> None:
    composed = fit(a_question(), 3500, history=a_thread(6))

    once = shorter(composed)

    assert once is not None
    assert kept(once) == ["6"]
    assert once.skipped_turns == 10
    assert once.left_out == ("thread: 10 older turns, no room in the budget",)


def test_a_first_question_cannot_be_made_shorter() -> None:
    assert shorter(fit(a_question(), 60_000)) is None


def test_as_many_turns_are_kept_as_a_window_holds() -> None:
    prompt = fit(a_question(), 60_000, history=a_thread(6))

    small = within(prompt, 3300)

    assert small is not None
    assert kept(small) == ["1", "5", "6"]
    assert small.left_out == ("thread: 6 older turns, no room in the expert's window",)
    assert within(prompt, 60_000) is prompt
    assert within(prompt, 100) is not None
    assert within(prompt, 20) is None


@given(st.integers(0, 8), st.integers(10, 5_000))
def test_what_is_within_a_window_fits_into_it(pairs: int, tokens: int) -> None:
    prompt = fit(a_question(), 60_000, history=a_thread(pairs))

    small = within(prompt, tokens)

    if small is None:
        assert prompt_bound(fit(a_question(), 60_000)) > tokens - len(BEFORE) - 2
    else:
        assert prompt_bound(small) <= tokens
        assert len(small.turns) + small.skipped_turns == len(prompt.turns)
        roles = [turn.role for turn in small.turns]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
