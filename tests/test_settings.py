import json
import os
import pwd
from decimal import Decimal
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from ask_expert import yaml_file
from ask_expert.errors import ConfigError
from ask_expert.home import home_folder, user_name
from ask_expert.settings import Settings, needs_calls_budget
from ask_expert.settings_file import load

FIXED = """\
policy: balanced
experts:
  - name: flagship
    api: openai_chat
    base_url: http://127.0.0.1:9001/v1/
    model: some-model
    key_env: SOME_API_KEY
    price: {input_per_mtok: 1.25, output_per_mtok: 10}
    max_output_tokens: 4096
local: {base_url: http://127.0.0.1:8000/v1, model: qwen}
checks:
  tests: {command: [pytest, -q], timeout_s: 120}
"""


def parse(text: str) -> Settings:
    return yaml_file.parse(text, Settings, file=Path("settings.yaml"))


def complaint(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return str(caught.value)


def expert_complaint(line: str) -> str:
    """Complain about one more line in an otherwise sound expert."""
    given = {"name": "a", "api": "openai_chat", "model": "m"}
    given = {key: value for key, value in given.items() if not line.startswith(key)}
    lines = [*(f"{key}: {value}" for key, value in given.items()), line]
    return complaint("experts:\n  - " + "\n    ".join(lines) + "\n")


def test_the_documented_settings_are_read_as_documented() -> None:
    settings = parse(FIXED)

    assert settings.model_dump(exclude_unset=True) == snapshot(
        {
            "policy": "balanced",
            "experts": (
                {
                    "name": "flagship",
                    "api": "openai_chat",
                    "model": "some-model",
                    "base_url": "http://127.0.0.1:9001/v1",
                    "key_env": "SOME_API_KEY",
                    "price": {
                        "input_per_mtok": Decimal("1.25"),
                        "output_per_mtok": Decimal(10),
                    },
                    "max_output_tokens": 4096,
                },
            ),
            "local": {"base_url": "http://127.0.0.1:8000/v1", "model": "qwen"},
            "checks": {"tests": {"command": ("pytest", "-q"), "timeout_s": 120.0}},
        }
    )


def test_nothing_is_needed() -> None:
    settings = parse("")

    assert settings.policy == "balanced"
    assert settings.experts == ()
    assert settings.storage == "redacted"


def test_an_expert_is_found_by_name_or_the_known_ones_are_listed() -> None:
    settings = parse(FIXED)

    assert settings.expert("flagship").model == "some-model"
    with pytest.raises(
        ConfigError, match="there is no expert 'cheap'; known: flagship"
    ):
        settings.expert("cheap")
    with pytest.raises(ConfigError, match="known: none"):
        parse("").expert("cheap")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "polcy: frugal",
            "settings.yaml:1: 'polcy': unknown key 'polcy'; did you mean 'policy'?",
        ),
        (
            "storage: redact",
            "settings.yaml:1: 'storage': cannot be 'redact'; did you mean 'redacted'?",
        ),
        (
            "experts:\n  - {name: a, api: openai_chat}",
            "settings.yaml:2: 'experts.0.model': is missing",
        ),
        (
            "experts:\n  - {name: a, api: gemini, model: m}\n  - {name: a, api: gemini, model: n}",
            "two experts are named 'a'",
        ),
        (
            "checks:\n  tests: {command: pytest -q}",
            "settings.yaml:2: 'checks.tests.command': must be a list",
        ),
        ("checks:\n  tests: {command: []}", "at least 1 item"),
        ("checks:\n  tests: {command: [a], timeout_s: 0}", "greater than 0; got 0"),
        ("answer_within_s: .nan", "answer_within_s"),
        ("reuse_within_s: .inf", "should be a finite number; got Infinity"),
        ("send: {max_bytes: 1}", "greater than or equal to 1000; got 1"),
        (
            "send:\n  allow: ['ok', '(']",
            "settings.yaml:2: 'send.allow': '(' is no pattern: ",
        ),
        ("log: {level: loud}", "cannot be 'loud'; known: debug, error, info, warning"),
        ("local: {model: qwen}", "settings.yaml:1: 'local.base_url': is missing"),
    ],
)
def test_wrong_settings_name_the_place_and_the_remedy(text: str, message: str) -> None:
    found = complaint(text)

    assert message.lower() in found.lower()
    assert "\n" not in found


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("api: openai", "cannot be 'openai'; did you mean 'openai_chat'?"),
        ("api: anthropc", "cannot be 'anthropc'; did you mean 'anthropic'?"),
        ("api: vertex", "cannot be 'vertex'; did you mean 'vertex_gemini'?"),
        ("api: smoke", "cannot be 'smoke'; known: anthropic, bedrock, command, gemini"),
        ("api: vertex_gemini", "`region` is missing; give e.g. `global`"),
        ("api: command", "`command` and `api: command` belong together"),
        ("command: [claude, -p]", "`command` and `api: command` belong together"),
        ("region: eu-west-1", "`region` means nothing to `api: openai_chat`"),
        ("project: p", "`project` means nothing to `api: openai_chat`"),
        ("region: a/b", "use small letters, digits, '-', '.' or ':'"),
        ("project: ../x", "use small letters, digits, '-', '.' or ':'"),
        ("modle: x", "unknown key 'modle'; did you mean 'model'?"),
        ("name: two words", "use 1 to 40 letters, digits, '_', '-' or '.'"),
        ("base_url: ftp://example.com", "must be an http:// or https:// address"),
        ("base_url: example.com/v1", "must be an http:// or https:// address"),
        ("base_url: 'http://[::1'", "Invalid IPv6 URL"),
        ("base_url: 'http://127.0.0.1:99999'", "port must be a number from 1 to 65535"),
        ("base_url: 'http://127.0.0.1:0'", "port must be a number from 1 to 65535"),
        ("base_url: 'http://127.0.0.1:abc'", "port must be a number from 1 to 65535"),
        (
            "base_url: http://example.com/v1",
            "must be https:// unless it is on this machine",
        ),
        (
            "base_url: http://127.0.0.1.example.com",
            "must be https:// unless it is on this machine",
        ),
        ("max_output_tokens: 0", "greater than or equal to 1; got 0"),
        ("max_tries: 11", "less than or equal to 10; got 11"),
        ("timeout_s: .inf", "less than or equal to 3600; got Infinity"),
        ("effort: extreme", "cannot be 'extreme'; known: high, low, max"),
        ("price: {input_per_mtok: 1}", "'experts.0.price.output_per_mtok': is missing"),
        (
            "price: {input_per_mtok: -1, output_per_mtok: 1}",
            "greater than or equal to 0; got -1",
        ),
        (
            "price: {input_per_mtok: .nan, output_per_mtok: 1}",
            "finite number; got NaN",
        ),
        (
            "price: {input_mtok: 1, output_per_mtok: 1}",
            "unknown key 'input_mtok'; did you mean 'input_per_mtok'?",
        ),
    ],
)
def test_a_wrong_expert_is_named_with_the_remedy(line: str, message: str) -> None:
    found = expert_complaint(line)

    assert found.startswith("settings.yaml:")
    assert message.lower() in found.lower()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("command: []", "must name a program"),
        ("command: ['']", "must name a program"),
        ("command: [bin/claude]", "its program must be a plain name or a whole path"),
        ("command: claude -p", "must be a list"),
        ("price: {input_per_mtok: 1, output_per_mtok: 1}", "`price` means nothing"),
        ("base_url: https://example.com", "`base_url` means nothing"),
        ("effort: high", "`effort` means nothing to `api: command`; remove it"),
        ("extra_body: {a: 1}", "`extra_body` means nothing"),
        ("key_command: [pass]", "`key_command` means nothing"),
        ("region: global", "`region` means nothing"),
    ],
)
def test_a_command_takes_what_means_something_to_it(line: str, message: str) -> None:
    command = "" if line.startswith("command") else "    command: [claude, -p]\n"
    found = complaint(
        f"experts:\n  - name: a\n    api: command\n    model: m\n{command}    {line}\n"
    )

    assert message in found


