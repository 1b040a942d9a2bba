import re
import stat
from pathlib import Path

from ask_expert import settings_file
from ask_expert.settings import Settings
from tests.cli.running import ask_expert


def test_the_file_is_private_and_loads_as_it_stands(home: Path) -> None:
    ended = ask_expert("init")

    file = home / "settings.yaml"
    assert ended.out.startswith(f"{file} is written")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert settings_file.load(home) == Settings(policy="balanced")


def test_the_file_loads_with_every_example_in_use(home: Path) -> None:
    ask_expert("init")
    file = home / "settings.yaml"

    used = re.sub(r"(?m)^#(?=[^ ]|  )", "", file.read_text())
    file.write_text(used)
    settings = settings_file.load(home)

    assert [expert.name for expert in settings.experts] == [
        "flagship",
        "second",
        "own-server",
    ]
    unset = set(Settings.model_fields) - settings.model_fields_set
    assert unset == {"ledger", "reuse_within_s"}


def test_a_file_that_is_there_is_kept_unless_forced(home: Path) -> None:
    file = home / "settings.yaml"
    file.write_text("policy: frugal\n")
    file.chmod(0o644)

    refused = ask_expert("init")
    assert refused.status == 1
    assert f"{file}: is there already" in refused.err
    assert file.read_text() == "policy: frugal\n"

    forced = ask_expert("init", "--force")
    assert forced.status == 0
    assert "policy: balanced" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_home_that_is_not_there_is_made_private(tmp_path: Path) -> None:
    new = tmp_path / "new"

    ask_expert("init", "--home", str(new))

    assert stat.S_IMODE(new.stat().st_mode) == 0o700
