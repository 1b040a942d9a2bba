from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from ask_expert.errors import ConfigError, UnknownPriceError
from ask_expert.experts import bedrock
from ask_expert.report import experts
from ask_expert.settings import ExpertSettings, Price

NOW = datetime(2026, 11, 22, tzinfo=UTC)
PRICE = Price(input_per_mtok=Decimal(1), output_per_mtok=Decimal(10))


def expert(**fields: object) -> ExpertSettings:
    return ExpertSettings.model_validate(
        {"name": "flagship", "api": "openai_chat", "model": "some-model", **fields}
    )


def test_a_server_on_this_machine_needs_no_key() -> None:
    state = experts.key_state(expert(base_url="http://127.0.0.1:9/v1"), {})

    assert (state.ready, state.where) == (True, "")


def test_the_key_itself_is_in_no_state() -> None:
    key = "a-key-that-nobody-may-see"

    state = experts.key_state(expert(key_env="MY_KEY"), {"MY_KEY": key})

    assert state.where == "variable MY_KEY"
    assert key not in repr(state)


def test_a_command_that_fails_is_told_by_its_program_alone() -> None:
    state = experts.key_state(expert(key_command=["false", "--secret"]), {})

    assert not state.ready
    assert "'false'" in state.sentence
    assert "--secret" not in state.sentence


def test_the_worst_case_counts_the_whole_output_ceiling() -> None:
    sentence = experts.typical_cost(expert(price=PRICE, max_output_tokens=100_000), NOW)

    assert sentence.startswith("a question costs at most about $1.0")
    assert sentence.endswith("by settings")


def test_a_model_without_a_price_has_no_worst_case() -> None:
    with pytest.raises(UnknownPriceError):
        experts.typical_cost(expert(), NOW)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="known: flagship"):
        experts.named("other", [expert()])


def test_without_any_expert_the_way_to_one_is_said() -> None:
    with pytest.raises(ConfigError, match="ask-expert init"):
        experts.named("other", [])


def test_a_program_s_login_is_its_own_and_its_place_is_told() -> None:
    plan = expert(api="command", command=["sh", "-c", "cat"], model="opus")

    line = experts.line(plan, {"PATH": "/bin:/usr/bin"}, NOW)

    assert (line.endpoint, line.price) == ("sh", "subscription")
    assert (line.key.ready, line.key.where) == (True, "")
    assert line.key.sentence.endswith("/sh has its own login")
    assert experts.typical_cost(plan, NOW) == (
        "a subscription pays; a question counts as one call"
    )


def test_a_program_that_is_not_there_is_missing() -> None:
    plan = expert(api="command", command=["no-such-vendor-cli"], model="opus")

    state = experts.key_state(plan, {"PATH": "/bin"})

    assert not state.ready
    assert "no-such-vendor-cli" in state.sentence


def test_a_cloud_s_credentials_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    cloud = expert(api="bedrock", model="us.anthropic.claude-opus-5-5")
    placed = expert(
        api="bedrock", model="us.anthropic.claude-opus-5-5", region="eu-west-1"
    )

    bedrock.session.cache_clear()
    nowhere = experts.key_state(cloud, {})
    without = experts.line(placed, {}, NOW)
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = AKID\naws_secret_access_key = s3cr3t\n"
    )
    bedrock.session.cache_clear()
    found = experts.key_state(placed, {})
    bedrock.session.cache_clear()

    assert "give `region:`" in nowhere.sentence
    assert "AWS_PROFILE" in without.key.sentence
    assert without.endpoint == "https://bedrock-runtime.eu-west-1.amazonaws.com"
    assert [each.ready for each in (nowhere, without.key, found)] == [
        False,
        False,
        True,
    ]
