"""Every file in `examples/` is accepted by what reads it, and every client entry starts."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from ask_expert import settings_file, yaml_file
from ask_expert.cli.app import app
from ask_expert.experts import prices
from ask_expert.experts.prompt import compose
from ask_expert.experts.registry import wire_for
from ask_expert.policy import presets
from ask_expert.policy.document import Policy
from ask_expert.question import Caller, Question
from ask_expert.settings import Settings
from tests import documents

EXAMPLES = documents.ROOT / "examples"
SETTINGS = sorted((EXAMPLES / "settings").iterdir())
POLICIES = sorted((EXAMPLES / "policies").iterdir())
CLIENTS = sorted((EXAMPLES / "clients").iterdir())
BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a client starts."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    further: frozenset[str] = frozenset()


def _keyed(table: str, *, command: str = "command", env: str = "env") -> Any:
    """Return a reader of `table.expert`, the form that most clients share."""

    def read(data: Mapping[str, Any]) -> Entry:
        entry = data[table]["expert"]
        program: str | list[str] = entry[command]
        argv = [program, *entry["args"]] if isinstance(program, str) else program
        known = {command, env, "args"}
        return Entry(
            argv=tuple(argv),
            environment=entry.get(env, {}),
            further=frozenset(entry) - known,
        )

    return read


def _listed(data: Mapping[str, Any]) -> Entry:
    (entry,) = data["mcpServers"]
    return Entry(
        argv=(entry["command"], *entry["args"]),
        further=frozenset(entry) - {"command", "args", "env"},
    )


READERS: dict[str, tuple[Callable[[Any], Entry], set[str]]] = {
    "claude-code.mcp.json": (_keyed("mcpServers"), {"type", "timeout"}),
    "cline_mcp_settings.json": (_keyed("mcpServers"), {"timeout", "autoApprove"}),
    "codex.config.toml": (
        _keyed("mcp_servers"),
        {
            "env_vars",
            "required",
            "startup_timeout_sec",
            "tool_timeout_sec",
            "default_tools_approval_mode",
        },
    ),
    "continue.yaml": (_listed, {"name", "type", "connectionTimeout"}),
    "cursor.mcp.json": (_keyed("mcpServers"), set()),
    "goose.config.yaml": (
        _keyed("extensions", command="cmd", env="envs"),
        {"name", "type", "timeout", "enabled"},
    ),
    "lmstudio.mcp.json": (_keyed("mcpServers"), set()),
    "opencode.json": (
        _keyed("mcp", env="environment"),
        {"type", "enabled", "timeout"},
    ),
    "qwen-code.settings.json": (
        _keyed("mcpServers"),
        {"timeout", "trust", "alwaysLoadTools"},
    ),
    "vscode.mcp.json": (_keyed("servers"), {"type"}),
    "zed.settings.json": (_keyed("context_servers"), set()),
}
"""For each client: how its entry is read, and which further keys the entry may have."""

GREETING = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def entry(file: Path) -> Entry:
    """Read a client's entry, as the client would."""
    parse: Mapping[str, Callable[[str], Any]] = {
        ".json": json.loads,
        ".toml": tomllib.loads,
        ".yaml": yaml.safe_load,
    }
    read, _ = READERS[file.name]
    return read(parse[file.suffix](file.read_text(encoding="utf-8")))


@cache
def greeted(argv: tuple[str, ...], environment: tuple[tuple[str, str], ...]) -> Any:
    """Start a command as a client does, greet it, and return its answer."""
    done = subprocess.run(
        argv,
        input=json.dumps(GREETING) + "\n",
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[0])


@pytest.mark.parametrize("file", CLIENTS, ids=lambda f: f.name)
def test_the_command_of_each_client_entry_starts_and_answers_initialize(
    file: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = entry(file)
    home = str(tmp_path_factory.getbasetemp() / "home-of-examples")
    search = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    environment = {**found.environment, "PATH": search, "ASK_EXPERT_HOME": home}

    answer = greeted(found.argv, tuple(sorted(environment.items())))

    assert found.argv == ("ask-expert", "serve")
    assert answer["id"] == 1
    assert answer["result"]["serverInfo"]["name"] == "ask-expert"
    assert "ask_expert" in answer["result"]["instructions"]


@pytest.mark.parametrize("file", CLIENTS, ids=lambda f: f.name)
def test_a_client_entry_has_the_keys_of_its_form(file: Path) -> None:
    _, further = READERS[file.name]

    assert entry(file).further == further


def test_every_client_stands_in_the_how_to() -> None:
    page = documents.text("docs/how-to/connect-a-client.md")

    assert {file.name for file in CLIENTS} == set(READERS)
    assert [file.name for file in CLIENTS if f"/{file.name})" not in page] == []


@pytest.mark.parametrize("file", SETTINGS, ids=lambda f: f.name)
def test_an_example_of_settings_loads_and_each_expert_has_wire_and_price(
    file: Path, home: Path
) -> None:
    (home / settings_file.FILE_NAME).write_bytes(file.read_bytes())
    nobody = Caller(session="s", project="/", user="u")
    prompt = compose(Question(text="Why does it hang?", caller=nobody))

    settings = settings_file.load(home)

    presets.load(settings.policy, home=home)
    assert settings == yaml_file.read(file, Settings)
    assert settings.experts
    for expert in settings.experts:
        request = wire_for(expert.api).encode(
            expert, prompt, max_output_tokens=expert.max_output_tokens
        )
        quote = prices.quote(expert, request.body, datetime.now(UTC))
        worst = quote.worst_case_nusd(expert.max_output_tokens)
        assert (worst > 0) == (quote.source != "subscription")


@pytest.mark.parametrize("file", POLICIES, ids=lambda f: f.name)
def test_an_example_of_a_policy_passes_its_check_without_findings(
    file: Path, home: Path
) -> None:
    result = CliRunner().invoke(app, ["policy", "check", str(file)])

    assert result.exit_code == 0, result.output
    assert "every rule and budget can have an effect" in result.output
    assert yaml_file.read(file, Policy).name == file.stem


@pytest.mark.parametrize("file", [*SETTINGS, *POLICIES], ids=lambda f: f.name)
def test_every_example_is_linked_from_a_page(file: Path) -> None:
    pages = [page.read_text(encoding="utf-8") for page in documents.user_files()]

    assert any(f"/{file.name})" in page for page in pages)


def test_the_workflow_s_policy_is_the_example_s() -> None:
    (shown,) = (
        block.text
        for block in documents.blocks("yaml")
        if block.file.name == "coding_workflow.md" and block.text.startswith("name:")
    )
    example = EXAMPLES / "policies" / "coding.yaml"

    in_full = yaml_file.read(example, Policy)

    written = yaml_file.parse(shown, Policy, file=example)
    assert written == in_full.model_copy(update={"checklist": None})