def test_the_clouds_and_a_command_are_set_as_documented() -> None:
    settings = parse(
        "experts:\n"
        "  - {name: a, api: bedrock, model: us.anthropic.claude-opus-5-5, region: eu-west-1}\n"
        "  - {name: b, api: vertex_anthropic, model: claude-opus-5-5, region: global,"
        " project: 'example.com:mine'}\n"
        "  - {name: c, api: vertex_gemini, model: gemini-4-argon, region: us-east5}\n"
        "  - {name: d, api: command, model: opus, command: [claude, -p, --model, '{model}']}\n"
        "  - {name: e, api: command, model: m, command: [~/bin/cli], key_env: MY_TOKEN}\n"
    )

    assert [expert.region for expert in settings.experts[:3]] == [
        "eu-west-1",
        "global",
        "us-east5",
    ]
    assert [needs_calls_budget(expert) for expert in settings.experts] == [
        *(False, False, False),
        *(True, True),
    ]


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/v1",
        "http://localhost:8000",
        "http://127.0.0.1:9001/v1",
        "http://[::1]:9001",
    ],
)
def test_plain_http_is_for_this_machine_only(url: str) -> None:
    settings = parse(
        f"experts: [{{name: a, api: openai_chat, model: m, base_url: '{url}'}}]"
    )

    assert settings.experts[0].base_url == url


@pytest.mark.parametrize(
    "line",
    [
        "key_env: sk-planted-1234",
        "key_env: [sk-planted-1234]",
        "key: sk-planted-1234",
        "api_key: sk-planted-1234",
        "key_command: sk-planted-1234",
        "base_url: https://me:sk-planted-1234@example.com",
        "extra_headers: sk-planted-1234",
        "extra_headers: {Authorization: [sk-planted-1234]}",
    ],
)
def test_a_key_in_the_wrong_place_is_never_repeated(line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"experts:\n  - name: a\n    api: gemini\n    model: m\n    {line}\n")

    assert "sk-planted" not in str(caught.value)
    assert "sk-planted" not in str(caught.value.__cause__)


