"""The whole road to a model server that nobody here wrote: llama.cpp in xllamacpp."""

from collections.abc import Generator
from pathlib import Path

import pytest

from ask_expert.local.gguf_server import serve_gguf
from ask_expert.local.weights import SMOLLM2_135M, find
from tests.end_to_end.support import (
    ask,
    connected,
    expert,
    report,
    rows,
    write_settings,
)

pytestmark = [pytest.mark.anyio, pytest.mark.real_model]


@pytest.fixture(scope="module")
def llama() -> Generator[str]:
    with serve_gguf(find(SMOLLM2_135M), alias="smollm2") as url:
        yield url


@pytest.mark.parametrize("api", ["openai_chat", "openai_responses", "anthropic"])
async def test_a_real_server_answers_over_every_wire_and_its_tokens_are_charged(
    llama: str, home: Path, tmp_path: Path, api: str
) -> None:
    base = llama if api == "anthropic" else f"{llama}/v1"
    settings = expert(
        llama, api=api, base_url=base, model="smollm2", max_output_tokens=24
    )
    write_settings(home, settings)

    async with connected(home, tmp_path) as client:
        reply = await ask(client, "Name a colour.")

    assert reply["status"] == "answered", reply["reason"]
    ((state, output, cost, reserved, usage),) = rows(
        home,
        "SELECT state, output_tokens, cost_nusd, reserved_nusd, usage_source FROM tries",
    )
    assert (state, usage) == ("settled", "provider")
    assert 0 < output <= 24
    assert 0 < cost <= reserved
    assert report(home)["cost_usd"] == reply["cost_usd"] == cost / 1e9
