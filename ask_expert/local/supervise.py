"""
Run one server program: wait until it is healthy, start it again, stop it.

The program gets a process group of its own, so that it can be ended with all that it
started, and nothing else. What it prints goes to our standard error as it comes.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from ask_expert.errors import ConfigError, LocalModelError
from ask_expert.experts.http import httpx

_LOOK_EVERY_S = 0.2
_SAY_EVERY_S = 15.0
_STEADY_S = 600.0
_LONGEST_PAUSE_S = 60.0
_PROBE_S = 5.0
_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """
    A server and the patience with it.

    Attributes:
        command: argv.
        health_url: Answers 2xx when it can serve.
        ready_within_s: Seconds until it must.
        restarts: How often in a row it is started again after a crash, at most; ten
            minutes of health begin the count anew. One that ends before it was ever
            healthy, or with status 0, is not started again.
        pause_s: Seconds before the first of these; each further pause is twice as
            long, up to a minute.
        stop_within_s: Seconds it gets to end when it is asked to.
    """

    command: Sequence[str]
    health_url: str
    ready_within_s: float
    restarts: int = 3
    pause_s: float = 1.0
    stop_within_s: float = 30.0


def run(program: Program, *, say: Say, ready: Callable[[], None]) -> int:
    """
    Run a server until it ends or we are told to stop.

    SIGINT, SIGTERM and SIGHUP stop it with SIGTERM; a second one, or its time running
    out, with SIGKILL.

    Args:
        program: What to run.
        say: Takes sentences about what happens.
        ready: Called once, when it is healthy for the first time.

    Returns:
        Its exit status; 128 and the signal's number when a signal ended it.

    Raises:
        ConfigError: It cannot be started.
        LocalModelError: It was not healthy in time; it is stopped.
    """
    if os.name != "posix":
        raise ConfigError("vLLM runs on Linux and macOS only; use WSL on Windows")
    with _told_to_stop() as told:
        return _Run(program=program, say=say, ready=ready, told=told).until_over()


class _Told:
    """How often we were told to stop."""

    def __init__(self) -> None:
        self.times = 0
        self._event = threading.Event()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.times += 1
        self._event.set()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until told; return whether we are."""
        return self._event.wait(seconds)


@contextmanager
def _told_to_stop() -> Generator[_Told]:
    told = _Told()
    numbers = [getattr(signal, name) for name in _ENDING]
    before = {number: signal.signal(number, told) for number in numbers}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Run:
    """One server, through all its starts."""

    def __init__(
        self, *, program: Program, say: Say, ready: Callable[[], None], told: _Told
    ) -> None:
        self._program = program
        self._say = say
        self._ready = ready
        self._told = told
        self._was_healthy = False

    def until_over(self) -> int:
        crashes = 0
        while True:
            status, steady_s = self._once()
            crashes = 1 if steady_s >= _STEADY_S else crashes + 1
            if self._told.times or status == 0 or not self._was_healthy:
                return _as_exit(status)
            if crashes > self._program.restarts:
                self._say(f"it crashed {crashes} times in a row; given up")
                return _as_exit(status)
            pause_s = min(
                self._program.pause_s * 2.0 ** (crashes - 1), _LONGEST_PAUSE_S
            )
            self._say(
                f"it ended with {_worded(status)}; start {crashes} of at most "
                f"{self._program.restarts} again in {pause_s:g} s"
            )
            if self._told.wait(pause_s):
                return _as_exit(status)

    def _once(self) -> tuple[int, float]:
        """Start it, and return its status and how long it was healthy, in seconds."""
        child = self._started()
        healthy_at: float | None = None
        try:
            healthy_at = self._until_healthy(child)
            if healthy_at is not None and not self._was_healthy:
                self._was_healthy = True
                self._ready()
            while child.poll() is None and not self._told.wait(_LOOK_EVERY_S):
                pass
        finally:
            self._stop(child)
        now = time.monotonic()
        return child.returncode, 0.0 if healthy_at is None else now - healthy_at

    def _started(self) -> subprocess.Popen[bytes]:
        command = list(self._program.command)
        try:
            return subprocess.Popen(  # noqa: S603  # the user's own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),
                start_new_session=True,
            )
        except OSError as error:
            text = f"{command[0]} cannot be started: {error.strerror}"
            raise ConfigError(text) from error

    def _until_healthy(self, child: subprocess.Popen[bytes]) -> float | None:
        """Return when it was healthy; None when it ended or we are told to stop."""
        url, within_s = self._program.health_url, self._program.ready_within_s
        began = said = time.monotonic()
        self._say(f"waiting for {url}, up to {within_s:g} s")
        with httpx.Client(timeout=_PROBE_S, trust_env=False) as client:
            while child.poll() is None and not self._told.times:
                if _answers(client, url):
                    return time.monotonic()
                now = time.monotonic()
                if now - began > within_s:
                    text = f"{url} did not answer within {within_s:g} s."
                    raise LocalModelError(text)
                if now - said >= _SAY_EVERY_S:
                    said = now
                    self._say(f"still waiting for {url}: {now - began:.0f} s")
                self._told.wait(_LOOK_EVERY_S)
        return None

    def _stop(self, child: subprocess.Popen[bytes]) -> None:
        """End its whole group: ask, wait, and only then insist."""
        asked = self._told.times
        if child.poll() is None:
            self._say("stopping it")
            _signal_group(child.pid, signal.SIGTERM)
            deadline = time.monotonic() + self._program.stop_within_s
            while child.poll() is None and time.monotonic() < deadline:
                if self._told.times > max(asked, 1):
                    break
                time.sleep(_LOOK_EVERY_S / 4)
        # What the first process leaves behind would hold on to memory and port.
        _signal_group(child.pid, signal.SIGKILL)
        child.wait()


def _answers(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).is_success
    except httpx.HTTPError:
        return False  # it is not listening yet


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return  # nobody is left; macOS says the latter of one that only has to be read


def _as_exit(status: int) -> int:
    return status if status >= 0 else 128 - status


def _worded(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {-status}"
