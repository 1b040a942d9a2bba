from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ask_expert.errors import ConfigError, UnknownPriceError
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
