"""The public names are those that are documented, and cost nothing until they are used."""

import subprocess
import sys
from pathlib import Path

import pytest

import ask_expert
from tests import documents

API = "docs/reference/api.md"


def documented() -> list[str]:
    sections = documents.sections(documents.text(API))
    return sorted(name for name in sections if name != "Example")


def test_the_public_names_are_those_that_are_documented() -> None:
    assert sorted(ask_expert.__all__) == documented()


@pytest.mark.parametrize("name", documented())
def test_each_public_name_is_a_class_of_ours_of_that_name(name: str) -> None:
    found = getattr(ask_expert, name)

    assert isinstance(found, type)
    assert found.__name__ == name
    assert found.__module__.startswith("ask_expert.")
    assert found.__doc__
    assert name in dir(ask_expert)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Escalater"):
        getattr(ask_expert, "Escalater")  # noqa: B009  # a typo, made on purpose


def test_importing_the_package_imports_nothing_else() -> None:
    script = (
        "import sys; before = set(sys.modules); import ask_expert; "
        "print(sorted(name for name in set(sys.modules) - before "
        "if name.split('.')[0] in {'ask_expert', 'pydantic', 'mcp', 'sqlalchemy'}))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "['ask_expert']"


def test_the_example_of_the_page_runs(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = (
        block
        for block in documents.blocks("python")
        if block.file == documents.ROOT / API
    )

    exec(compile(example.text, str(example), "exec"), {})  # noqa: S102  # our own page

    assert capsys.readouterr().out.startswith("unavailable No expert is configured")
    assert (home / "ledger.db").exists()
