import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.backends.fail
import pytest

from ask_expert.errors import ConfigError
from ask_expert.experts import keys
from ask_expert.experts.keys import SERVICE, key_for, store_key, variable
from tests.experts.support import KEY, an_expert


class InMemory(keyring.backend.KeyringBackend):
    """A keyring that forgets."""

    priority = 1.0  # pyright: ignore[reportAssignmentType]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture(autouse=True)
def ring() -> Iterator[InMemory]:
    before, ours = keyring.get_keyring(), InMemory()
    keyring.set_keyring(ours)
    yield ours
    keyring.set_keyring(before)


def printing(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"print({text!r})")


def test_the_named_variable_comes_first(ring: InMemory) -> None:
    ring.kept[SERVICE, "flagship"] = "from-the-ring"
    expert = an_expert(key_env="MY_KEY", key_command=printing("from-a-command"))

    assert key_for(expert, {"MY_KEY": f" {KEY}\n"}) == KEY


def test_then_the_command_s_output_without_its_line_break(ring: InMemory) -> None:
    ring.kept[SERVICE, "flagship"] = "from-the-ring"
    expert = an_expert(key_env="MY_KEY", key_command=printing(KEY))

    assert key_for(expert, {}) == KEY


def test_then_the_keyring(ring: InMemory) -> None:
    ring.kept[SERVICE, "flagship"] = KEY

    assert key_for(an_expert(key_env="MY_KEY"), {}) == KEY


def test_a_stored_key_is_found_again() -> None:
    store_key("flagship", KEY)

    assert key_for(an_expert(), {}) == KEY


def test_a_missing_key_says_exactly_what_to_set() -> None:
    with pytest.raises(ConfigError) as named:
        key_for(an_expert(key_env="MY_KEY"), {})
    with pytest.raises(ConfigError) as unnamed:
        key_for(an_expert(base_url="https://gateway.example/v1"), {})

    assert str(named.value) == (
        "expert 'flagship' has no key: set MY_KEY or run `ask-expert key set flagship`."
    )
    assert "`key_env` in settings.yaml" in str(unnamed.value)


def test_a_server_on_this_machine_needs_no_key() -> None:
    expert = an_expert(base_url="http://127.0.0.1:8000/v1")

    assert key_for(expert, {"OPENAI_API_KEY": KEY}) is None


def test_a_variable_named_for_a_server_on_this_machine_must_be_set() -> None:
    expert = an_expert(base_url="http://localhost:8000/v1", key_env="MY_KEY")

    with pytest.raises(ConfigError, match="MY_KEY"):
        key_for(expert, {})


def test_the_vendor_s_key_goes_to_the_vendor_only() -> None:
    environ = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY}

    assert key_for(an_expert(), environ) == KEY
    assert key_for(an_expert(api="anthropic"), environ) == KEY
    for url in ("https://api.openai.com.evil.example/v1", "https://evil.example"):
        with pytest.raises(ConfigError):
            key_for(an_expert(base_url=url), environ)


def test_the_variable_of_each_vendor_is_known() -> None:
    assert variable(an_expert()) == "OPENAI_API_KEY"
    assert variable(an_expert(api="anthropic")) == "ANTHROPIC_API_KEY"
    assert variable(an_expert(api="gemini")) == "GEMINI_API_KEY"
    assert variable(an_expert(api="openrouter")) == "OPENROUTER_API_KEY"
    assert variable(an_expert(base_url="https://gateway.example/v1")) is None


@pytest.mark.parametrize("api", ["bedrock", "vertex_anthropic", "vertex_gemini"])
def test_a_cloud_s_library_finds_its_own_credentials(api: str) -> None:
    expert = an_expert(api=api, region="us-east5")

    assert key_for(expert, {"OPENAI_API_KEY": KEY, "GEMINI_API_KEY": KEY}) is None


@pytest.mark.parametrize("api", ["bedrock", "vertex_anthropic", "vertex_gemini"])
def test_a_variable_that_is_named_for_a_cloud_must_hold_something(api: str) -> None:
    expert = an_expert(api=api, region="us-east5", key_env="MY_KEY")

    assert key_for(expert, {"MY_KEY": KEY}) == KEY
    with pytest.raises(ConfigError) as caught:
        key_for(expert, {})
    assert str(caught.value) == "expert 'flagship' has no key: set MY_KEY."


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_malformed_key_is_refused_and_never_shown(key: str) -> None:
    with pytest.raises(ConfigError) as read:
        key_for(an_expert(key_env="MY_KEY"), {"MY_KEY": key})
    with pytest.raises(ConfigError) as stored:
        store_key("flagship", key)

    assert key not in str(read.value) + str(stored.value)


def test_a_command_runs_without_a_shell(tmp_path: Path) -> None:
    trap = tmp_path / "made"
    command = (*printing(KEY), f"; touch {trap}", f"$(touch {trap})")

    assert key_for(an_expert(key_command=command), {}) == KEY
    assert not trap.exists()


def test_a_failing_command_is_named_without_its_arguments() -> None:
    failing = (sys.executable, "-c", f"print({KEY!r}); raise SystemExit(3)")

    with pytest.raises(ConfigError) as caught:
        key_for(an_expert(key_command=failing), {})

    assert "status 3" in str(caught.value)
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_command_that_is_not_there_is_a_fault_of_the_settings() -> None:
    with pytest.raises(ConfigError, match="No such file"):
        key_for(an_expert(key_command=("/no/such/program",)), {})


def test_a_machine_without_a_keyring_says_so() -> None:
    keyring.set_keyring(keyring.backends.fail.Keyring())

    with pytest.raises(ConfigError, match="ask-expert key set"):
        key_for(an_expert(), {})
    with pytest.raises(ConfigError, match="key_env"):
        store_key("flagship", KEY)


def test_a_command_that_hangs_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_COMMAND_S", 0.2)
    hanging = (sys.executable, "-c", "import threading; threading.Event().wait()")

    with pytest.raises(ConfigError, match="took longer"):
        key_for(an_expert(key_command=hanging), {})


def test_without_the_extra_the_install_line_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)

    with pytest.raises(ConfigError, match=r"pip install 'ask-expert\[keyring\]'"):
        store_key("flagship", KEY)
    with pytest.raises(ConfigError, match="set OPENAI_API_KEY"):
        key_for(an_expert(), {})
