import json
from typing import Any

import pytest

from ask_expert.errors import UnknownPriceError
from ask_expert.experts import prices
from ask_expert.experts.registry import wire_for
from ask_expert.settings import ExpertSettings
from tests.experts.support import KEY, NOW, PROMPT, an_expert

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJodHRwczovL2FpLmF6dXJlLmNvbSJ9.c2lnbmVk"
HOSTS = ("my-resource.openai.azure.com", "my-resource.services.ai.azure.com")
APIS = ("openai_chat", "openai_responses")


def azure(api: str, host: str, **facts: Any) -> ExpertSettings:
    url = f"https://{host}/openai/v1"
    return an_expert(**{"api": api, "base_url": url, **facts})


def auth(expert: ExpertSettings, key: str) -> dict[str, str]:
    return wire_for(expert.api).auth(expert, key, url="", body=b"")


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("api", APIS)
def test_a_resource_s_key_has_azure_s_own_header(api: str, host: str) -> None:
    assert auth(azure(api, host), KEY) == {"api-key": KEY}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("api", APIS)
def test_a_token_of_entra_is_a_bearer_token(api: str, host: str) -> None:
    assert auth(azure(api, host), TOKEN) == {"authorization": f"Bearer {TOKEN}"}


@pytest.mark.parametrize(
    "host", ["api.openai.com", "openai.azure.com.evil.example", "localhost"]
)
@pytest.mark.parametrize("api", [*APIS, "openrouter"])
def test_elsewhere_a_key_is_a_bearer_token(api: str, host: str) -> None:
    assert auth(azure(api, host), KEY) == {"authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize(
    ("api", "path", "ceiling"),
    [
        ("openai_chat", "/chat/completions", "max_completion_tokens"),
        ("openai_responses", "/responses", "max_output_tokens"),
    ],
)
def test_the_deployment_is_the_model_and_the_address_has_no_version_of_its_own(
    api: str, path: str, ceiling: str
) -> None:
    expert = azure(api, HOSTS[0], model="my-deployment")

    request = wire_for(api).encode(expert, PROMPT, max_output_tokens=900)

    body = json.loads(request.body)
    assert request.path == path
    assert (body["model"], body[ceiling]) == ("my-deployment", 900)


@pytest.mark.parametrize("host", HOSTS)
def test_a_deployment_under_the_model_s_name_has_openai_s_price(host: str) -> None:
    quote = prices.quote(azure("openai_chat", host), b"{}", NOW)

    assert quote.detail["model"] == "azure:gpt-6.1-sol"
    assert quote.detail["input"] == "2"


def test_a_deployment_under_another_name_needs_a_price() -> None:
    expert = azure("openai_chat", HOSTS[0], model="my-deployment")

    with pytest.raises(UnknownPriceError):
        prices.quote(expert, b"{}", NOW)
