"""Start the real command, as a user does."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


def ask_expert(
    *arguments: str,
    stdin: bytes = b"",
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Ended:
    """Run `ask-expert` with these arguments in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "ask_expert", *arguments],
        input=stdin,
        capture_output=True,
        cwd=folder,
        env={**os.environ, **(environ or {})},
        timeout=60,
        check=False,
    )
    return Ended(
        status=done.returncode,
        out=done.stdout.decode(),
        err=done.stderr.decode(),
    )


def settings_for(url: str, *, policy: str = "quality") -> str:
    """Return settings with one expert on loopback."""
    return (
        f"policy: {policy}\n"
        "experts:\n"
        "  - name: flagship\n"
        "    api: openai_chat\n"
        f"    base_url: {url}/v1\n"
        "    model: some-model\n"
        "    key_env: FLAGSHIP_KEY\n"
        "    price: {input_per_mtok: 1, output_per_mtok: 10}\n"
        "    max_output_tokens: 4096\n"
    )


KEY = {"FLAGSHIP_KEY": "not-a-real-key-0123456789"}
