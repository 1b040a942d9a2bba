"""
Set one key of the settings file and leave every other byte as its user wrote it.

Only the lines of that key are written anew, so that comments, order and spelling of
the rest stay. The result is read again before it replaces the file: where it would
mean anything but the old settings with that key changed, nothing is written.
"""

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import yaml

from ask_expert import yaml_file
from ask_expert.errors import ConfigError
from ask_expert.settings import Settings

_BY_HAND = "write it there by hand"


def with_key(text: str, key: str, value: Mapping[str, object]) -> str:
    """
    Return YAML text in which a top-level key has a value.

    Args:
        text: A mapping in block style, or nothing but comments.
        key: A plain word.
        value: What YAML can write.

    Raises:
        ConfigError: The text is written in a way that this cannot edit.
    """
    root = cast("yaml.Node | None", yaml.compose(text, yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType]
    newline = "\r\n" if "\r\n" in text else "\n"
    block = yaml.safe_dump({key: dict(value)}, sort_keys=False, allow_unicode=True)
    lines = block.splitlines()
    if root is None:
        old = text.splitlines()
        return newline.join([*old, *lines, ""])
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise ConfigError(f"is not written one key a line; {_BY_HAND}")
    old = text.splitlines()
    place = _place(root, key)
    if place is None:
        end = _last_line(root) + 1
        new = [*old[:end], *lines, *old[end:]]
    else:
        first, last = place
        new = [*old[:first], *lines, *old[last + 1 :]]
    return newline.join([*new, ""])


def set_key(
    file: Path, key: str, value: Mapping[str, object], *, backup_suffix: str = ".bak"
) -> Path | None:
    """
    Set a top-level key of a settings file, in one step; the old file is kept beside it.

    A file that is not there is made, for its user alone; a link stays a link.

    Returns:
        The copy of what was there; None when nothing was.

    Raises:
        ConfigError: The file is wrong already, cannot be edited or cannot be written.
    """
    target = file.resolve()
    before = _text(target)
    after = _checked(before or "", key, value, file=file)
    backup = target.with_name(f"{target.name}{backup_suffix}")
    try:
        if before is None:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            shutil.copy2(target, backup)
        _replace(target, after)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", file=file) from error
    return None if before is None else backup


def _text(file: Path) -> str | None:
    try:
        return file.read_bytes().decode()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=file) from error
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8 text", file=file) from error


def _checked(before: str, key: str, value: Mapping[str, object], *, file: Path) -> str:
    """Return the new text, once it is sure that it means what it should."""
    old = yaml_file.parse(before, Settings, file=file).model_dump(exclude_unset=True)
    wanted = yaml_file.validate({**old, key: value}, Settings, file=file)
    try:
        after = with_key(before, key, value)
        found = yaml_file.parse(after, Settings, file=file)
    except ConfigError as error:
        text = f"`{key}` cannot be set without damage to the rest; {_BY_HAND}"
        raise ConfigError(text, file=file) from error
    if found.model_dump(exclude_unset=True) != wanted.model_dump(exclude_unset=True):
        text = f"`{key}` cannot be set without damage to the rest; {_BY_HAND}"
        raise ConfigError(text, file=file)
    return after


def _place(root: yaml.MappingNode, key: str) -> tuple[int, int] | None:
    """Return the first and the last line of a key with its value."""
    pairs = cast("list[tuple[yaml.Node, yaml.Node]]", root.value)
    for name, value in pairs:
        if name.value == key:
            return name.start_mark.line, max(name.end_mark.line, _last_line(value))
    return None


def _last_line(node: yaml.Node) -> int:
    """
    Return the line on which a node's last character stands.

    The end of a block is where the next thing begins, behind comments and empty
    lines that are not its own; so its last leaf tells.
    """
    if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
        return max(_last_line(node.value[-1][1]), _last_line(node.value[-1][0]))
    if isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        return _last_line(node.value[-1])
    end = node.end_mark
    # A block text ends at the beginning of the line behind it.
    return (
        end.line - 1
        if end.column == 0 and end.line > node.start_mark.line
        else end.line
    )


def _replace(target: Path, text: str) -> None:
    """Write a file beside it, flush it to the disk, and put it in its place."""
    try:
        mode = stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        mode = 0o600
    fresh = target.with_name(f".{target.name}.{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            if os.name == "posix":
                os.fchmod(descriptor, mode)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
