import hashlib
from pathlib import Path

import pytest
from dirty_equals import IsStr
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from ask_expert.errors import ConfigError
from ask_expert.experts import templates
from ask_expert.experts.templates import KINDS, Kind, kind_of, load, needs_context
from ask_expert.experts.tokens import text_bound
from ask_expert.question import Caller, Question

CALLER = Caller(session="s", project="/p", user="u")


def a_question(**facts: object) -> Question:
    return Question(**{"text": "Why?", "caller": CALLER, **facts})  # pyright: ignore[reportArgumentType]


def own(home: Path, kind: Kind, text: str | bytes) -> Path:
    file = home / "templates" / f"{kind}.md"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({}, "answer"),
        ({"context": "code", "tried": ()}, "answer"),
        ({"tried": ("one",)}, "advise"),
        ({"error": "KeyError"}, "advise"),
        ({"check": "tests"}, "advise"),
        ({"my_answer": "a lock"}, "review"),
        ({"my_answer": "a lock", "error": "KeyError"}, "review"),
    ],
)
def test_what_a_question_brings_picks_its_kind(
    facts: dict[str, object], kind: Kind
) -> None:
    assert kind_of(a_question(**facts), show_local_answer=True) == kind


def test_an_answer_that_the_expert_does_not_see_is_not_reviewed() -> None:
    question = a_question(my_answer="a lock")

    assert kind_of(question, show_local_answer=False) == "advise"


def test_every_question_to_a_panel_is_of_its_kind() -> None:
    question = a_question(my_answer="a lock")

    assert kind_of(question, show_local_answer=True, panel=True) == "panel"


@pytest.mark.parametrize("kind", KINDS)
def test_every_template_tells_the_expert_the_rules(kind: Kind) -> None:
    template = load(kind, None)

    assert template.name == f"{kind} 1"
    assert template.text.count("\n") < 20
    assert text_bound(template.text.encode()) < 1000
    for words in (
        "smaller model",
        "stand on its own",
        "NEEDS_CONTEXT on the first line",
        "not your thoughts on the way",
        "one line `CHECK:`",
        "is data",
        "«SECRET:",
    ):
        assert words in template.text
    assert "step by step" not in template.text


def test_the_kinds_ask_for_different_first_sentences() -> None:
    texts = {kind: load(kind, None).text for kind in KINDS}

    assert "right, right in part, or wrong" in texts["review"]
    assert "The first line is `ANSWER:`" in texts["panel"]
    assert "at most 15" in texts["panel"]
    assert len(set(texts.values())) == len(KINDS)


def test_an_own_file_replaces_the_shipped_one_and_is_told_by_its_hash(
    home: Path,
) -> None:
    file = own(home, "advise", "advise 7b\n\nBe brief.\n")

    template = load("advise", home)

    digits = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    assert template.name == f"advise 7b (own, {digits})"
    assert (template.text, template.file) == ("Be brief.", file)
    assert load("answer", home).name == "answer 1"
    assert load("advise", None).name == "advise 1"


def test_an_edit_counts_from_the_next_question_on(home: Path) -> None:
    file = own(home, "review", "review 1\nOne.")
    before = load("review", home)
    file.write_text("review 1\nTwo.")

    after = load("review", home)
    file.unlink()

    assert (before.text, after.text) == ("One.", "Two.")
    assert before.name != after.name
    assert load("review", home).name == "review 1"


def test_a_file_from_another_editor_is_read_all_the_same(home: Path) -> None:
    own(home, "panel", b"\xef\xbb\xbfpanel 2\r\n\r\nOne.\r\nTwo.\r\n")

    assert load("panel", home).text == "One.\nTwo."


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("", "first line must be"),
        ("You advise a smaller model.\n", "such as `advise 2`"),
        ("review 1\nText.", "such as `advise 2`"),
        ("advise\nText.", "such as `advise 2`"),
        ("advise 1 (own)\nText.", "such as `advise 2`"),
        ("advise 2\n \n", "holds no text"),
        (b"advise 2\n\xff", "save it as UTF-8"),
        ("advise 2\n" + "x" * 20_000, "20,009 bytes, the most is 16,000"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_it_is_and_what_to_do(
    home: Path, written: str | bytes, complaint: str
) -> None:
    file = own(home, "advise", written)

    with pytest.raises(ConfigError, match=complaint.replace("(", r"\(")) as caught:
        load("advise", home)

    assert caught.value.file == file
    with pytest.raises(ConfigError):
        templates.every(home)


def test_a_folder_in_its_place_cannot_be_read(home: Path) -> None:
    (home / "templates" / "advise.md").mkdir(parents=True)

    with pytest.raises(
        ConfigError, match=r"advise\.md: cannot be read: Is a directory"
    ):
        load("advise", home)


def test_a_copy_is_the_shipped_text_to_edit_and_is_never_written_over(
    home: Path,
) -> None:
    file = templates.copy("answer", home)

    copied = load("answer", home)
    assert copied.name == snapshot(IsStr(regex=r"answer 1 \(own, [0-9a-f]{8}\)"))
    assert copied.text == load("answer", None).text
    assert file.stat().st_mode & 0o777 == 0o600

    file.write_text("answer 2\nMine.")
    with pytest.raises(ConfigError, match="is there already"):
        templates.copy("answer", home)
    assert load("answer", home).text == "Mine."


def test_a_copy_is_not_written_through_a_link(home: Path, tmp_path: Path) -> None:
    (home / "templates").mkdir()
    link = home / "templates" / "answer.md"
    link.symlink_to(tmp_path / "elsewhere.md")

    with pytest.raises(ConfigError, match="is there already"):
        templates.copy("answer", home)

    assert not (tmp_path / "elsewhere.md").exists()


def test_a_home_that_is_a_file_cannot_hold_a_copy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="cannot be written"):
        templates.copy("answer", tmp_path / "file")


@pytest.mark.parametrize(
    "text",
    [
        "NEEDS_CONTEXT",
        "NEEDS_CONTEXT: the model's schema",
        "\n \n**NEEDS_CONTEXT**\n- the schema",
        "## NEEDS_CONTEXT:",
        "`NEEDS_CONTEXT`",
        "_NEEDS_CONTEXT_",
        "> NEEDS\\_CONTEXT",
        "NEEDS CONTEXT - the schema",
    ],
)
def test_an_answer_can_say_that_something_is_missing(text: str) -> None:
    assert needs_context(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "The lock order differs.\nNEEDS_CONTEXT",
        "Needs context managers around both locks.",
        "NEEDS_CONTEXTS",
        "NEEDS_CONTEXT_MANAGER is not defined.",
        "It NEEDS_CONTEXT",
    ],
)
def test_other_answers_do_not_say_so(text: str) -> None:
    assert not needs_context(text)


@given(st.text(alphabet="NEDS_CONTX \n*#:", max_size=40))
def test_only_the_first_line_counts(text: str) -> None:
    assert not needs_context(f"An answer.\n{text}")
