"""What `make test-vllm` does where there is no vLLM, and that it leaves nothing half made."""

import os
import subprocess
import sys
from pathlib import Path


def make_test_vllm(cache: Path, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "tests.real_servers.vllm_server", "--collect-only"],
        env={**kept, "ASK_EXPERT_CACHE": str(cache), **more},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_cache_folder_that_cannot_be_written_is_a_printed_skip(
    tmp_path: Path,
) -> None:
    cache = tmp_path / "a-file"
    cache.write_text("no folder")

    done = make_test_vllm(cache)

    assert done.returncode == 0
    assert done.stdout.startswith("SKIPPED: no vLLM here, so its tests did not run: ")
    assert str(cache) in done.stdout


def test_an_installation_that_fails_is_a_printed_skip_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    half_made = tmp_path / ".vllm-0123456789abcdef.killed"
    half_made.mkdir()
    nothing = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}

    done = make_test_vllm(tmp_path, **nothing, PIP_FIND_LINKS=str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("SKIPPED: no vLLM here, so its tests did not run: ")
    assert "torch==2.13.0" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"vllm.lock", half_made.name}
