from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ask_expert.local.metrics import Metrics, Rates, between, parse

RECORDED = Path(__file__).parent / "recorded" / "vllm-0.32-metrics.txt"


def test_a_page_of_vllm_is_read() -> None:
    found = parse(RECORDED.read_text())

    assert found == Metrics(
        running=11,
        waiting=0,
        cache_used=0.016129032258064502,
        lookups=1577,
        hits=0,
        prompt_tokens=1577,
        output_tokens=574,
    )
    assert found is not None
    assert found.hit_rate == 0


def test_a_page_of_llama_cpp_is_read_as_far_as_it_goes() -> None:
    page = (
        "# TYPE llamacpp:requests_processing gauge\nllamacpp:requests_processing 2\n"
        "llamacpp:requests_deferred 1\nllamacpp:tokens_predicted_total 50\n"
    )

    assert parse(page) == Metrics(running=2, waiting=1, output_tokens=50)


def test_engines_behind_one_server_are_added_up_and_the_fullest_cache_counts() -> None:
    page = (
        'vllm:num_requests_running{engine="0"} 2.0\n'
        'vllm:num_requests_running{engine="1",odd="} 9 \\" {"} 3 1795332485\n'
        'vllm:kv_cache_usage_perc{engine="0"} 0.5\n'
        'vllm:kv_cache_usage_perc{engine="1"} 0.25\n'
        "vllm:num_requests_waiting NaN\nvllm:generation_tokens_total +Inf\n"
    )

    assert parse(page) == Metrics(running=5, cache_used=0.5)


@settings(deadline=None)
@given(st.text() | st.sampled_from(["", "python_info 1\n", "<html>"]))
def test_any_other_page_says_nothing(page: str) -> None:
    assert parse(page) is None


def test_rates_are_what_grew_between_two_readings() -> None:
    text = RECORDED.read_text()
    first = parse(text)
    grown = text.replace("generation_tokens_total{engine", "generation_tokens_total{e")
    grown = grown.replace(" 574.0", " 774.0")
    grown = grown.replace('instruct"} 1577.0', 'instruct"} 1677.0')
    grown = grown.replace(
        'prefix_cache_hits_total{engine="0",model_name="qwen2.5-coder-0.5b-instruct"} 0.0',
        "prefix_cache_hits_total 80",
    )
    second = parse(grown)

    assert first is not None
    assert second is not None
    assert between(first, second, 2.0) == Rates(
        seconds=2.0, prompt_tokens_per_s=50, output_tokens_per_s=100, hit_rate=0.8
    )


def test_a_server_that_started_anew_in_between_has_no_rates() -> None:
    before = Metrics(output_tokens=100, prompt_tokens=5, lookups=5, hits=1)
    after = Metrics(output_tokens=3, prompt_tokens=5, lookups=5, hits=1)

    rates = between(before, after, 1.0)

    assert rates.output_tokens_per_s is None
    assert rates.prompt_tokens_per_s == 0
    assert rates.hit_rate is None


def test_no_time_between_two_readings_gives_no_rate() -> None:
    same = Metrics(output_tokens=1)

    assert between(same, same, 0.0).output_tokens_per_s is None
