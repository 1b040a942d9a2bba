"""Read the project's Markdown: files, headings, links, tables and fenced blocks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block, with the line it begins on."""

    file: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"


def files() -> list[Path]:
    """Return every Markdown file of the project."""
    hidden = re.compile(r"/(\.[^/]+|node_modules|build|dist)/")
    return sorted(
        path
        for path in ROOT.rglob("*.md")
        if not hidden.search(f"/{path.relative_to(ROOT)}")
    )


def user_files() -> list[Path]:
    """Return what users read: the README, docs and examples."""
    return [
        path
        for path in files()
        if path.relative_to(ROOT).parts[0] in {"README.md", "docs", "examples"}
    ]


def text(path: str) -> str:
    """Return a file's text, by its path from the root."""
    return (ROOT / path).read_text(encoding="utf-8")


def blocks(*languages: str) -> list[Block]:
    """Return the fenced blocks in these languages of all that users read."""
    found: list[Block] = []
    for file in user_files():
        source = file.read_text(encoding="utf-8")
        found += [
            Block(
                file=file,
                line=source.count("\n", 0, match.start()) + 1,
                language=match[1],
                text=match[2],
            )
            for match in _FENCE.finditer(source)
            if match[1] in languages
        ]
    return found


def without_blocks(source: str) -> str:
    """Return the prose alone."""
    return _FENCE.sub("", source)


def headings(source: str) -> list[str]:
    """Return the headings as they are written."""
    return _HEADING.findall(without_blocks(source))


def anchors(source: str) -> set[str]:
    """Return the anchors that a page's headings get."""
    plain = (re.sub(r"[^\w\- ]", "", each.lower()) for each in headings(source))
    return {each.strip().replace(" ", "-") for each in plain}


def links(source: str) -> list[str]:
    """Return the targets of all links in the prose."""
    return _LINK.findall(without_blocks(source))


def code(source: str) -> list[str]:
    """Return every span of inline code in the prose."""
    return _CODE.findall(without_blocks(source))


def sections(source: str) -> dict[str, str]:
    """Return the text under each heading of the second level, by its code or words."""
    parts = re.split(r"^## (.+)$", without_blocks(source), flags=re.MULTILINE)
    names = (each.strip("` ") for each in parts[1::2])
    return dict(zip(names, parts[2::2], strict=True))


def rows(source: str) -> Iterator[tuple[str, ...]]:
    """Yield the rows of all tables, without their heads and rulers."""
    lines = without_blocks(source).splitlines()
    for index, line in enumerate(lines):
        following = lines[index + 1] if index + 1 < len(lines) else ""
        if line.startswith("|") and not line.startswith("|---"):
            if following.startswith("|---"):
                continue
            yield tuple(each.strip() for each in line.strip("|").split("|"))


def named_rows(source: str) -> dict[str, tuple[str, ...]]:
    """Return table rows by each code span in their first cell."""
    return {name: row for row in rows(source) for name in _CODE.findall(row[0])}
