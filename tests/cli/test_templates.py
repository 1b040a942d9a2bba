import json
from pathlib import Path

from tests.cli.running import KEY, ask_expert, settings_for
from tests.fakes.provider import Provider


def test_the_kinds_are_listed_with_where_each_comes_from(home: Path) -> None:
    (home / "templates").mkdir()
    (home / "templates" / "review.md").write_text("review mine\nBe strict.\n")

    short = ask_expert("templates")
    listed = ask_expert("templates", "list")
    form = json.loads(ask_expert("templates", "list", "--json").out)

    assert short.out == listed.out
    assert [line.split()[0] for line in listed.out.splitlines()] == [
        "kind",
        "advise",
        "answer",
        "review",
        "panel",
    ]
    assert "shipped" in listed.out.splitlines()[1]
    assert form[0] == {"kind": "advise", "name": "advise 1", "file": None}
    assert form[2]["file"] == str(home / "templates" / "review.md")
    assert form[2]["name"].startswith("review mine (own, ")


def test_a_copy_is_edited_and_counts_from_the_next_question_on(home: Path) -> None:
    with Provider() as provider:
        (home / "settings.yaml").write_text(settings_for(provider.url))
        copied = ask_expert("templates", "copy", "answer")
        own = home / "templates" / "answer.md"
        own.write_text(own.read_text().replace("answer 1", "answer 2-brief", 1))
        own.write_text(own.read_text() + "Answer in one sentence.\n")

        shown = ask_expert("templates", "show", "answer")
        dry = ask_expert("ask", "--dry-run", "--json", "Why?", environ=KEY)
        asked = ask_expert("ask", "Why?", environ=KEY)

    assert asked.status == 0
    assert copied.out.startswith(f"{own} is written")
    assert shown.out == own.read_text()
    (request,) = provider.requests
    assert "Answer in one sentence." in request.body.decode()
    assert json.loads(dry.out)["template"].startswith("answer 2-brief (own, ")


def test_a_copy_never_replaces_what_is_there(home: Path) -> None:
    ask_expert("templates", "copy", "panel")
    own = home / "templates" / "panel.md"
    own.write_text("panel 2\nMine.\n")

    again = ask_expert("templates", "copy", "panel")

    assert again.status == 1
    assert "is there already; edit it, or remove it first" in again.err
    assert own.read_text() == "panel 2\nMine.\n"


def test_a_shipped_template_is_shown_with_its_version(home: Path) -> None:
    shown = ask_expert("templates", "show", "review")

    assert shown.out.startswith("review 1\n\nYou review the answer of")


def test_a_file_that_cannot_be_used_is_one_sentence(home: Path) -> None:
    (home / "templates").mkdir()
    (home / "templates" / "advise.md").write_text("Be brief.\n")

    listed = ask_expert("templates")
    asked = ask_expert("ask", "Why?", "--error", "KeyError", "--policy", "quality")

    for ended in (listed, asked):
        assert ended.status == 1
    assert "advise.md:1: the first line must be the template's name" in listed.err


def test_an_unknown_kind_is_told_with_those_there_are(home: Path) -> None:
    shown = ask_expert("templates", "show", "advice")

    assert shown.status == 2
    for kind in ("advise", "answer", "review", "panel"):
        assert kind in shown.err


def test_a_dry_run_names_what_would_be_sent_and_what_not(
    home: Path, tmp_path: Path
) -> None:
    (home / "settings.yaml").write_text(
        settings_for("http://127.0.0.1:9") + "send: {max_tokens: 3000}\n"
    )
    (tmp_path / "small.py").write_text("a = 1\n")
    (tmp_path / "large.py").write_text("a = 12345\n" * 2000)
    arguments = ["ask", "--dry-run", "Why?", "--error", "9" * 20_000]
    arguments += ["--file", "small.py:1-1", "--file", "large.py"]

    words = " ".join(ask_expert(*arguments, folder=tmp_path, environ=KEY).out.split())
    form = json.loads(
        ask_expert(*arguments, "--json", folder=tmp_path, environ=KEY).out
    )

    assert "template advise 1" in words
    assert "sent question, error" in words
    assert form["sent"][:2] == ["question", "error"]
    assert form["left_out"][0].startswith("error: ")
    assert form["left_out"][0].endswith(" characters cut from its middle")
    assert "large.py: no room in send.max_tokens" in form["left_out"]
