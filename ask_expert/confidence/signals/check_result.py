"""Signal: does a check of the user's settings pass?"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from ask_expert.settings import CheckSettings

AT_MOST_S = 20.0
"""A check at ask time may take so many seconds; a slower one gives no fact."""

ANSWER_VARIABLE = "ASK_EXPERT_ANSWER"
"""Names the file with the answer that a check is to judge."""

MOST_AT_ONCE = 4
"""So many checks run in one process at a time; the next one waits for its turn."""

_turns = threading.BoundedSemaphore(MOST_AT_ONCE)
_KEPT_BYTES = 256_000
_KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "VIRTUAL_ENV",
    "SystemRoot",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """
    How a check ended.

    Attributes:
        name: Its name in the settings.
        passed: Exit status 0; None when it did not end in time or could not start.
        output: What it printed; of more than 256 kB the head and the tail.
        seconds: How long it ran.
    """

    name: str
    passed: bool | None
    output: str
    seconds: float


def run_check(
    name: str,
    check: CheckSettings,
    *,
    folder: Path,
    environ: Mapping[str, str],
    patience_s: float = AT_MOST_S,
    answer: Path | None = None,
) -> CheckResult:
    """
    Run a check's argv in the working folder; no shell, no keys in its environment.

    It blocks; call it from a worker thread. Its whole process group is ended when
    its time is over. What it printed may hold secrets: mask it, and only then cut it.

    Args:
        name: Its name in the settings.
        check: Its command and time.
        folder: Where it runs.
        environ: Where PATH, HOME and the like come from.
        patience_s: Seconds to wait for a turn; without one there is no fact.
        answer: File with an answer to judge; the folder as it is when absent.
    """
    if not _turns.acquire(timeout=patience_s):
        output = f"was not run: {MOST_AT_ONCE} other checks were still running"
        return CheckResult(name=name, passed=None, output=output, seconds=0)
    try:
        return _run(name, check, folder=folder, environ=environ, answer=answer)
    finally:
        _turns.release()


def _run(
    name: str,
    check: CheckSettings,
    *,
    folder: Path,
    environ: Mapping[str, str],
    answer: Path | None,
) -> CheckResult:
    limit_s = min(check.timeout_s, AT_MOST_S)
    scrubbed = {key: environ[key] for key in _KEPT_VARIABLES if key in environ}
    scrubbed |= {} if answer is None else {ANSWER_VARIABLE: str(answer)}
    began = time.monotonic()
    with TemporaryFile() as output:
        try:
            process = subprocess.Popen(  # noqa: S603  # argv of the user's settings
                list(check.command),
                cwd=folder,
                env=scrubbed,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return CheckResult(name=name, passed=None, output=str(error), seconds=0)
        try:
            passed = process.wait(limit_s) == 0
        except subprocess.TimeoutExpired:
            passed = None
        finally:
            _end_group(process)
        text = _printed(output.fileno())
    return CheckResult(
        name=name, passed=passed, output=text, seconds=time.monotonic() - began
    )


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End what the check started, its children included."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.poll()
    process.wait()


def _printed(descriptor: int) -> str:
    """Return what was printed; where it is cut, no half of a word is kept."""
    size = os.fstat(descriptor).st_size
    if size <= _KEPT_BYTES:
        return os.pread(descriptor, size, 0).decode(errors="replace")
    half = _KEPT_BYTES // 2
    head = os.pread(descriptor, half, 0).decode(errors="replace")
    tail = os.pread(descriptor, half, size - half).decode(errors="replace")
    head = head[: max(head.rfind("\n"), head.rfind(" "), 0)]
    starts = [place for gap in "\n " if (place := tail.find(gap)) >= 0]
    tail = tail[min(starts, default=len(tail)) :]
    return f"{head}\n… {size - 2 * half} bytes left out …\n{tail}"
