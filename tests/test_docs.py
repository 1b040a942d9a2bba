"""The reference is whole, the links lead somewhere, and nothing in it is made up."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from mcp import Client
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from typer.core import TyperGroup
from typer.main import get_command

from ask_expert import errors
from ask_expert.cli.app import app
from ask_expert.cli.serve import serve
from ask_expert.experts.found import FLAGSHIPS
from ask_expert.ledger.tables import HEAD, metadata
from ask_expert.mcp_server.runtime import Runtime
from ask_expert.mcp_server.server import build_server
from ask_expert.mcp_server.tools import Connection
from ask_expert.policy.document import Comparison, Policy
from ask_expert.policy.facts import KNOWN_FACTS, FactKind
from ask_expert.policy.presets import PRESETS
from ask_expert.reply import Reply, Status
from ask_expert.settings import Settings
from tests import documents

MARKDOWN = documents.files()
PACKAGE = documents.ROOT / "ask_expert"


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield every command that runs, with the words that run it."""
    if isinstance(command, TyperGroup):
        for name, each in command.commands.items():
            yield from commands(each, f"{path} {name}")
    else:
        yield path, command


COMMANDS = dict(commands(get_command(app), "ask-expert"))


def options(path: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Return a command's options; `serve` parses its own."""
    if path == "ask-expert serve":
        with pytest.raises(SystemExit):
            serve(["--help"])
        return set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    return {
        name
        for each in COMMANDS[path].params
        for name in (*each.opts, *each.secondary_opts)
        if "--" in name
    }


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_has_its_place_in_the_reference(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    section = documents.sections(documents.text("docs/reference/cli.md"))[path]

    described = {name for name in documents.named_rows(section) if "--" in name}

    assert described == options(path, capsys) - {"--help"}


def test_the_reference_describes_no_command_that_is_not_there() -> None:
    sections = documents.sections(documents.text("docs/reference/cli.md"))

    assert set(sections) == set(COMMANDS)


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield every key of a model in dotted form, with its default."""
    for name, field in model.model_fields.items():
        dotted = f"{prefix}{name}"
        yield dotted, field.default
        inner, mark = _inner(field.annotation)
        if inner is not None:
            yield from keys(inner, f"{dotted}{mark}.")


def _inner(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """Return the model inside an annotation, and what stands between the names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    mark = "[]" if get_origin(annotation) is tuple else ""
    for each in get_args(annotation):
        inner, further = _inner(each)
        if inner is not None:
            is_mapping = "Mapping" in str(get_origin(annotation))
            return inner, ".NAME" if is_mapping else mark + further
    return None, ""


def test_every_setting_has_a_row_with_its_default() -> None:
    described = documents.named_rows(documents.text("docs/reference/settings.md"))

    for key, default in keys(Settings):
        assert key in described, f"{key} has no row"
        if default is PydanticUndefined:
            assert described[key][1] == "required", key
        elif isinstance(default, bool):
            assert described[key][1] == f"`{str(default).lower()}`", key
        elif isinstance(default, str | int | float):
            assert described[key][1] == f"`{default:{_form(default)}}`", key


def _form(default: object) -> str:
    return "g" if isinstance(default, float) else ""


def test_the_settings_page_describes_no_key_that_is_not_there() -> None:
    known = {key for key, _ in keys(Settings)}
    described = documents.named_rows(documents.text("docs/reference/settings.md"))

    storage = {"full", "redacted", "hash", "none"}
    assert set(described) - storage == known


def test_every_policy_key_and_comparison_has_a_row() -> None:
    page = documents.text("docs/reference/policy.md")
    described = set(documents.named_rows(page)) | set(documents.code(page))

    comparisons = {f"rules[].when.NAME.{name}" for name in Comparison.model_fields}
    known = {key for key, _ in keys(Policy)} - comparisons

    assert known - described == set()
    assert set(Comparison.model_fields) - described == set()
    assert set(PRESETS) - described == set()


def test_every_fact_has_a_row_that_says_when_it_is_present() -> None:
    described = documents.named_rows(documents.text("docs/reference/facts.md"))

    assert set(described) == set(KNOWN_FACTS)
    for name, fact in KNOWN_FACTS.items():
        assert described[name][1] == _range(fact)
        assert (described[name][2] == "always") == fact.always
        assert described[name][3].startswith(fact.meaning)


def _range(fact: FactKind) -> str:
    """Return what the page calls a fact's values."""
    if fact.kind != "number":
        return {"bool": "true or false", "int": "whole number"}[fact.kind]
    if fact.high == 1:
        return "0 to 1"
    return "0 or less" if fact.high == 0 else "0 or more"


def test_every_error_has_a_row_with_its_place_in_the_tree() -> None:
    described = documents.named_rows(documents.text("docs/reference/errors.md"))
    classes = [
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.AskExpertError)
    ]

    assert set(described) == {each.__name__ for each in classes}
    for each in classes:
        row = described[each.__name__]
        parent = each.__bases__[0]
        under = f"`{parent.__name__}`" if parent is not Exception else ""
        assert (row[1], row[2]) == (under, "yes" if each.retryable else "no")


@pytest.mark.anyio
async def test_every_tool_and_argument_has_a_row(home: Path, tmp_path: Path) -> None:
    sections = documents.sections(documents.text("docs/reference/tools.md"))
    runtime = Runtime(home=home, flags={})
    connection = Connection(session="s", project=str(tmp_path))

    async with runtime.open(), Client(build_server(runtime, connection)) as client:
        tools = (await client.list_tools()).tools

    assert set(sections) == {tool.name for tool in tools}
    for tool in tools:
        table = sections[tool.name].partition("### ")[0]
        described = documents.named_rows(table)
        assert set(described) == set(tool.input_schema["properties"]), tool.name
        required = {name for name, row in described.items() if "required" in row[1]}
        assert required == set(tool.input_schema.get("required", []))


def test_every_status_and_field_of_a_reply_has_a_row() -> None:
    section = documents.sections(documents.text("docs/reference/tools.md"))[
        "ask_expert"
    ]
    described = set(documents.named_rows(section))
    internal = {"cost_nusd", "budget_left_nusd", "asked", "served", "masked"}
    internal |= {"approval", "subscription"}

    fields = set(Reply.__dataclass_fields__) - internal

    assert fields - described == set()
    assert set(get_args(Status)) - described == set()


def test_every_table_and_column_of_the_ledger_has_its_place() -> None:
    page = documents.text("docs/reference/ledger.md")
    sections = documents.sections(page)

    assert set(sections) == set(metadata.tables)
    assert f"version `{HEAD}`" in page
    for name, table in metadata.tables.items():
        described = set(documents.named_rows(sections[name]))
        assert described == set(table.columns.keys()), name


def test_every_room_stands_on_the_page_about_the_design() -> None:
    named = set(documents.code(documents.text("docs/explanation/design.md")))
    entries = (each for each in PACKAGE.iterdir() if not each.name.startswith("__"))

    rooms = {f"{each.name}/" if each.is_dir() else each.name for each in entries}

    assert rooms - {"py.typed"} - named == set()


def test_every_environment_variable_has_a_row() -> None:
    described = set(
        documents.named_rows(documents.text("docs/reference/environment.md"))
    )
    sources = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")]
    read = {
        name
        for source in sources
        for name in re.findall(r"environ\.get\(\s*\"(ASK_EXPERT_[A-Z_]+)\"", source)
    }
    keys_of_experts = {str(each.key_env) for each in FLAGSHIPS}
    of_settings = {f"ASK_EXPERT_{name.upper()}" for name in Settings.model_fields}

    assert len(read) >= 3
    assert (read | keys_of_experts | of_settings) - described == set()


@pytest.mark.parametrize(
    "file", MARKDOWN, ids=lambda f: str(f.relative_to(documents.ROOT))
)
def test_every_link_leads_to_a_file_and_heading_that_exist(file: Path) -> None:
    broken: list[str] = []
    for link in documents.links(file.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        if not target.exists() or (
            anchor and anchor not in documents.anchors(target.read_text("utf-8"))
        ):
            broken.append(link)

    assert broken == []


@pytest.mark.parametrize(
    "file", MARKDOWN, ids=lambda f: str(f.relative_to(documents.ROOT))
)
def test_no_page_speaks_of_a_place_outside_the_project(file: Path) -> None:
    source = file.read_text(encoding="utf-8")

    outside = re.findall(r"\.\./shared|/work/|/tmp/lab|\bissues? #?\d+", source)

    assert outside == []


def test_every_page_is_reached_from_the_index_or_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [documents.ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for link in documents.links(page.read_text(encoding="utf-8")):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.exists() and target not in reached:
                waiting.append(target)

    assert [page for page in documents.user_files() if page not in reached] == []


def named_commands() -> list[str]:
    """Return every `ask-expert …` that the prose or a `sh` block names."""
    found = [
        span
        for file in MARKDOWN
        for span in documents.code(file.read_text(encoding="utf-8"))
        if span.startswith("ask-expert ")
    ]
    for block in documents.blocks("sh", "console"):
        for line in block.text.splitlines():
            start = line.removeprefix("$ ").removeprefix(".venv/bin/")
            if start.startswith("ask-expert "):
                found.append(start)
    return sorted({*found})


@pytest.mark.parametrize("line", named_commands())
def test_every_command_that_a_page_names_exists_with_its_options(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = line.partition(" -- ")[0]  # what follows goes to another program
    words = [word for word in ours.split() if word not in {"COMMAND", "…"}]
    group: Any = get_command(app)
    path = [words.pop(0)]
    while isinstance(group, TyperGroup) and words and not words[0].startswith("-"):
        group = group.commands[words[0]]
        path.append(words.pop(0))
    unquoted = re.sub(r"\"[^\"]*\"", "", " ".join(words))
    used = {word for word in unquoted.split() if word.startswith("--")}

    known = options(" ".join(path), capsys) if used else used

    assert used <= known


def test_the_page_on_the_report_names_every_key_of_its_json(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-made-up-for-this-test")
    app(["report", "--json"], standalone_mode=False)
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    section = documents.sections(documents.text("docs/reference/cli.md"))

    described = set(documents.code(section["ask-expert report"]))

    inner: list[dict[str, Any]] = [
        report[name] for name in ("tokens", "outcomes", "unresolved")
    ]
    inner += report["budgets"]
    assert len(report["budgets"]) == 4
    assert set(report) - described == set()
    assert {key for each in inner for key in each} - described == set()


def test_the_tree_walk_of_settings_knows_lists_and_mappings() -> None:
    found = {key for key, _ in keys(Settings)}

    assert {"experts[].price.input_per_mtok", "checks.NAME.command"} <= found
