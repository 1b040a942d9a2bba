"""
A real vLLM on a free loopback port, with the model that `tiny_model` writes.

Run as a script, it makes vLLM's environment and then runs the tests that need it;
where that environment cannot be had it prints why, and that nothing was tested.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ask_expert.errors import LocalModelError
from ask_expert.experts.http import httpx
from tests.real_servers import tiny_model, vllm_environment
from tests.real_servers.vllm_environment import NotToBeHadError

MODEL = "tiny"
WINDOW = 8192
"""Tokens of prompt and answer together; in this model, one for each byte."""

_READY_WITHIN_S = 300.0
_STOP_WITHIN_S = 20.0
_LOG_TAIL_CHARS = 2000
_FLAGS = (
    *("--served-model-name", MODEL, "--host", "127.0.0.1", "--dtype", "bfloat16"),
    *("--max-model-len", str(WINDOW), "--max-num-seqs", "8", "--enforce-eager"),
    *("--generation-config", "vllm", "--enable-prompt-tokens-details"),
)
_ENVIRON = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "2",
}


@contextmanager
def serve_vllm(python: Path) -> Generator[str]:
    """
    Serve the tiny model for the length of a `with` block.

    Args:
        python: From `vllm_environment`.

    Yields:
        The address without a path.

    Raises:
        LocalModelError: vLLM did not get ready.
    """
    with tempfile.TemporaryDirectory(prefix="vllm-") as place:
        folder = Path(place)
        model = tiny_model.write(folder / "model", window=WINDOW)
        port = _free_port()
        # By its module: scripts of a renamed environment name its first place.
        command = [str(python), "-m", "vllm.entrypoints.cli.main", "serve", str(model)]
        command += ["--port", str(port), *_FLAGS]
        with (folder / "log").open("w+b") as log:
            # A session of its own, so that it can be ended with all its processes.
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(folder),
                start_new_session=True,
            )
            try:
                url = f"http://127.0.0.1:{port}"
                _wait_until_healthy(child, url, log)
                yield url
            finally:
                _stop(child)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(folder: Path) -> dict[str, str]:
    """Return variables with which vLLM runs on a processor, offline, in a folder."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    own = {name: str(folder) for name in ("VLLM_CACHE_ROOT", "VLLM_CONFIG_ROOT")}
    return {**kept, **_ENVIRON, **own}


def _wait_until_healthy(
    child: subprocess.Popen[bytes], url: str, log: IO[bytes]
) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    with httpx.Client(timeout=5.0, trust_env=False) as client:
        while time.monotonic() < deadline:
            if child.poll() is not None:
                raise LocalModelError(
                    f"vLLM ended with {child.returncode}.{_tail(log)}"
                )
            try:
                if client.get(f"{url}/health").is_success:
                    return
            except httpx.TransportError:
                pass  # it is not listening yet
            time.sleep(0.2)
    raise LocalModelError(f"vLLM was not ready in {_READY_WITHIN_S:g} s.{_tail(log)}")


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    return " Its last words: " + log.read().decode(errors="replace")[-_LOG_TAIL_CHARS:]


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the processes of its session: ask, wait, and only then insist."""
    for way in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, way)
            child.wait(_STOP_WITHIN_S)
        except ProcessLookupError:
            return  # all of them are gone
        except subprocess.TimeoutExpired:
            continue
    child.wait()


def main(pytest_arguments: Sequence[str]) -> int:
    """Make the environment, then run the tests marked `vllm`."""
    started = time.monotonic()
    try:
        python = vllm_environment.prepare()
    except NotToBeHadError as error:
        print(f"SKIPPED: no vLLM here, so its tests did not run: {error}", flush=True)
        return 0
    print(
        f"vLLM: {python} (ready after {time.monotonic() - started:.0f} s)", flush=True
    )
    pytest = [sys.executable, "-m", "pytest", "-m", "vllm", "tests/real_servers"]
    return subprocess.run([*pytest, *pytest_arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
