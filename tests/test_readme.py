"""What the README and the pages show is what happens: every block is run or parsed."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from ask_expert import yaml_file
from ask_expert.cli.app import app
from ask_expert.policy.document import Policy
from ask_expert.settings import Settings
from tests import documents
from tests.documents import Block

CONSOLES = documents.blocks("console")
KEY = "sk-made-up-and-never-sent-0000"
NEVER_RUN = {"serve", "demo", "key set"}
"""Commands that need a client, a download or a keyring; they stand in `sh` blocks."""


@pytest.fixture
def sample(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reader of a page: a fresh home, a folder to work in, a key."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("COLUMNS", "200")
    return home


def commands(block: Block) -> list[tuple[str, str]]:
    """Return each command of a console block with the output shown under it."""
    parts = re.split(r"^\$ (.+)$", block.text, flags=re.MULTILINE)
    assert not parts[0].strip(), f"{block}: output stands above the first command"
    return list(zip(parts[1::2], parts[2::2], strict=True))


def shown(output: str) -> re.Pattern[str]:
    """Return a pattern of what a page shows; `…` stands for anything."""
    lines: list[str] = []
    for line in output.strip().splitlines():
        if line.strip() == "…":
            lines.append(r"(?:.*\n)*?")
            continue
        text = re.escape(line.rstrip()).replace("…", ".*")
        lines.append(re.sub(r"(?:\\ ){2,}", r"\\s+", text) + r"[ \\t]*\n")
    return re.compile("".join(lines))


def pages() -> list[Path]:
    return sorted({block.file for block in CONSOLES})


@pytest.mark.parametrize(
    "page", pages(), ids=lambda p: str(p.relative_to(documents.ROOT))
)
def test_each_command_of_a_page_prints_what_the_page_shows(
    page: Path, sample: Path
) -> None:
    for block in (each for each in CONSOLES if each.file == page):
        for command, output in commands(block):
            program, *arguments = shlex.split(command)
            assert program == "ask-expert", f"{block}: only our own commands are run"
            assert not " ".join(arguments[:2]).startswith(tuple(NEVER_RUN))

            result = CliRunner().invoke(app, arguments)

            assert result.exit_code == 0, f"{block}: {result.output}"
            if output.strip():
                found = shown(output).fullmatch(result.output.strip() + "\n")
                assert found, f"{block}: {command} printed\n{result.output}"
            assert KEY not in result.output


def test_the_pages_of_the_first_hour_are_among_those_that_are_run() -> None:
    names = {str(page.relative_to(documents.ROOT)) for page in pages()}

    assert {"README.md", "docs/tutorial.md"} <= names


def test_the_pattern_of_an_output_is_strict_but_for_its_dots() -> None:
    pattern = shown("cost  $… in all\n…\nend\n")

    assert pattern.fullmatch("cost     $0.50 in all\nmore\nand more\nend\n")
    assert not pattern.fullmatch("cost  $0.50 in part\nend\n")
    assert not pattern.fullmatch("cost  $0.50 in all\nend\nand more\n")


@pytest.mark.parametrize("block", documents.blocks("json", "toml"), ids=str)
def test_json_and_toml_blocks_are_what_they_say(block: Block) -> None:
    parse = {"json": json.loads, "toml": tomllib.loads}[block.language]

    assert isinstance(parse(block.text), dict)


@pytest.mark.parametrize("block", documents.blocks("yaml"), ids=str)
def test_yaml_blocks_are_settings_or_policies_that_are_accepted(block: Block) -> None:
    data: object = yaml.safe_load(block.text)
    assert isinstance(data, dict)

    model = Policy if "name" in data else Settings

    assert yaml_file.parse(block.text, model, file=block.file)


def test_blocks_are_written_in_languages_that_a_test_knows() -> None:
    fences = {
        found
        for file in documents.user_files()
        for found in re.findall(r"^```(\w+)$", file.read_text("utf-8"), re.MULTILINE)
    }

    assert fences <= {
        "console",
        "sh",
        "json",
        "yaml",
        "toml",
        "python",
        "sql",
        "text",
        "markdown",
    }


def test_the_first_screen_has_the_two_commands_and_an_entry_to_paste() -> None:
    first = documents.text("README.md").partition("## ")[0]

    assert "make demo" in first
    assert "make test" in first
    assert '"mcpServers"' in first
    assert first.count("\n") < 40


def test_the_demo_s_report_has_its_place() -> None:
    source = documents.text("README.md")

    report = source.partition("<!-- demo:begin -->")[2].partition("<!-- demo:end -->")[
        0
    ]

    assert report.strip()
    assert (documents.ROOT / "Makefile").read_text("utf-8").count("\ndemo:") == 1
