"""`ask-expert local serve` and the batch in one process, with a real vLLM."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ask_expert.experts.http import httpx
from ask_expert.settings_file import load
from tests.cli.running import ROOT, ask_expert
from tests.real_servers import tiny_model, vllm_environment, vllm_server
from tests.real_servers.tiny_model import ANSWER, ENDLESS_WORD

pytestmark = pytest.mark.vllm

_WITHIN_S = 600.0
_SMALL = ("--dtype", "bfloat16", "--max-num-seqs", "8", "--enforce-eager")

_BATCH = """
import dataclasses, json, sys
from ask_expert.local.answered import Request
from ask_expert.local.batch import opened
from ask_expert.question import Turn

if __name__ == "__main__":
    model, requests = json.load(sys.stdin)
    given = [
        Request(**{**each, "turns": tuple(Turn(**turn) for turn in each["turns"])})
        for each in requests
    ]
    options = {"dtype": "bfloat16", "max_num_seqs": 8, "enforce_eager": True}
    with opened(model, options=options) as batch:
        came = [
            str(each) if isinstance(each, Exception) else dataclasses.asdict(each)
            for each in batch.answers(given, chunk=3)
        ]
    with open(sys.argv[1], "w") as file:
        json.dump(came, file)
"""


@pytest.fixture
def python() -> Path:
    if not vllm_environment.is_cached():
        pytest.skip("vLLM's environment is not there; `make test-vllm` makes it")
    return vllm_environment.python_of(vllm_environment.place())


@contextmanager
def serving(
    python: Path, folder: Path, home: Path, port: int, *more: str
) -> Generator[tuple[subprocess.Popen[bytes], Path]]:
    """Run the command with this vLLM on its PATH."""
    bin_ = folder / "bin"
    bin_.mkdir()
    # Scripts of a renamed environment name its first place, so by its module.
    script = f'#!/bin/sh\nexec "{python}" -m vllm.entrypoints.cli.main "$@"\n'
    (bin_ / "vllm").write_text(script)
    (bin_ / "vllm").chmod(0o755)
    environ = vllm_server.environment(folder)
    environ["PATH"] = f"{bin_}{os.pathsep}{environ['PATH']}"
    model = tiny_model.write(folder / "model", window=vllm_server.WINDOW)
    command = [sys.executable, "-m", "ask_expert", "local", "serve", str(model)]
    command += ["--name", "tiny", "--port", str(port), "--home", str(home)]
    log = folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen([*command, "--", *more], env=environ, stderr=file)
    try:
        yield process, log
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def test_it_is_served_written_down_measured_and_stopped(
    python: Path, tmp_path: Path, home: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])

    with serving(python, tmp_path, home, port, *_SMALL) as (process, log):
        deadline = time.monotonic() + _WITHIN_S
        while "`local:` is written to" not in log.read_text(errors="replace"):
            said = log.read_text(errors="replace")[-3000:]
            assert process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.2)
        (local,) = load(home).locals
        messages = [{"role": "user", "content": "Name a colour. " * 20}]
        body = {"model": local.model, "messages": messages, "max_tokens": 24}
        replies = [
            httpx.post(
                f"{local.base_url}/chat/completions",
                json=body,
                timeout=60,
                trust_env=False,
            ).json()
            for _ in range(2)
        ]
        status = ask_expert(
            *("local", "status", "--json", "--seconds", "0.5", "--home", str(home))
        )
        process.send_signal(signal.SIGINT)
        ended = process.wait(60)

    assert local.base_url == f"http://127.0.0.1:{port}/v1"
    reply = replies[-1]
    assert reply["choices"][0]["message"]["content"] == ANSWER
    assert reply["usage"]["prompt_tokens_details"]["cached_tokens"] > 0
    (state,) = json.loads(status.out)
    assert state["sound"], state
    assert (state["models"], state["window"]) == (["tiny"], vllm_server.WINDOW)
    assert state["metrics"]["running"] == 0
    assert state["metrics"]["output_tokens"] == 16
    assert 0 < state["metrics"]["hit_rate"] < 1
    assert state["rates"]["output_tokens_per_s"] == 0
    assert ended == 0, log.read_text(errors="replace")[-3000:]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)


def request(text: str, **facts: Any) -> dict[str, Any]:
    given = {"max_tokens": 24, "seed": 7, **facts}
    return {"turns": [{"role": "user", "text": text}], **given}


def test_a_batch_in_one_process_gives_texts_and_log_probabilities_in_order(
    python: Path, tmp_path: Path
) -> None:
    model = tiny_model.write(tmp_path / "model", window=vllm_server.WINDOW)
    requests = [
        request("Name a colour.", top_logprobs=2),
        request(f"Count {ENDLESS_WORD}.", n=2, temperature=1.0),
        request("x" * 2 * vllm_server.WINDOW),
        request("Name a colour."),
        {
            **request("Say it."),
            "continues": True,
            "turns": [
                {"role": "user", "text": "Say it."},
                {"role": "assistant", "text": "Now"},
            ],
        },
    ]
    out = tmp_path / "out.json"

    done = subprocess.run(
        [str(python), "-c", _BATCH, str(out)],
        input=json.dumps([str(model), requests]),
        env={**vllm_server.environment(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=_WITHIN_S,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    first, endless, too_long, plain, _ = json.loads(out.read_text())
    (sample,) = first["samples"]
    assert (sample["text"], sample["finished"]) == (ANSWER, True)
    assert "".join(token["text"] for token in sample["tokens"]).startswith(ANSWER)
    assert all(token["logprob"] > -0.01 for token in sample["tokens"])
    assert {len(token["top"]) for token in sample["tokens"]} == {2}
    assert first["input_tokens"] > len("Name a colour.")
    assert first["output_tokens"] == 8
    assert first["fingerprint"].startswith("vllm-0.")
    assert [each["finished"] for each in endless["samples"]] == [False, False]
    assert endless["output_tokens"] == 48
    assert too_long.startswith("vLLM turned it down: ")
    assert plain["samples"] == [{**sample, "tokens": None}]
