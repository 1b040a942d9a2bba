import json
from pathlib import Path

import pytest

from tests.cli.running import KEY, ROOT, ask_expert, settings_for
from tests.fakes.provider import Provider

SECRET = "a-key-that-nobody-may-see-42"


@pytest.fixture
def keyring(tmp_path: Path) -> dict[str, str]:
    """The environment of a process whose keyring is a file."""
    return {
        "PYTHON_KEYRING_BACKEND": "tests.cli.file_keyring.FileKeyring",
        "PYTHONPATH": str(ROOT),
        "TEST_KEYRING_FILE": str(tmp_path / "keyring.json"),
    }


def test_a_piped_key_is_kept_used_and_never_printed(
    home: Path, tmp_path: Path, keyring: dict[str, str]
) -> None:
    with Provider(key=SECRET) as provider:
        (home / "settings.yaml").write_text(settings_for(provider.url))

        kept = ask_expert(
            "key", "set", "flagship", stdin=f"{SECRET}\n".encode(), environ=keyring
        )
        status = ask_expert("key", "status", environ=keyring)
        asked = ask_expert("ask", "--json", "Why?", environ=keyring)

    assert kept.out == (
        "The key of flagship is kept in the keyring 'a file for tests'.\n"
    )
    assert json.loads((tmp_path / "keyring.json").read_text()) == {
        "ask-expert/flagship": SECRET
    }
    assert status.out.split() == ["flagship", "keyring", "found"]
    assert json.loads(asked.out)["status"] == "answered"
    for ended in (kept, status, asked):
        assert SECRET not in ended.out + ended.err


def test_a_key_in_the_environment_is_named_by_its_variable(home: Path) -> None:
    (home / "settings.yaml").write_text(settings_for("http://127.0.0.1:9"))

    ended = ask_expert("key", "status", environ=KEY)

    assert ended.status == 0
    assert ended.out == "flagship  variable FLAGSHIP_KEY  found\n"


def test_a_missing_key_says_what_to_set(home: Path, keyring: dict[str, str]) -> None:
    (home / "settings.yaml").write_text(settings_for("http://127.0.0.1:9"))

    ended = ask_expert("key", "status", environ=keyring)

    assert ended.status == 1
    assert "set FLAGSHIP_KEY or run `ask-expert key set flagship`" in ended.out


def test_a_command_that_prints_the_key_is_named(home: Path) -> None:
    text = settings_for("http://127.0.0.1:9").replace(
        "    key_env: FLAGSHIP_KEY\n", f"    key_command: [echo, {SECRET}]\n"
    )
    (home / "settings.yaml").write_text(text)

    ended = ask_expert("key", "status")

    assert ended.out == "flagship  key_command  found\n"


def test_an_unknown_expert_gets_no_key(home: Path, keyring: dict[str, str]) -> None:
    (home / "settings.yaml").write_text(settings_for("http://127.0.0.1:9"))

    ended = ask_expert("key", "set", "flagshp", stdin=b"k\n", environ=keyring)

    assert ended.status == 1
    assert "known: flagship" in ended.err


@pytest.mark.parametrize("typed", [b"", b"two words\n", b"two\nlines\n"])
def test_what_is_no_key_is_refused(
    home: Path, tmp_path: Path, keyring: dict[str, str], typed: bytes
) -> None:
    (home / "settings.yaml").write_text(settings_for("http://127.0.0.1:9"))

    ended = ask_expert("key", "set", "flagship", stdin=typed, environ=keyring)

    assert ended.status == 1
    assert "this is no key" in ended.err
    assert not (tmp_path / "keyring.json").exists()
