"""Where the benchmarks' figures are kept: one section each in RESULTS.md."""

import os
import re
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"
_HEAD = "# Results\n\nEach table names the command that made it.\n"


def made_by(command: str) -> str:
    """Return when, where and by which command a table was made."""
    return (
        f"`python -m benchmarks.{command}`, {datetime.now(UTC):%Y-%m-%d}, "
        f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, "
        f"mcp {version('mcp')}"
    )


def keep(section: str, path: Path = RESULTS) -> None:
    """Put a section, which begins with its `## ` heading, in place of its last one."""
    before = path.read_text(encoding="utf-8") if path.exists() else _HEAD
    head, *sections = re.split(r"^(?=## )", before, flags=re.MULTILINE)
    title = section.partition("\n")[0]
    new = section.strip() + "\n\n"
    titles = [each.partition("\n")[0] for each in sections]
    if title in titles:
        sections[titles.index(title)] = new
    else:
        sections.append(new)
    whole = "\n\n".join(each.strip() for each in [head, *sections])
    path.write_text(whole + "\n", encoding="utf-8")


def table(head: list[str], rows: list[list[object]]) -> list[str]:
    """Return the lines of a Markdown table."""
    return [
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
        *(f"| {' | '.join(map(str, row))} |" for row in rows),
    ]
