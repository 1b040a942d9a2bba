"""The real servers; each is started once, for all tests that want it."""

from collections.abc import Generator

import pytest

from ask_expert.local.gguf_server import serve_gguf
from ask_expert.local.weights import SMOLLM2_135M, find
from tests.real_servers import support, vllm_environment, vllm_server
from tests.real_servers.support import Server

_LLAMA_WINDOW = 2048


@pytest.fixture(scope="session")
def llama() -> Generator[Server]:
    with serve_gguf(find(SMOLLM2_135M), alias="smollm2", context=_LLAMA_WINDOW) as url:
        yield support.llama(url, window=_LLAMA_WINDOW)


@pytest.fixture(scope="session")
def vllm() -> Generator[Server]:
    if not vllm_environment.is_cached():
        pytest.skip("vLLM's environment is not there; `make test-vllm` makes it")
    python = vllm_environment.python_of(vllm_environment.place())
    with vllm_server.serve_vllm(python) as url:
        yield support.vllm(url, model=vllm_server.MODEL, window=vllm_server.WINDOW)


@pytest.fixture(
    params=[
        pytest.param("llama", marks=pytest.mark.real_model),
        pytest.param("vllm", marks=pytest.mark.vllm),
    ]
)
def server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(request.param)
