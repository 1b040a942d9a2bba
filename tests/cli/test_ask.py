import json
import sys
from pathlib import Path

import pytest

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


def test_a_dry_run_of_a_panel_shows_each_expert_and_the_sum(home: Path) -> None:
    text = settings_for("http://127.0.0.1:9", policy="mine.yaml")
    dear = text.partition("experts:\n")[2].replace("flagship\n", "dear\n")
    broken = "  - {name: broken, api: openai_chat, model: x, extra_body: {model: y},"
    broken += " base_url: 'http://127.0.0.1:9', price: {input_per_mtok: 1, output_per_mtok: 1}}\n"
    (home / "settings.yaml").write_text(text + dear.replace(": 10}", ": 100}") + broken)
    (home / "mine.yaml").write_text(
        "name: mine\nrules: [{when: always, panel: 3}]\nbudgets: [{scope: day, usd: 5}]\n"
    )

    told = json.loads(ask_expert("ask", "--dry-run", "--json", "Why?", environ=KEY).out)
    shown = " ".join(ask_expert("ask", "--dry-run", "Why?", environ=KEY).out.split())

    each = {voice["expert"]: voice for voice in told["panel"]}
    assert list(each) == ["flagship", "dear", "broken"]
    sums = [each[name]["worst_case_usd"] for name in ("flagship", "dear")]
    assert sums[1] > 9 * sums[0] > 0
    assert told["worst_case_usd"] == pytest.approx(sum(sums))
    assert "'model'" in each["broken"]["why_not"]
    assert told["expert"] == "flagship"
    assert "expert flagship" in shown
    assert "expert dear" in shown
    assert "for a panel of 3" in shown
    assert "Bytes that would be sent to dear" in shown


def test_a_dry_run_of_one_expert_has_no_panel(home: Path) -> None:
    (home / "settings.yaml").write_text(settings_for("http://127.0.0.1:9"))

    told = json.loads(ask_expert("ask", "--dry-run", "--json", "Why?", environ=KEY).out)

    assert (told["panel"], told["why_not"]) == (None, None)


def test_the_last_scan_holds_for_a_vendor_s_program_too(home: Path) -> None:
    program, seen = home / "vendor-cli", home / "seen"
    program.write_text(
        f"#!{sys.executable}\nimport sys\n"
        f"open({str(seen)!r}, 'a').write(sys.stdin.read())\nprint('Use a lock.')\n"
    )
    program.chmod(0o755)
    expert = f"{{name: plan, api: command, model: m, command: [{program}]}}"
    (home / "settings.yaml").write_text(f"policy: mine.yaml\nexperts: [{expert}]\n")
    (home / "mine.yaml").write_text(
        "name: mine\notherwise: escalate\nbudgets: [{scope: day, calls: 5}]\n"
    )
    # A template is the user's own text, so nothing masks it before the last scan.
    ask_expert("templates", "copy", "answer")
    template = home / "templates" / "answer.md"
    plain = template.read_text()
    template.write_text(f"{plain}\nSign in with {SECRET}.\n")

    leaky = json.loads(ask_expert("ask", "Why?", "--json").out)
    unseen = not seen.exists()
    template.write_text(plain)
    sound = json.loads(ask_expert("ask", "Why now?", "--json").out)

    assert (leaky["status"], unseen) == ("unavailable", True)
    assert "aws_access_key" in leaky["reason"]
    assert SECRET not in leaky["reason"]
    assert sound["status"] == "answered"
    assert "Why now?" in seen.read_text()
