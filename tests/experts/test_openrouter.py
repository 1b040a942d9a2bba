import json
from decimal import Decimal
from typing import Any

import pytest
from inline_snapshot import snapshot

from ask_expert.errors import (
    ConfigError,
    ExpertError,
    ExpertRejectedError,
    ExpertUnavailableError,
)
from ask_expert.experts.openrouter import OpenRouter
from ask_expert.experts.prices import charge, quote
from ask_expert.reply import ExpertAnswer
from ask_expert.settings import ExpertSettings
from tests.experts.support import NOW, PROMPT, an_expert

WIRE = OpenRouter()
MODEL = "anthropic/claude-opus-5.5"


def asked(**facts: Any) -> ExpertSettings:
    return an_expert(**{"api": "openrouter", "model": MODEL, **facts})


def sent(**facts: Any) -> dict[str, Any]:
    return json.loads(WIRE.encode(asked(**facts), PROMPT, max_output_tokens=900).body)


def reply(choice: dict[str, Any] | None = None, **usage: Any) -> dict[str, Any]:
    counts = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
    return {
        "id": "gen-1",
        "provider": "Google",
        "model": MODEL,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi.", "refusal": None},
                "finish_reason": "stop",
                "native_finish_reason": "end_turn",
                **(choice or {}),
            }
        ],
        "usage": {**counts, **usage},
    }


def decode(body: object, **facts: Any) -> ExpertAnswer:
    return WIRE.decode(asked(**facts), json.dumps(body).encode(), {})


def failed(body: object) -> ExpertError:
    with pytest.raises(ExpertError) as caught:
        decode(body)
    return caught.value


def test_a_question_is_routed_privately_and_to_one_model() -> None:
    expert = asked(effort="max", stream=False)

    request = WIRE.encode(expert, PROMPT, max_output_tokens=900)

    assert (request.path, request.body.decode()) == snapshot(
        (
            "/chat/completions",
            '{"model":"anthropic/claude-opus-5.5","messages":[{"role":"system","content":"Help."},{"role":"user","content":"Why does it hang?"},{"role":"assistant","content":"A lock."},{"role":"user","content":"Which – «SECRET:token:1»?"}],"max_tokens":900,"provider":{"data_collection":"deny","allow_fallbacks":false,"require_parameters":true},"reasoning":{"effort":"xhigh"}}',
        )
    )


def test_the_user_s_price_is_the_most_that_an_upstream_may_ask() -> None:
    price = {"input_per_mtok": "1.25", "output_per_mtok": 10}

    limit = sent(price=price)["provider"]["max_price"]

    assert limit == {"prompt": 1.25, "completion": 10}


def test_a_price_of_nothing_is_no_limit() -> None:
    price = {"input_per_mtok": 0, "output_per_mtok": 0}

    assert "max_price" not in sent(price=price)["provider"]


def test_stricter_routing_adds_to_what_is_asked_anyway() -> None:
    routing = sent(extra_body={"provider": {"zdr": True, "only": ["google"]}})

    assert routing["provider"] == {
        "data_collection": "deny",
        "allow_fallbacks": False,
        "require_parameters": True,
        "zdr": True,
        "only": ["google"],
    }


@pytest.mark.parametrize("key", ["models", "plugins", "preset", "tools"])
def test_no_extra_brings_another_model_or_a_priced_feature(key: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot set '{key}'"):
        sent(extra_body={key: ["x"]})


def test_an_answer_names_the_upstream_and_both_words_for_its_end() -> None:
    found = decode(reply()).provenance

    assert (found.provider, found.served_model) == ("Google", MODEL)
    assert (found.request_id, found.finish_reason) == ("gen-1", "stop:end_turn")


def test_its_own_figure_is_believed_at_whatever_address() -> None:
    answer = decode(reply(cost=0.00123), base_url="https://eu.proxy.example/v1")

    assert answer.reported_cost_usd == Decimal("0.00123")


def test_without_the_user_s_own_key_the_upstream_s_cost_is_no_second_bill() -> None:
    details = {"upstream_inference_cost": 0.014}
    answer = decode(reply(cost=0.014, is_byok=False, cost_details=details))

    assert answer.reported_cost_usd == Decimal("0.014")


def test_with_the_user_s_own_key_both_bills_are_added() -> None:
    details = {"upstream_inference_cost": 0.014}
    answer = decode(reply(cost=0.0007, is_byok=True, cost_details=details))

    assert answer.reported_cost_usd == Decimal("0.0147")


def test_the_provider_s_cost_is_charged_and_ours_is_kept_beside_it() -> None:
    found = charge(asked(), decode(reply(cost=0.0151)), NOW)

    assert (found.nusd, found.source) == (15_100_000, "provider")
    # 1,000 × $4/M + 500 × $20/M
    assert found.detail["computed_nusd"] == "14000000"
    assert found.detail["computed_source"].startswith("genai-prices")


def test_a_model_that_our_list_does_not_know_has_the_provider_s_cost_alone() -> None:
    expert = asked(model="new/model")
    body = {**reply(cost=0.0151), "model": "new/model"}

    found = charge(expert, WIRE.decode(expert, json.dumps(body).encode(), {}), NOW)

    assert found.detail == {"reported_cost_usd": "0.0151"}


def test_a_cost_with_counts_that_cannot_be_true_is_not_compared() -> None:
    body = reply(cost=0.0151, prompt_tokens=-5)

    found = charge(asked(), decode(body), NOW)

    assert found.nusd == 15_100_000
    assert found.detail == {"reported_cost_usd": "0.0151", "usage": "estimated"}


def test_a_cost_that_no_call_can_have_is_worked_out_from_the_list() -> None:
    absurd, absent = decode(reply(cost=1e30)), decode(reply())

    assert charge(asked(), absurd, NOW) == charge(asked(), absent, NOW)


def test_a_missing_cost_is_worked_out_from_the_list() -> None:
    found = charge(asked(), decode(reply()), NOW)

    # 1,000 × $4/M + 500 × $20/M
    assert found.nusd == 14_000_000
    assert found.source.startswith("genai-prices")


def test_the_bound_of_the_input_holds_for_every_tokenizer_behind_it() -> None:
    request = WIRE.encode(asked(), PROMPT, max_output_tokens=9)
    plain = an_expert(base_url="https://openrouter.ai/api/v1", model=MODEL)

    bound = quote(asked(), request.body, NOW).input_tokens

    assert bound > quote(plain, request.body, NOW).input_tokens


@pytest.mark.parametrize("code", [400, 403, 429, 502, 503])
def test_a_choice_that_broke_off_may_have_been_billed(code: int) -> None:
    error = failed(
        reply(
            {"finish_reason": "error", "error": {"code": code, "message": "Upstream."}}
        )
    )

    assert error.billed == "unknown"
    assert "Upstream." in str(error)


def test_a_choice_that_broke_off_without_a_word_may_have_been_billed() -> None:
    error = failed(reply({"finish_reason": "error"}))

    assert isinstance(error, ExpertUnavailableError)
    assert (error.billed, "no reason given" in str(error)) == ("unknown", True)


def test_an_error_before_any_choice_keeps_its_meaning() -> None:
    refused = failed({"error": {"code": 403, "message": "Flagged."}})
    broken = failed({"error": {"code": 502, "message": "Upstream."}})

    assert isinstance(refused, ExpertRejectedError)
    assert (refused.billed, broken.billed) == ("no", "unknown")
