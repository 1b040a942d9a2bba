"""Signal: does a check of the user's settings pass?"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from ask_expert.settings import CheckSettings

AT_MOST_S = 20.0
"""A check at ask time may take so many seconds; a slower one gives no fact."""

_OUTPUT_CHARS = 4000
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
        output: Head and tail of what it printed.
        seconds: How long it ran.
    """

    name: str
    passed: bool | None
    output: str
    seconds: float


def run_check(
    name: str, check: CheckSettings, *, folder: Path, environ: Mapping[str, str]
) -> CheckResult:
    """
    Run a check's argv in the working folder; no shell, no keys in its environment.

    It blocks; call it from a worker thread. Its whole process group is ended when
    its time is over.
    """
    limit_s = min(check.timeout_s, AT_MOST_S)
    scrubbed = {key: environ[key] for key in _KEPT_VARIABLES if key in environ}
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
        text = _head_and_tail(output.fileno())
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


def _head_and_tail(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    if size <= _OUTPUT_CHARS:
        return os.pread(descriptor, size, 0).decode(errors="replace")
    half = _OUTPUT_CHARS // 2
    head = os.pread(descriptor, half, 0).decode(errors="replace")
    tail = os.pread(descriptor, half, size - half).decode(errors="replace")
    return f"{head}\n… {size - 2 * half} bytes left out …\n{tail}"
