import stat
from dataclasses import replace
from pathlib import Path

import pytest

from ask_expert.errors import LocalModelError
from ask_expert.experts.http import new_client
from ask_expert.local.client import LocalModel
from ask_expert.local.probe import Capabilities, prefix_cache, probed
from tests.local.fake_model import FakeModel, serving
from tests.local.fake_vllm import FakeVllm

pytestmark = pytest.mark.anyio

ALL = Capabilities(
    server="vllm 0.32.0",
    logprobs=True,
    top_logprobs=2,
    prompt_logprobs=True,
    echo=True,
    n=True,
    seeds=True,
    guide="structured_outputs",
    window=8192,
    prefix_cache=True,
)


async def probe(server: FakeModel, home: Path) -> Capabilities:
    async with new_client() as client:
        model = LocalModel(client, base_url=server.url, model="tiny")
        return await probed(model, home=home)


async def test_a_vllm_gives_everything(tmp_path: Path) -> None:
    with serving(FakeVllm().model()) as server:
        can = await probe(server, tmp_path)

    assert can == ALL
    assert can.gives == (
        "logprobs",
        "prompt_logprobs",
        "echo",
        "n",
        "seeds",
        "prefix_cache",
        "top_logprobs 2",
        "guided choice by structured_outputs",
        "window 8192",
    )


@pytest.mark.parametrize(
    ("fake", "name", "why"),
    [
        (FakeVllm(lacks=["logprobs"]), "logprobs", "it sends none"),
        (FakeVllm(refuses=["logprobs"]), "logprobs", "logprobs is not allowed"),
        (
            FakeVllm(alternatives=lambda token: [(token, None), (token, None)]),
            "logprobs",
            "it sends none",
        ),
        (FakeVllm(lacks=["top_logprobs"]), "top_logprobs", "beside a token's own"),
        (FakeVllm(lacks=["prompt_logprobs"]), "prompt_logprobs", "no notice"),
        (FakeVllm(refuses=["prompt_logprobs"]), "prompt_logprobs", "not allowed"),
        (FakeVllm(lacks=["echo"]), "echo", "HTTP 404"),
        (FakeVllm(lacks=["n"]), "n", "one answer all the same"),
        (FakeVllm(refuses=["n"]), "n", "n is not allowed"),
        (FakeVllm(lacks=["seeds"]), "seeds", "different texts"),
        (FakeVllm(lacks=["guide"]), "guide", "answers freely"),
        (FakeVllm(refuses=["guide"]), "guide", "answers freely"),
        (FakeVllm(lacks=["metrics"]), "prefix_cache", "no hits"),
        (FakeVllm(lacks=["window"]), "window", "does not tell"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_what_a_server_lacks_is_off_with_the_reason(
    tmp_path: Path, fake: FakeVllm, name: str, why: str
) -> None:
    with serving(fake.model()) as server:
        can = await probe(server, tmp_path)

    assert not getattr(can, name)
    assert why in can.lacking[name]


async def test_a_server_is_probed_once_and_again_when_its_version_is_another(
    tmp_path: Path,
) -> None:
    fake = FakeVllm()

    with serving(fake.model()) as server:
        await probe(server, tmp_path)
        first = len(fake.asked)
        again = await probe(server, tmp_path)
        second = len(fake.asked)
        fake.version = "0.33.0"
        newer = await probe(server, tmp_path)

    assert (first, again) == (second, ALL)
    assert len(fake.asked) == 2 * first
    assert newer == replace(ALL, server="vllm 0.33.0")
    (kept, _) = (tmp_path / "local").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", ["", "[]", '{"server": "vllm 0.32.0"}'])
async def test_a_damaged_file_is_probed_again(tmp_path: Path, damage: str) -> None:
    fake = FakeVllm()

    with serving(fake.model()) as server:
        await probe(server, tmp_path)
        (kept,) = (tmp_path / "local").iterdir()
        kept.write_text(damage)
        can = await probe(server, tmp_path)

    assert can == ALL


@pytest.mark.parametrize("status", [503, 429, 404])
async def test_nothing_is_learnt_from_a_server_that_does_not_serve(
    tmp_path: Path, status: int
) -> None:
    with (
        serving(FakeVllm(status=status).model()) as server,
        pytest.raises(LocalModelError, match=f"HTTP {status}"),
    ):
        await probe(server, tmp_path)

    assert not (tmp_path / "local").exists()


async def test_the_prefix_cache_counts_only_its_own_metrics() -> None:
    with serving(FakeVllm(queries=200, hits=50).model()) as server:
        async with new_client() as client:
            model = LocalModel(client, base_url=server.url, model="tiny")
            found = await prefix_cache(model)

    assert found == (200, 50)
