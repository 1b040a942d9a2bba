"""The experts that there are without any settings: one flagship a known variable."""

from collections.abc import Mapping

from ask_expert.settings import ExpertSettings

_MOST_OUTPUT = 16_384

FLAGSHIPS = (
    ExpertSettings(
        name="openai",
        api="openai_responses",
        model="gpt-6.1-sol",
        key_env="OPENAI_API_KEY",
        max_output_tokens=_MOST_OUTPUT,
        context_window=1_050_000,
    ),
    ExpertSettings(
        name="gemini",
        api="gemini",
        model="gemini-4-argon",
        key_env="GEMINI_API_KEY",
        max_output_tokens=_MOST_OUTPUT,
        context_window=1_048_576,
    ),
    ExpertSettings(
        name="anthropic",
        api="anthropic",
        model="claude-opus-5-5",
        key_env="ANTHROPIC_API_KEY",
        max_output_tokens=_MOST_OUTPUT,
        context_window=1_000_000,
    ),
    ExpertSettings(
        name="openrouter",
        api="openrouter",
        model="anthropic/claude-opus-5.5",
        key_env="OPENROUTER_API_KEY",
        max_output_tokens=_MOST_OUTPUT,
        context_window=1_000_000,
    ),
)
"""Cheapest first by output price on 2026-11-21; each has a price in genai-prices."""


def experts_from_environment(
    environ: Mapping[str, str],
) -> tuple[ExpertSettings, ...]:
    """Return the flagships whose variable holds something."""
    return tuple(
        expert
        for expert in FLAGSHIPS
        if expert.key_env and environ.get(expert.key_env, "").strip()
    )
