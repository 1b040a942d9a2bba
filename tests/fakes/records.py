"""
What a provider keeps on record of one request, as OpenRouter tells it.

Source:
    OpenRouter, "Get a generation" and its SDK's example, read 2026-11-22.
"""

from typing import Any


def generation(request_id: str, *, cost_usd: float | None, **facts: Any) -> Any:
    """Return the `data` of one record."""
    return {
        "api_type": "completions",
        "app_id": None,
        "cache_discount": None,
        "cancelled": False,
        "created_at": "2026-11-22T06:59:45.433273+00:00",
        "data_region": "global",
        "external_user": None,
        "finish_reason": "stop",
        "generation_time": 1200,
        "http_referer": None,
        "id": request_id,
        "is_byok": False,
        "latency": 1250,
        "model": "anthropic/some-model",
        "moderation_latency": 50,
        "native_finish_reason": "end_turn",
        "native_tokens_cached": 20,
        "native_tokens_completion": 25,
        "native_tokens_completion_images": None,
        "native_tokens_prompt": 120,
        "native_tokens_reasoning": 5,
        "num_fetches": None,
        "num_input_audio_prompt": None,
        "num_media_completion": None,
        "num_media_prompt": None,
        "num_search_results": None,
        "origin": "",
        "preset_id": None,
        "provider_name": "Anthropic",
        "provider_responses": None,
        "router": None,
        "service_tier": None,
        "streamed": True,
        "tokens_completion": 25,
        "tokens_prompt": 118,
        "total_cost": cost_usd,
        "upstream_id": "chatcmpl-791bcf62-080e-4568-87d0-94c72e3b4946",
        "upstream_inference_cost": None,
        "usage": cost_usd,
        "user_agent": "ask-expert",
        "web_search_engine": None,
        **facts,
    }
