import json
from pathlib import Path

from tests.cli.running import ask_expert, settings_for


def test_a_model_has_its_unit_prices_and_a_worst_case(home: Path) -> None:
    ended = ask_expert(
        "prices", "gpt-6.1-sol", "--tokens-in", "300000", "--tokens-out", "1000"
    )

    assert ended.status == 0
    heading, head, base, higher, source, worst = ended.out.splitlines()
    assert heading == "gpt-6.1-sol (in no settings, openai_chat)"
    assert head.split()[:3] == ["input", "tokens", "input"]
    assert base.split()[:4] == ["up", "to", "272,000", "$2.00"]
    assert higher.split()[:3] == ["above", "272,000", "$4.00"]
    assert source.startswith("Prices in USD per million tokens, by genai-prices ")
    assert worst == "A call of 300,000 tokens in and 1,000 out costs at most $1.515."


def test_the_price_of_the_settings_is_the_one_that_counts(home: Path) -> None:
    (home / "settings.yaml").write_text(settings_for("http://127.0.0.1:9"))

    ended = ask_expert("prices", "some-model", "--tokens-in", "1000000", "--json")

    (found,) = json.loads(ended.out)
    assert (found["expert"], found["source"]) == ("flagship", "settings")
    assert found["tiers"][0]["output_usd_per_mtok"] == "10"
    assert found["tokens_out"] == 4096
    assert found["worst_case_usd"] == 1.29096


def test_a_model_without_a_price_ends_with_what_to_set(home: Path) -> None:
    shown = ask_expert("prices", "made-up\x1b[2J")
    form = ask_expert("prices", "made-up", "--api", "anthropic", "--json")

    assert (shown.status, form.status) == (1, 1)
    assert "No price is known for model 'made-up\\x1b[2J'." in shown.out
    assert "      input_per_mtok: …\n" in shown.out
    (found,) = json.loads(form.out)
    assert (found["source"], found["worst_case_usd"]) == (None, None)
    assert "    api: anthropic\n" in found["to_set"]
