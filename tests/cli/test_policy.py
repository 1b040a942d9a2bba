import json
from pathlib import Path

from ask_expert.policy.presets import PRESETS
from tests.cli.running import ask_expert


def test_the_presets_are_listed_with_what_they_are_for() -> None:
    ended = ask_expert("policy", "list")

    lines = [line.split(maxsplit=1) for line in ended.out.splitlines()]
    assert [name for name, _ in lines] == list(PRESETS)
    assert dict(lines)["frugal"] == "pay only when something has measurably failed."


def test_a_preset_is_shown_as_it_is_written() -> None:
    ended = ask_expert("policy", "show", "balanced")

    assert ended.out.startswith("# balanced: ")
    assert "  - {scope: day, usd: 5.00}\n" in ended.out


def test_an_unknown_preset_names_the_nearest() -> None:
    ended = ask_expert("policy", "show", "frugel")

    assert (ended.status, ended.out) == (1, "")
    assert ended.err == (
        "ask-expert: there is no policy 'frugel'; did you mean 'frugal'?\n"
    )


def test_a_sound_policy_passes_its_check() -> None:
    ended = ask_expert("policy", "check", "balanced")

    assert ended.status == 0


def test_a_rule_that_cannot_matter_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nrules:\n  - when: always\n  - when: check_failed\n"
    )

    ended = ask_expert("policy", "check", "mine.yaml", folder=tmp_path)

    assert ended.status == 0
    assert "warning  check_failed  is never reached" in ended.out


def test_a_policy_that_cannot_work_is_status_1(home: Path, tmp_path: Path) -> None:
    (home / "settings.yaml").write_text(
        "experts: [{name: flagship, api: openai_chat, model: m}]\n"
    )
    (tmp_path / "mine.yaml").write_text("name: mine\nladder: [flagshp]\n")

    ended = ask_expert("policy", "check", "mine.yaml", folder=tmp_path)

    assert ended.status == 1
    assert "did you mean 'flagship'?" in ended.out


def test_a_malformed_policy_names_file_line_and_the_nearest_key(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\nrulez: []\n")

    ended = ask_expert("policy", "check", "mine.yaml", folder=tmp_path)

    assert ended.status == 1
    assert "mine.yaml:2: 'rulez': unknown key 'rulez'; did you mean 'rules'?" in (
        ended.err
    )


def test_presets_part_on_the_shipped_questions_each_time_by_a_named_rule() -> None:
    ended = ask_expert("policy", "replay", "--json")

    found = json.loads(ended.out)
    columns = {
        name: tuple(each["decisions"][name]["action"] for each in found["questions"])
        for name in PRESETS
    }
    assert found["policies"] == list(PRESETS)
    assert len(set(columns.values())) == len(PRESETS)
    assert found["differences"]
    rules = {
        each["rule"]
        for question in found["questions"]
        for each in question["decisions"].values()
    }
    for difference in found["differences"]:
        assert any(f"({rule})" in difference for rule in rules)


def test_own_questions_and_policies_can_be_replayed(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\notherwise: refuse\n")
    (tmp_path / "questions.jsonl").write_text(
        '{"id": "one", "text": "Why?", "facts": {"check_failed": true}}\n'
    )

    ended = ask_expert(
        "policy",
        "replay",
        "frugal",
        "mine.yaml",
        "--questions",
        "questions.jsonl",
        folder=tmp_path,
    )

    assert ended.out == (
        "question  frugal    mine\n"
        "one       escalate  refuse\n"
        "\n"
        "Where they part, by which rules\n"
        "one: frugal escalate (check_failed), mine refuse (otherwise)\n"
    )


def test_questions_that_cannot_be_read_name_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text('{"id": "one"\n')

    ended = ask_expert(
        "policy", "replay", "--questions", "questions.jsonl", folder=tmp_path
    )

    assert ended.status == 1
    assert "questions.jsonl:1: is not JSON" in ended.err
