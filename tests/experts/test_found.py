import pytest

from ask_expert.experts.found import FLAGSHIPS, experts_from_environment
from ask_expert.experts.prices import quote
from ask_expert.experts.registry import wire_for
from ask_expert.settings import ExpertSettings
from tests.experts.support import NOW, PROMPT

VARIABLES = [
    "OPENAI_API_KEY",
    "GEMINI_API_KEY",
    "ANTHROPIC_API_KEY",
    "OPENROUTER_API_KEY",
]


def test_without_keys_there_are_no_experts() -> None:
    assert experts_from_environment({"OPENAI_API_KEY": " ", "PATH": "/bin"}) == ()


def test_each_variable_brings_one_expert_cheapest_first() -> None:
    experts = experts_from_environment(dict.fromkeys(VARIABLES, "x"))

    assert [expert.key_env for expert in experts] == VARIABLES


@pytest.mark.parametrize("expert", FLAGSHIPS, ids=lambda expert: expert.name)
def test_a_flagship_has_a_wire_and_a_price(expert: ExpertSettings) -> None:
    request = wire_for(expert.api).encode(expert, PROMPT, max_output_tokens=9)

    found = quote(expert, request.body, NOW)

    assert found.source.startswith("genai-prices")
    assert 0 < found.worst_case_nusd(expert.max_output_tokens) < 500_000_000
