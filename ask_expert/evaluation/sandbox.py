"""
Run a model's code against tests, in a subprocess with limits.

This is a guardrail, not a security boundary. It stops what small models do by
accident: endless loops, memory and output floods, exits before the tests, calls
to the shell, files and sockets that a task does not need; and it hides the
environment. Code that *wants* out can get out, since an audit hook and resource
limits are all there is, and root is not bound by every limit. Whoever runs
code they do not trust at all gives it a container or a machine of its own.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

_CHILD = Path(__file__).with_name("sandbox_child.py")
_MAX_OUTPUT_BYTES = 1_000_000
_TAIL_CHARS = 1_500


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxResult:
    """
    What one run showed.

    Attributes:
        passed: Every test ran and came through.
        output: The last of what was printed, and what failed; "" is possible.
        timed_out: It was stopped by the clock.
    """

    passed: bool
    output: str
    timed_out: bool = False


def run_tests(
    code: str,
    tests: Sequence[str],
    *,
    timeout_s: float = 10.0,
    memory_mb: int = 512,
) -> SandboxResult:
    """
    Run `code`, then each of `tests`, in a fresh process and an empty folder.

    Leaving early does not pass: the child must print a token it was handed,
    which it does only after the last test.

    Args:
        code: Python source that defines what the tests use.
        tests: Statements; the first that raises fails the run.
        timeout_s: Wall-clock seconds for everything.
        memory_mb: Address space, in MiB.
    """
    token = secrets.token_hex(16)
    job = {
        "code": code,
        "tests": list(tests),
        "token": token,
        "cpu_s": int(timeout_s) + 1,
        "memory_bytes": memory_mb * 2**20,
    }
    with tempfile.TemporaryDirectory(
        prefix="ask-expert-", ignore_cleanup_errors=True
    ) as folder:
        output, timed_out = _run(json.dumps(job).encode(), folder, timeout_s)
    text = output.decode(errors="replace")
    passed = text.rstrip("\n").rpartition("\n")[2] == token
    text = text.replace(token, "").strip()
    if timed_out and not passed:
        text = f"{text}\nstopped after {timeout_s:g} s".strip()
    elif not passed and not text:
        text = "the process ended before the tests were through"
    return SandboxResult(
        passed=passed, output=text[-_TAIL_CHARS:], timed_out=timed_out and not passed
    )


def _run(job: bytes, folder: str, timeout_s: float) -> tuple[bytes, bool]:
    child = subprocess.Popen(  # noqa: S603  # our own interpreter and file
        [sys.executable, "-I", "-S", "-X", "utf8", str(_CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=_bare_environment(folder),
        start_new_session=True,
    )
    stdin = cast("IO[bytes]", child.stdin)  # both pipes were asked for
    tail = _Tail(cast("IO[bytes]", child.stdout))
    reader = threading.Thread(target=tail.read, daemon=True)
    reader.start()
    deadline = time.monotonic() + timeout_s
    with suppress(BrokenPipeError):
        stdin.write(job)
        stdin.close()
    reader.join(max(0.0, deadline - time.monotonic()))
    timed_out = reader.is_alive()
    # The child is not reaped yet, so its id, and its group's, is still its own.
    _kill_group(child)
    child.wait()
    reader.join(1.0)
    return tail.kept, timed_out


class _Tail:
    """Reads a stream and keeps its end; gives up on a flood."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.kept = b""

    def read(self) -> None:
        """Return at the stream's end, or after `_MAX_OUTPUT_BYTES`."""
        seen = 0
        with self._stream:
            while chunk := os.read(self._stream.fileno(), 65_536):
                seen += len(chunk)
                self.kept = (self.kept + chunk)[-8_192:]
                if seen > _MAX_OUTPUT_BYTES:
                    self.kept += b"\nstopped: it printed too much"
                    return


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        child.kill()
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def _bare_environment(folder: str) -> dict[str, str]:
    """Return an environment without a home, a key or a path into this package."""
    bare = {"TMPDIR": folder, "HOME": folder, "LC_ALL": "C.UTF-8"}
    if sys.platform == "win32":
        bare["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", "")
    return bare