def test_an_address_left_empty_is_the_vendors_own() -> None:
    settings = parse("experts: [{name: a, api: gemini, model: m, base_url: }]")

    assert settings.experts[0].base_url is None


def test_an_extra_body_is_fit_to_be_sent_as_json() -> None:
    settings = parse(
        "experts:\n"
        "  - name: a\n"
        "    api: openai_chat\n"
        "    model: m\n"
        "    extra_body: {temperature: 0.2, stop: [a, 1.5], nested: {on: true, n: null}}\n"
    )

    assert json.dumps(dict(settings.experts[0].extra_body)) == (
        '{"temperature": 0.2, "stop": ["a", 1.5], "nested": {"True": true, "n": null}}'
    )


@pytest.mark.parametrize("value", ["2026-11-21", ".nan", "!!binary aGk="])
def test_an_extra_body_that_json_cannot_hold_is_refused(value: str) -> None:
    found = expert_complaint(f"extra_body: {{since: {value}}}")

    assert "cannot be sent as JSON; put it in quotes" in found


def test_the_home_is_what_the_environment_names() -> None:
    assert home_folder({"ASK_EXPERT_HOME": "/srv/ask"}) == Path("/srv/ask")
    assert home_folder({"ASK_EXPERT_HOME": "~/ask"}) == Path.home() / "ask"
    assert home_folder({"ASK_EXPERT_HOME": "ask"}) == Path.cwd() / "ask"


@pytest.mark.parametrize("environ", [{}, {"ASK_EXPERT_HOME": ""}])
def test_the_home_is_the_platforms_otherwise(environ: dict[str, str]) -> None:
    home = home_folder({**os.environ, "ASK_EXPERT_HOME": "", **environ})

    assert home.is_absolute()
    assert home.name == "ask-expert"


@pytest.mark.parametrize("named", ["", "~/ask", "~nosuchuser/ask"])
def test_a_home_that_nobody_knows_is_an_error_that_says_what_to_set(
    nobody: None, named: str
) -> None:
    with pytest.raises(ConfigError, match="set ASK_EXPERT_HOME to a folder"):
        home_folder({"ASK_EXPERT_HOME": named})


def test_a_user_without_a_name_is_called_by_number(nobody: None) -> None:
    assert user_name() == f"uid-{os.getuid()}"


def test_a_user_is_called_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")

    assert user_name() == "ada"


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container whose uid is in no list of users, and that sets no names."""

    def unknown(uid: object) -> None:
        raise KeyError(uid)

    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_a_key_in_the_file_is_refused_with_the_way_to_do_it() -> None:
    text = (
        "experts:\n- {name: a, api: anthropic, model: m, api_key: sk-ant-0123456789}\n"
    )

    with pytest.raises(ConfigError) as failure:
        yaml_file.parse(text, Settings)

    assert "name that in key_env" in str(failure.value)
    assert "sk-ant" not in str(failure.value)


def test_a_time_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="is no time zone"):
        yaml_file.parse("time_zone: Mars/Olympus", Settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("local: {base_url: x}", "'local.model': is missing"),
        (
            "local: [{base_url: x, model: m}, {base_url: y}]",
            "'local.1.model': is missing",
        ),
        (
            "local: 3",
            "'local': must be a mapping of keys to values, or a list of such; got 3",
        ),
        (
            "local: []",
            "'local': must hold at least one server; else leave it out",
        ),
        (
            "local: [{base_url: x, model: m}, {base_url: y, model: m}]",
            "two of `local` are 'm'; give each a `name`",
        ),
        (
            "local: {base_url: x, model: m, windw: 3}",
            "'local.windw': unknown key 'windw'; did you mean 'window'?",
        ),
        (
            "local: {base_url: x, model: m, role: Big}",
            "'local.role': use 1 to 40 small letters, digits, '_' or '-'; got 'Big'",
        ),
    ],
)
def test_a_wrong_local_server_is_named_by_its_place(text: str, message: str) -> None:
    assert complaint(text).endswith(message)


def test_one_local_server_or_several_are_read_alike() -> None:
    one = parse("local: {base_url: x, model: m}")
    several = parse(
        "local: [{base_url: x, model: m}, "
        "{base_url: y, model: m, name: wide, window: 9000, role: long}]"
    )

    assert parse("local:").locals == parse("policy: frugal").locals == ()
    assert several.locals[:1] == one.locals
    assert [each.label for each in several.locals] == ["m", "wide"]
    for settings in (one, several):
        given = settings.model_dump(exclude_unset=True)
        assert type(settings).model_validate(given) == settings


def test_a_variable_changes_one_local_server_and_keeps_the_rest_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings.yaml").write_text("local: {base_url: x, model: m}\n")
    monkeypatch.setenv("ASK_EXPERT_LOCAL__MODEL", "other")

    (local,) = load(tmp_path).locals

    assert (local.base_url, local.model) == ("x", "other")
