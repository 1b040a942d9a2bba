import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ask_expert.errors import ConfigError, LocalModelError
from ask_expert.experts.http import httpx
from ask_expert.local.chat import complete
from ask_expert.local.gguf_server import serve_gguf
from ask_expert.local.weights import SMOLLM2_135M, find
from ask_expert.question import Turn


@pytest.fixture(scope="module")
def smollm2() -> Path:
    return find(SMOLLM2_135M)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2, trust_env=False).is_success
    except httpx.TransportError:
        return False


def wait_until(condition: Callable[[], bool], within_s: float = 20.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_without_the_engine_the_error_is_the_install_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('not here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with (
        pytest.raises(ConfigError, match=r"pip install 'ask-expert\[demo\]'"),
        serve_gguf(tmp_path / "any.gguf", alias="any"),
    ):
        raise AssertionError("it served")


def test_a_server_that_never_gets_ready_is_given_up_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = tmp_path / "pid"
    (tmp_path / "xllamacpp.py").write_text(
        "import os, pathlib, sys, time\n"
        f"path = pathlib.Path({str(pid)!r})\n"
        "path.with_suffix('.new').write_text(str(os.getpid()))\n"
        "path.with_suffix('.new').rename(path)\n"
        "print('loading for ever', flush=True)\n"
        "sys.stdin.read()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with (
        pytest.raises(LocalModelError, match=r"not load in time.*loading for ever"),
        serve_gguf(tmp_path / "any.gguf", alias="any", start_within_s=5.0),
    ):
        raise AssertionError("it served")

    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.real_model
def test_a_file_that_is_no_model_is_an_error_with_the_servers_last_words(
    tmp_path: Path,
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))

    with (
        pytest.raises(LocalModelError, match="the model server ended"),
        serve_gguf(broken, alias="broken"),
    ):
        raise AssertionError("it served")


@pytest.mark.real_model
@pytest.mark.anyio
async def test_a_real_model_answers_and_its_server_ends_with_the_block(
    smollm2: Path,
) -> None:
    with serve_gguf(smollm2, alias="smol", context=512) as url:
        async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
            answer = await complete(
                client,
                f"{url}/v1",
                model="smol",
                turns=[Turn(role="user", text="Say hello.")],
                max_tokens=8,
            )
            models = (await client.get(f"{url}/v1/models")).json()

    assert answer.text
    assert 1 <= answer.output_tokens <= 8
    assert answer.input_tokens > 0
    assert [model["id"] for model in models["data"]] == ["smol"]
    assert not answers(url)


PARENT = """
import sys, time
from pathlib import Path
from ask_expert.local.gguf_server import serve_gguf
with serve_gguf(Path(sys.argv[1]), alias="smol", context=512) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.mark.real_model
def test_a_server_does_not_outlive_a_parent_that_was_killed(smollm2: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(smollm2)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        served = answers(url)
        parent.send_signal(signal.SIGKILL)

    assert served
    assert wait_until(lambda: not answers(url))
