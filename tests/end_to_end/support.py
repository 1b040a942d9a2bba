"""Start a real `ask-expert serve` with a real MCP client, against a loopback provider."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import yaml
from mcp import Client, StdioServerParameters
from mcp.client.session import ElicitationFnT

PRICE = {"input_per_mtok": "1.00", "output_per_mtok": "10.00"}
SERVE = [sys.executable, "-m", "ask_expert", "serve", "--no-daemon"]


def expert(url: str, **changes: object) -> dict[str, object]:
    """Return the settings of one expert behind a loopback provider."""
    return {
        "name": "flagship",
        "api": "openai_chat",
        "base_url": f"{url}/v1",
        "model": "some-model",
        "price": PRICE,
        "max_output_tokens": 500,
        "timeout_s": 20,
        **changes,
    }


def write_settings(home: Path, *experts: Mapping[str, object], **more: object) -> None:
    """Write the settings file; `policy` may be a mapping, written beside it."""
    policy = more.pop("policy", None)
    if isinstance(policy, dict):
        (home / "policy.yaml").write_text(yaml.safe_dump(policy), encoding="utf-8")
        policy = "policy.yaml"
    settings = {"experts": list(experts), "policy": policy or "quality", **more}
    (home / "settings.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")


def always(*budgets: Mapping[str, object]) -> dict[str, object]:
    """Return a policy that asks for every question, within these budgets."""
    return {
        "name": "always",
        "rules": [{"when": "always"}],
        "budgets": [dict(budget) for budget in budgets],
    }


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of a server: little, and no keys."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    coverage = {k: v for k, v in os.environ.items() if k.startswith("COVERAGE_")}
    return {**kept, **coverage, "ASK_EXPERT_HOME": str(home), **more}


@asynccontextmanager
async def connected(
    home: Path,
    project: Path,
    *,
    mode: Literal["auto", "legacy"] = "auto",
    person: ElicitationFnT | None = None,
    **more: str,
) -> AsyncGenerator[Client]:
    """Yield a client that speaks to a server of its own; `person` fills in its forms."""
    parameters = StdioServerParameters(
        command=SERVE[0],
        args=SERVE[1:],
        env=environment(home, **more),
        cwd=str(project),
    )
    async with Client(parameters, mode=mode, elicitation_callback=person) as client:
        yield client


async def ask(client: Client, question: str, **more: Any) -> dict[str, Any]:
    """Ask, and return the structured reply; an error raises with its text."""
    result = await client.call_tool("ask_expert", {"question": question, **more})
    text = "".join(getattr(part, "text", "") for part in result.content)
    if result.is_error:
        raise ToolFailedError(text)
    assert result.structured_content is not None
    reply: dict[str, Any] = dict(result.structured_content)
    assert reply["status"] in text
    assert reply.get("answer", "") in text
    return reply


class ToolFailedError(Exception):
    """The tool answered with an error; the text is what the model reads."""


def rows(home: Path, query: str) -> list[tuple[Any, ...]]:
    """Run a query on the ledger."""
    with sqlite3.connect(home / "ledger.db") as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found


def cli(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line on a home."""
    return subprocess.run(
        [sys.executable, "-m", "ask_expert", *arguments],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def report(home: Path) -> dict[str, Any]:
    """Return `ask-expert report --json`."""
    done = cli(home, "report", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
