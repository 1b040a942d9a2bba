"""What is published works with the source folder gone."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NEEDED = [
    "ask_expert/policies/balanced.yaml",
    "ask_expert/policy/replay_questions.jsonl",
    "ask_expert/redaction/rules.toml",
    "ask_expert/experts/templates/advise.md",
    "ask_expert/evaluation/data/coding_tasks.jsonl",
    "ask_expert/cli/settings_template.yaml",
    "ask_expert/ledger/migrations/versions/m0001_first.py",
    "ask_expert/py.typed",
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", str(ROOT)]
    subprocess.run(
        [sys.executable, "-m", "pip", *build, "--wheel-dir", str(folder)], check=True
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_data_file_and_no_test(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())

    assert [name for name in NEEDED if name not in names] == []
    assert [name for name in names if name.startswith(("tests/", "benchmarks/"))] == []


def test_the_installed_wheel_finds_its_presets_and_makes_a_ledger(
    wheel: Path, tmp_path: Path, home: Path
) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        "import sys, ask_expert; print(ask_expert.__file__);"
        "sys.argv = ['ask-expert', 'ask', '--dry-run', 'Why? AKIAIOSFODNN7EXAMPLE'];"
        "from ask_expert.cli import main; main()"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(site), "ASK_EXPERT_HOME": str(home)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == str(site / "ask_expert" / "__init__.py")
    assert "«SECRET:aws_access_key:1»" in done.stdout
    assert (home / "ledger.db").exists()
