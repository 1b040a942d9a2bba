"""Every guarantee names tests that exist and run."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "guarantees.md"
TEXT = PAGE.read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", TEXT)))
AS_ROOT = " (as root)"
"""Stands behind a test that runs only where the suite runs as root."""


@cache
def marks(path: str) -> dict[str, set[str]]:
    """Return the marks of each test of a file; those of the whole file are in all."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    of_all: set[str] = set()
    found: dict[str, set[str]] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == (
            "pytestmark"
        ):
            of_all |= named_in(node.value)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            decorators = (named_in(each) for each in node.decorator_list)
            found[node.name] = set().union(*decorators)
    return {name: own | of_all for name, own in found.items()}


def named_in(node: ast.expr) -> set[str]:
    return {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_test_that_is_named_exists_and_is_not_skipped(path: str, name: str) -> None:
    assert (ROOT / path).is_file(), f"{path} is not there"
    found = marks(path)

    assert name in found, f"{path} has no {name}"
    assert not found[name] & {"skip", "xfail"}
    as_root = f"`{path}::{name}`{AS_ROOT}" in TEXT
    assert ("skipif" in found[name]) == as_root


def test_each_line_of_a_table_that_promises_names_a_test() -> None:
    promised: list[str] = []
    shows = False
    for line in TEXT.splitlines():
        if not line.startswith("|"):
            shows = False
        elif line.rstrip().endswith("| shown by |"):
            shows = True
        elif shows and not line.startswith("|---"):
            promised.append(line)

    assert len(promised) > 40
    assert [line for line in promised if "::test_" not in line] == []


def test_a_test_that_is_not_there_or_skipped_would_be_noticed(tmp_path: Path) -> None:
    file = tmp_path / "test_some.py"
    file.write_text(
        "import pytest\n"
        "@pytest.mark.skip\ndef test_one(): ...\n"
        "@pytest.mark.skipif(True, reason='x')\nasync def test_two(): ...\n"
        "def test_three(): ...\n",
        encoding="utf-8",
    )

    found = marks(str(file))

    assert "skip" in found["test_one"]
    assert "skipif" in found["test_two"]
    assert found["test_three"] == set()
    assert "test_four" not in found
