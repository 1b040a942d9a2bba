import json
import sqlite3
from contextlib import closing
from pathlib import Path

from ask_expert.ledger.store import Ledger
from tests.cli.running import KEY, Ended, ask_expert, settings_for
from tests.fakes.provider import Provider


def items(ended: Ended, name: str) -> list[tuple[str, str]]:
    return [
        (each["state"], each["message"])
        for each in json.loads(ended.out)["items"]
        if each["name"] == name
    ]


def test_without_an_expert_it_says_exactly_what_to_set(home: Path) -> None:
    ended = ask_expert("doctor", "--json")

    assert ended.status == 1
    ((state, message),) = items(ended, "experts")
    assert state == "wrong"
    assert message.startswith("No expert is configured: set OPENAI_API_KEY")
    assert not (home / "ledger.db").exists()


def test_a_sound_installation_is_status_0(home: Path) -> None:
    with Provider() as provider:
        text = settings_for(provider.url) + "checks: {tests: {command: [sh, -c, x]}}\n"
        (home / "settings.yaml").write_text(text)
        ask_expert("ask", "Why?", environ=KEY)

        ended = ask_expert("doctor", environ=KEY)

    assert ended.status == 0
    assert "key from variable FLAGSHIP_KEY; a question costs at most about" in ended.out
    assert "WRONG" not in ended.out
    assert KEY["FLAGSHIP_KEY"] not in ended.out


def test_a_misspelt_variable_is_found(home: Path) -> None:
    ended = ask_expert("doctor", "--json", environ={"ASK_EXPERT_POLCY": "frugal"})

    ((state, message),) = items(ended, "variable")
    assert state == "wrong"
    assert message == (
        "ASK_EXPERT_POLCY means nothing; after ASK_EXPERT_: did you mean 'POLICY'?"
    )


def test_wrong_settings_are_named_and_the_rest_is_still_looked_at(home: Path) -> None:
    (home / "settings.yaml").write_text("polcy: frugal\n")

    ended = ask_expert("doctor", "--json")

    ((state, message),) = items(ended, "settings")
    assert state == "wrong"
    assert "settings.yaml:1" in message
    assert "did you mean 'policy'?" in message
    assert items(ended, "ledger")


def test_a_model_without_a_price_is_wrong(home: Path) -> None:
    text = settings_for("http://127.0.0.1:9").replace(
        "    price: {input_per_mtok: 1, output_per_mtok: 10}\n", ""
    )
    (home / "settings.yaml").write_text(text)

    ended = ask_expert("doctor", "--json", environ=KEY)

    ((state, message),) = items(ended, "expert flagship")
    assert state == "wrong"
    assert "No price is known for model 'some-model'" in message


def test_files_that_others_can_read_are_wrong(home: Path) -> None:
    Ledger.open(home / "ledger.db").close()
    (home / "ledger.db").chmod(0o644)

    ended = ask_expert("doctor", "--json")

    ((state, message),) = items(ended, "ledger file")
    assert state == "wrong"
    assert message.endswith(f"(0644): chmod 600 {home / 'ledger.db'}")


def test_a_damaged_ledger_is_found(home: Path) -> None:
    Ledger.open(home / "ledger.db").close()
    with (home / "ledger.db").open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 8192)

    ended = ask_expert("doctor", "--json")

    ((state, _),) = items(ended, "ledger")
    assert (state, ended.status) == ("wrong", 1)


def test_a_ledger_of_a_newer_version_is_said(home: Path) -> None:
    Ledger.open(home / "ledger.db").close()
    with closing(sqlite3.connect(home / "ledger.db")) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")

    ended = ask_expert("doctor", "--json")

    ((state, message),) = items(ended, "ledger")
    assert state == "wrong"
    assert "Upgrade ask-expert" in message


def test_a_local_server_that_is_not_there_and_a_check_without_its_program(
    home: Path,
) -> None:
    (home / "settings.yaml").write_text(
        "local: {base_url: http://127.0.0.1:9/v1, model: qwen}\n"
        "checks: {tests: {command: [no-such-program-anywhere]}}\n"
    )

    ended = ask_expert("doctor", "--json")

    ((local, message),) = items(ended, "local model")
    assert local == "wrong"
    assert "http://127.0.0.1:9/v1/models cannot be reached" in message
    assert items(ended, "check tests") == [
        ("wrong", "'no-such-program-anywhere' is not on the PATH")
    ]


def test_what_is_wrong_with_the_policy_is_said(home: Path) -> None:
    (home / "mine.yaml").write_text(
        "name: mine\nrules: [{when: always}, {when: check_failed}]\n"
    )
    (home / "settings.yaml").write_text("policy: mine.yaml\n")

    ended = ask_expert("doctor", "--json")

    states = [state for state, _ in items(ended, "policy")]
    assert states == ["ok", "warning"]


def test_a_key_in_a_wrong_field_is_not_repeated(home: Path) -> None:
    key = "sk-proj-Zz9Yy8Xx7Ww6Vv5Uu4Tt3Ss2"
    (home / "settings.yaml").write_text(f"policy: {key}\n")

    examined = ask_expert("doctor", "--json")
    asked = ask_expert("ask", "Why?")

    assert items(examined, "policy")[0][1].startswith("there is no policy '«SECRET:")
    assert "there is no policy '«SECRET:" in asked.err
    assert key not in examined.out + examined.err + asked.out + asked.err


def test_a_subscription_without_a_budget_in_calls_is_wrong(home: Path) -> None:
    expert = "{name: plan, api: command, model: m, command: [sh]}"
    (home / "settings.yaml").write_text(f"policy: mine.yaml\nexperts: [{expert}]\n")
    limits = ("usd: 1", "usd: 1, calls: 2")
    found: list[tuple[str, str]] = []
    dry: list[str] = []

    for limit in limits:
        (home / "mine.yaml").write_text(
            f"name: mine\notherwise: escalate\nbudgets: [{{scope: day, {limit}}}]\n"
        )
        found += items(ask_expert("doctor", "--json"), "expert plan")
        dry.append(ask_expert("ask", "--dry-run", "Why?").out)

    assert [state for state, _ in found] == ["wrong", "ok"]
    missing = "no budget of the policy counts calls: add one"
    assert [missing in message for _, message in found] == [True, False]
    assert [missing in each for each in dry] == [True, False]
