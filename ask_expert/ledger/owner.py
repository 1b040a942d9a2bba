"""Name a process so that another one can tell whether it still lives."""

import os
import platform
import uuid
from functools import cache
from pathlib import Path

_START_TIME_FIELD = 19
"""Index of `starttime` behind the `)` of /proc/PID/stat (proc(5), field 22)."""


@cache
def this_process() -> str:
    """Return `host-boot:pid:start`; the start time tells a reused pid apart."""
    return f"{_boot()}:{os.getpid()}:{_start(os.getpid())}"


def is_dead(owner: str) -> bool:
    """
    Return whether the owner surely no longer runs.

    Another machine's process is never called dead: only its lease tells.
    """
    boot, _, rest = owner.partition(":")
    pid, _, start = rest.partition(":")
    if boot != _boot() or not pid.isdigit():
        return False
    current = _start(int(pid))
    if current:
        return current != start
    return not _signal_reaches(int(pid))


@cache
def _boot() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        # Machines of one make are often named alike, and may share a ledger.
        return f"{platform.node() or 'here'}-{uuid.getnode():x}"
    # Processes of another pid namespace (a container) share the boot id, not the pids.
    try:
        space = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        space = ""
    return f"{boot.strip()[:13]}{space.strip('pid:[]')}"


def _start(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    if fields[0] in {"Z", "X"}:
        return "ended"
    return fields[_START_TIME_FIELD]


def _signal_reaches(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
