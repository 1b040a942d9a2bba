"""
An environment with a real vLLM for processors, kept outside this repository.

vLLM is 2 GB with all it needs and fits into no environment of ours, so it gets one of
its own in the cache folder, named by the hash of its lock file. It is built under
another name and renamed when a first import has worked: what stands under its name is
whole. Where it cannot be had, the reason is one sentence.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from uv import find_uv_bin

from ask_expert.local.weights import cache_folder

LOCK = Path(__file__).parent / "vllm" / "requirements.lock"
TORCH = "torch==2.13.0+cpu"
VERSION = "0.32.0+cpu"
"""vLLM asks for the distribution `vllm`, and takes a version with `cpu` for its hint."""

_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_PYTHONS = range(11, 15)
_NEEDED_BYTES = 6_000_000_000
_WITHIN_S = 600.0
_FIRST_IMPORT = (
    "from vllm.platforms import current_platform as on; import vllm._C; "
    "assert on.is_cpu(), on"
)


class NotToBeHadError(Exception):
    """There is no vLLM here; the text says why."""


def place() -> Path:
    """Return where the environment is, or would be."""
    facts = (LOCK.read_bytes(), TORCH.encode(), platform.python_version().encode())
    name = hashlib.sha256(b"\0".join(facts)).hexdigest()[:16]
    return cache_folder().parent / f"vllm-{name}"


def is_cached() -> bool:
    """Return whether the environment is there."""
    return python_of(place()).exists()


def python_of(environment: Path) -> Path:
    """Return the interpreter of an environment."""
    return environment / "bin" / "python"


def prepare() -> Path:
    """
    Return the environment's Python; the environment is made if it is not there.

    Raises:
        NotToBeHadError: It cannot be made here.
    """
    target = place()
    _check_platform()
    with _alone(target):
        if not is_cached():
            _check_room(target.parent)
            for left_over in target.parent.glob(f".{target.name}.*"):
                shutil.rmtree(left_over, ignore_errors=True)  # a run that was ended
            building = Path(
                tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.")
            )
            try:
                _build(building)
                building.rename(target)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    return python_of(target)


@contextmanager
def _alone(target: Path) -> Generator[None]:
    """Let one process at a time look and build; the kernel drops a dead one's lock."""
    import fcntl  # noqa: PLC0415  # where there is none, there is no vLLM either

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = (target.parent / "vllm.lock").open("wb")
    except OSError as error:
        raise NotToBeHadError(f"{target.parent} cannot be written: {error}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_platform() -> None:
    system, machine = platform.system(), platform.machine()
    found = f"this is {system} on {machine} with Python {platform.python_version()}"
    if (system, machine) != ("Linux", "x86_64"):
        raise NotToBeHadError(f"its lock file is for Linux on x86_64, and {found}")
    if sys.version_info.minor not in _PYTHONS:
        raise NotToBeHadError(f"it runs on Python 3.11 to 3.14, and {found}")


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _NEEDED_BYTES:
        raise NotToBeHadError(
            f"it needs {_NEEDED_BYTES / 1e9:.0f} GB in {folder}, which has "
            f"{free / 1e9:.1f} GB; ASK_EXPERT_CACHE names another folder"
        )


def _build(folder: Path) -> None:
    python, uv = str(python_of(folder)), find_uv_bin()
    run = partial(_run, deadline=time.monotonic() + _WITHIN_S)
    run([uv, "venv", "--allow-existing", "--python", sys.executable, str(folder)])
    # A machine's own pip settings may know torch's CPU build; PyTorch's index does.
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-input"]
    pip += ["--disable-pip-version-check", "--only-binary=:all:", "--no-deps", TORCH]
    try:
        run(pip)
    except NotToBeHadError:
        run([*pip, "--retries", "1", "--extra-index-url", _CPU_INDEX])
    install = [uv, "pip", "install", "--python", python, "--only-binary", ":all:"]
    run([*install, "--no-deps", "--require-hashes", "--requirement", str(LOCK)])
    packages = next((folder / "lib").glob("python3.*/site-packages"))
    note = packages / f"vllm-{VERSION}.dist-info"
    note.mkdir()
    text = f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}\n"
    (note / "METADATA").write_text(text, encoding="utf-8")
    run([python, "-c", _FIRST_IMPORT])


def _run(command: Sequence[str], *, deadline: float) -> None:
    """Run one step; its last line is the reason when it fails."""
    environ = {**os.environ, "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    try:
        done = subprocess.run(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=max(0.1, deadline - time.monotonic()),
            check=False,
        )
    except subprocess.TimeoutExpired:
        what = f"making it takes longer than {_WITHIN_S:g} s"
        raise NotToBeHadError(what) from None
    if done.returncode:
        said = done.stdout.strip().splitlines()
        last = said[-1].strip() if said else f"ended with {done.returncode}"
        raise NotToBeHadError(f"{Path(command[0]).name}: {last}")
