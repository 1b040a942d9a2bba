import json
from pathlib import Path

from tests.cli.running import KEY, ask_expert, settings_for
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour

SECRET = "AKIAIOSFODNN7EXAMPLE"
QUESTION = f"why does my asyncio.gather hang? {SECRET}"


def test_a_dry_run_without_any_set_up_shows_the_mark_and_what_to_set(
    home: Path,
) -> None:
    ended = ask_expert("ask", "--dry-run", QUESTION)

    assert ended.status == 0
    assert "why does my asyncio.gather hang? «SECRET:aws_access_key:1»" in ended.out
    assert "stay_local" in ended.out
    assert "set OPENAI_API_KEY" in ended.out
    assert SECRET not in ended.out + ended.err


def test_a_dry_run_shows_the_very_bytes_and_sends_none_of_them(home: Path) -> None:
    with Provider() as provider:
        (home / "settings.yaml").write_text(settings_for(provider.url))

        ended = ask_expert("ask", "--dry-run", "--json", QUESTION, environ=KEY)
        shown = json.loads(ended.out)
        assert provider.requests == []

        sent = ask_expert("ask", "--json", QUESTION, environ=KEY)

    assert json.loads(sent.out)["status"] == "answered"
    (request,) = provider.requests
    assert json.loads(shown["body"]) == request.json
    assert shown["body"].encode() == request.body
    assert SECRET not in ended.out
    assert SECRET.encode() not in request.body


def test_a_dry_run_names_decision_rule_expert_price_and_kinds(home: Path) -> None:
    (home / "settings.yaml").write_text(settings_for("http://127.0.0.1:9"))

    ended = ask_expert("ask", "--dry-run", QUESTION, environ=KEY)

    words = " ".join(ended.out.split())
    assert "decision escalate (otherwise:" in words
    assert "expert flagship" in words
    assert "endpoint http://127.0.0.1:9/v1/chat/completions" in words
    assert "price settings" in words
    assert "masked aws_access_key" in words
    assert "4,096 out" in words


def test_a_dry_run_puts_nothing_on_record(home: Path) -> None:
    ask_expert("ask", "--dry-run", QUESTION)

    listed = ask_expert("ledger", "list", "--json")

    assert json.loads(listed.out) == []
    assert SECRET.encode() not in (home / "ledger.db").read_bytes()


def test_an_answer_comes_with_its_cost_and_a_handle(home: Path) -> None:
    with Provider(Behaviour(text="Await every task.")) as provider:
        (home / "settings.yaml").write_text(settings_for(provider.url))

        ended = ask_expert("ask", "Why does it hang?", environ=KEY)

    assert ended.status == 0
    assert "Await every task." in ended.out
    assert "$0.00042" in ended.out
    assert "question id" in ended.out


def test_everything_that_is_given_reaches_the_expert(
    home: Path, tmp_path: Path
) -> None:
    (tmp_path / "context.py").write_text("def from_a_file(): ...\n")
    (tmp_path / "sent.py").write_text("def attached(): ...\n")
    with Provider() as provider:
        (home / "settings.yaml").write_text(settings_for(provider.url))

        ended = ask_expert(
            "ask",
            "Why?",
            "--context",
            "@context.py",
            "--tried",
            "first way",
            "--tried",
            "second way",
            "--my-answer",
            "my draft",
            "--error",
            "-",
            "--file",
            "sent.py",
            stdin=b"KeyError: 'x' \xff",
            folder=tmp_path,
            environ=KEY,
        )

    assert ended.status == 0
    (request,) = provider.requests
    text = request.body.decode()
    for part in (
        "from_a_file",
        "first way",
        "second way",
        "my draft",
        "KeyError",
        "attached",
    ):
        assert part in text


def test_a_slow_answer_is_waited_for(home: Path) -> None:
    with Provider(Behaviour(delay_s=1.5)) as provider:
        text = settings_for(provider.url) + "answer_within_s: 0.1\n"
        (home / "settings.yaml").write_text(text)

        ended = ask_expert("ask", "--json", "Why?", environ=KEY)

    assert json.loads(ended.out)["status"] == "answered"


def test_no_expert_is_status_1_with_what_to_set(home: Path) -> None:
    ended = ask_expert("ask", "Why?", "--policy", "quality")

    assert ended.status == 1
    assert "set OPENAI_API_KEY" in ended.out


def test_an_unusable_question_is_one_sentence(home: Path) -> None:
    ended = ask_expert("ask", "Why?", "--confidence", "7")

    assert (ended.status, ended.out) == (1, "")
    assert ended.err == (
        "ask-expert: `confidence` must be between 0 and 1, got 7. Give 0.7 for 70 %.\n"
    )


def test_a_key_is_never_printed(home: Path) -> None:
    with Provider(Behaviour(status=401, message="Wrong key")) as provider:
        (home / "settings.yaml").write_text(settings_for(provider.url))

        ended = ask_expert("ask", "Why?", environ=KEY)

    assert ended.status == 1
    assert KEY["FLAGSHIP_KEY"] not in ended.out + ended.err
