from pathlib import Path

import pytest

from ask_expert import house as houses
from ask_expert import ledger_address, settings_file
from ask_expert.errors import ConfigError
from ask_expert.ledger_address import check, password, shown
from ask_expert.settings import Settings

PLAIN = "postgresql://ada@db.example:5432/ledger"
WITH_PASSWORD = "postgresql://ada:hidden-word@db.example:5432/ledger?sslmode=require"


@pytest.mark.parametrize(
    "address", [PLAIN, WITH_PASSWORD, "postgres://db/x", "postgresql:///x?host=/run"]
)
def test_an_address_names_a_database(address: str) -> None:
    check(address)

    assert Settings(ledger=address).ledger == address


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("mysql://ada:hidden-word@db/x", "must be a path or postgresql://"),
        ("postgresql://ada:hidden-word@db", "names no database"),
        ("postgresql://ada:hidden-word@db:many/x", "is no address"),
        ("postgresql://ada@db/x?password=hidden-word", "must hold no password behind"),
    ],
)
def test_a_wrong_address_is_refused_without_repeating_it(
    tmp_path: Path, address: str, complaint: str
) -> None:
    (tmp_path / "settings.yaml").write_text(f"ledger: {address}\n")

    with pytest.raises(ConfigError, match=complaint) as caught:
        settings_file.load(tmp_path)

    assert caught.value.key == "ledger"
    assert "hidden-word" not in str(caught.value)


def test_an_address_is_shown_without_its_password() -> None:
    assert shown(WITH_PASSWORD) == PLAIN
    assert shown("postgresql://ada:p@ss:w/d@db/x") in {
        "postgresql://…",
        "postgresql://ada@db/x",
    }
    assert shown(Path("/home/ada/ledger.db")) == "/home/ada/ledger.db"


def test_the_password_in_an_address_is_known_so_that_it_can_be_masked() -> None:
    assert password("postgresql://ada:p%40ss@db/x") == "p@ss"
    assert password(PLAIN) is None
    assert password("ledger.db") is None


def test_a_password_in_the_settings_file_is_refused_and_in_a_variable_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings.yaml").write_text(f"ledger: {WITH_PASSWORD}\n")
    with pytest.raises(ConfigError, match="must hold no password") as caught:
        settings_file.load(tmp_path)
    (tmp_path / "settings.yaml").write_text(f"ledger: {PLAIN}\n")
    monkeypatch.setenv("ASK_EXPERT_LEDGER", WITH_PASSWORD)

    settings = settings_file.load(tmp_path)

    assert "hidden-word" not in str(caught.value)
    assert settings.ledger == WITH_PASSWORD


def test_a_path_is_no_address() -> None:
    assert not ledger_address.is_server("team/ledger.db")
    assert not ledger_address.is_server(Path("postgresql:/x"))


def test_the_ledgers_passwords_are_masked_wherever_they_turn_up(
    home: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = database.replace("owner@", "owner:hidden-word@")
    monkeypatch.setenv("ASK_EXPERT_LEDGER", address)

    house = houses.build(home, environ={"PGPASSWORD": "another-hidden-word"})
    text = house.masker.scrub("hidden-word, then another-hidden-word")
    place = house.ledger.path
    house.ledger.close()

    assert "hidden" not in text
    assert place == database
