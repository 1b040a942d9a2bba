"""Every signal on two real servers: vLLM, and llama.cpp with a real coder model."""

import math
import time
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest

from ask_expert.confidence.measured import Measured
from ask_expert.confidence.measuring import Plan, Step
from ask_expert.confidence.signals.registry import SIGNALS
from ask_expert.confidence.sitting import Problem, Sitting
from ask_expert.experts.http import new_client
from ask_expert.local.client import LocalModel
from ask_expert.local.gguf_server import serve_gguf
from ask_expert.local.probe import Capabilities, prefix_cache, probed
from ask_expert.local.weights import QWEN_CODER_05B, find
from tests.real_servers.support import Server
from tests.real_servers.tiny_model import ANSWER, P_YES

pytestmark = pytest.mark.anyio

K = 5
QUESTION = "A shop sells pens at 3 dollars each. How many dollars do 17 pens cost?"


class Assessed:
    """What an assess step found on a real server."""

    def __init__(self, found: tuple[Measured, ...], can: Capabilities) -> None:
        self.can = can
        self.values = {each.name: each.value for each in found}
        self.why = {each.name: each.why_absent for each in found if each.why_absent}
        self.tokens = sum(each.tokens for each in found)
        self.cache: tuple[int, int] | None = None
        for each in found:
            value = each.why_absent if each.value is None else f"{each.value:.4f}"
            cost = f"{each.tokens:5d} tokens {each.seconds:7.3f} s"
            print(f"{each.name:<22} {cost}  {value}")


async def assess(
    url: str, model: str, home: Path, *, draft: str | None, max_seconds: float
) -> Assessed:
    async with new_client() as client:
        local = LocalModel(client, base_url=f"{url}/v1", model=model)
        can = await probed(local, home=home)
        print(f"\n{can.server} gives {', '.join(can.gives)}")

        async def sit() -> Sitting:
            return Sitting(
                problem=Problem(text=QUESTION, draft=draft),
                model=local,
                can=can,
                samples=K,
                max_tokens=50_000,
                second=local,
            )

        before = await prefix_cache(local)
        plan = Plan(
            signals=[*SIGNALS],
            max_seconds=max_seconds,
            can_change=lambda facts, pending: bool(pending) or not facts,
        )
        step = Step(plan=plan, sit=sit, clock_s=time.monotonic)
        assessed = Assessed(await step.run({}), can)
        after = await prefix_cache(local)
    if before and after:
        assessed.cache = (after[0] - before[0], after[1] - before[1])
        queries, hits = assessed.cache
        rate = f"{hits / queries:.1%} of {queries} prompt tokens"
        print(f"prefix cache hits during an assess of k={K}: {rate}")
    return assessed


@pytest.mark.vllm
async def test_vllm_gives_every_signal_and_its_cache_pays_once_for_the_prefix(
    vllm: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        found = await assess(
            vllm.url, vllm.model, tmp_path, draft=ANSWER, max_seconds=300
        )

    assert found.can.server.startswith("vllm 0.")
    assert found.can.lacking == {}
    assert found.why == {}
    assert found.cache is not None
    assert found.cache[1] > 0
    sure = ("mean_logprob", "min_logprob", "low_logprob", "token_entropy")
    assert {name: found.values[name] for name in sure} == {
        name: pytest.approx(0, abs=1e-6) for name in sure
    }
    assert _value(found.values, "logprob_margin") > 50
    assert _value(found.values, "p_true") == pytest.approx(P_YES, abs=0.02)
    # Every byte of a draft is as likely as each of the others.
    assert _value(found.values, "draft_logprob") == pytest.approx(
        -math.log(320), abs=0.1
    )
    assert found.values["vote_share"] == found.values["vote_margin"] == 1.0
    assert found.values["model_agreement"] == found.values["style_agreement"] == 1.0
    assert found.values["changed_assumption"] == 0.0


def _value(values: Mapping[str, float | None], name: str) -> float:
    value = values[name]
    assert value is not None
    return value


@pytest.fixture(scope="module")
def coder() -> Generator[str]:
    with serve_gguf(
        find(QWEN_CODER_05B), alias="coder", threads=2, parallel=4, context=2048
    ) as url:
        yield url


@pytest.mark.real_model
async def test_llama_cpp_gives_what_it_can_and_says_what_it_lacks(
    coder: str, tmp_path: Path
) -> None:
    found = await assess(coder, "coder", tmp_path, draft=None, max_seconds=900)

    assert found.can.server.startswith("llamacpp")
    assert (found.can.logprobs, found.can.n, found.can.guide) == (
        True,
        True,
        "json_schema",
    )
    assert "the server lacks prompt_logprobs" in found.why["draft_logprob"]
    for name in ("mean_logprob", "min_logprob", "low_logprob"):
        assert _value(found.values, name) < 0
    for name in ("p_true", "self_verification", "vote_share"):
        assert 0 <= _value(found.values, name) <= 1
    assert found.tokens > 100
