"""
Serve one GGUF file over loopback HTTP, in a process of its own.

The engine is xllamacpp: llama.cpp's OpenAI- and Anthropic-compatible server,
prebuilt for pip. It gets its own process because it ends the interpreter on
some errors, and because its threads must not share the fate of ours.

The child prints one JSON line, `{"url": ...}`, and lives until its standard
input ends, so that it never outlives the process that started it, however
that one died.
"""

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from ask_expert.errors import ConfigError, LocalModelError
from ask_expert.experts.http import httpx

INSTALL = "pip install 'ask-expert[demo]'"
_PATIENT = {"OMP_WAIT_POLICY": "passive"}
"""
Waiting threads sleep instead of spinning: on an idle machine as fast (16 tokens a
second with two threads either way), beside one busy core 2.4 times as fast.
"""
_STOP_WITHIN_S = 5.0
_NO_ENGINE = 3
_LOG_TAIL_CHARS = 600


@contextmanager
def serve_gguf(
    model: Path,
    *,
    alias: str,
    threads: int = 1,
    parallel: int = 1,
    context: int = 4096,
    start_within_s: float = 120.0,
) -> Generator[str]:
    """
    Serve `model` for the length of a `with` block.

    Args:
        model: The GGUF file.
        alias: Model name the server lists and puts into its replies.
        threads: Threads that compute.
        parallel: Requests served at once; each gets `context` tokens.
        context: Tokens of prompt and answer together, a request.
        start_within_s: Seconds the file may take to load.

    Yields:
        The address without a path, e.g. `http://127.0.0.1:40001`.

    Raises:
        ConfigError: xllamacpp is not installed.
        LocalModelError: The file cannot be served, or not in time.
    """
    command = [sys.executable, "-m", __spec__.name, str(model)]
    command += ["--alias", alias, "--threads", str(threads)]
    command += ["--parallel", str(parallel), "--ctx", str(context * parallel)]
    deadline = time.monotonic() + start_within_s
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(  # noqa: S603  # our own interpreter and module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**_PATIENT, **os.environ},
        )
        try:
            url = _first_line(child, log, deadline)
            _wait_until_healthy(child, url, log, deadline)
            yield url
        finally:
            _stop(child)


def _first_line(child: subprocess.Popen[bytes], log: IO[bytes], deadline: float) -> str:
    """Return the address the child prints once its model is loaded."""
    out = cast("IO[bytes]", child.stdout)  # it was asked for
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=lambda: lines.put(out.readline()), daemon=True).start()
    try:
        line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        raise LocalModelError(f"the model did not load in time.{_tail(log)}") from None
    if not line:
        raise _failure(child, log)
    return str(json.loads(line)["url"])


def _wait_until_healthy(
    child: subprocess.Popen[bytes], url: str, log: IO[bytes], deadline: float
) -> None:
    with httpx.Client(timeout=2.0, trust_env=False) as client:
        while time.monotonic() < deadline:
            if child.poll() is not None:
                raise _failure(child, log)
            try:
                if client.get(f"{url}/health").is_success:
                    return
            except httpx.TransportError:
                pass  # it is not listening yet
            time.sleep(0.05)
    raise LocalModelError(f"the model server did not get ready in time.{_tail(log)}")


def _failure(child: subprocess.Popen[bytes], log: IO[bytes]) -> Exception:
    status = child.wait()
    if status == _NO_ENGINE:
        return ConfigError(f"serving a model here needs xllamacpp: {INSTALL}")
    return LocalModelError(f"the model server ended with {status}.{_tail(log)}")


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    text = log.read().decode(errors="replace").strip()
    return f" Its last words: {text[-_LOG_TAIL_CHARS:]}" if text else ""


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the child by its id: ask, wait, and only then insist."""
    child.terminate()
    try:
        child.wait(_STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            stream.close()


def main(argv: list[str] | None = None) -> int:
    """Serve until standard input ends; the exit status 3 means: no xllamacpp."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--ctx", type=int, default=4096)
    options = parser.parse_args(argv)
    wire = os.dup(1)
    os.dup2(2, 1)  # whatever the engine prints must not break our one line
    try:
        import xllamacpp  # noqa: PLC0415  # optional, and only this process needs it
    except ImportError:
        return _NO_ENGINE
    server = _start(cast("Any", xllamacpp), options)
    with os.fdopen(wire, "w") as out:
        print(json.dumps({"url": server.listening_address}), file=out)  # our contract
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)  # the engine's own shutdown waits for open requests


def _start(engine: Any, options: argparse.Namespace) -> Any:  # it has no types
    params = engine.CommonParams()
    params.model.path = str(options.model)
    params.model_alias = {options.alias}
    params.hostnames = ["127.0.0.1"]
    params.n_parallel = options.parallel
    params.n_ctx = options.ctx
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.cache_ram_mib = 256
    params.cpuparams.poll = 0
    params.cpuparams_batch.poll = 0
    return engine.Server(params)


if __name__ == "__main__":
    sys.exit(main())
