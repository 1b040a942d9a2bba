"""
The texts that tell an expert whom it helps and how to answer: one for each kind.

A person can read them and replace each by a file of their own in the home folder.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from ask_expert.errors import ConfigError
from ask_expert.question import Question

Kind = Literal["advise", "answer", "review", "panel"]
"""What an expert is asked for."""

KINDS: tuple[Kind, ...] = get_args(Kind)

MOST_BYTES = 16_000
"""A template is sent with every question; a longer file is a mistake."""

_FOLDER = "templates"
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,19}")
_HASH_DIGITS = 8
_NEEDS = re.compile(r"[\s>#*_`~-]*NEEDS(?:\\?_| )CONTEXT(?!_?[0-9A-Za-z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """
    One template.

    Attributes:
        name: Name and version, for the ledger; an own one is told by its hash too.
        text: What the expert is told.
        file: The person's own file; None for the one that is shipped.
        source: The whole file, its first line included.
    """

    name: str
    text: str
    file: Path | None = None
    source: str = ""


def kind_of(
    question: Question, *, show_local_answer: bool, panel: bool = False
) -> Kind:
    """
    Return what an expert is to be asked for.

    An answer of the agent that is shown is to be reviewed; a question that comes with
    no sign of being stuck is to be answered; else the expert gives advice.

    Args:
        question: What the agent asks.
        show_local_answer: Whether the expert sees the agent's own answer.
        panel: Whether several experts are asked, whose answers are compared.
    """
    if panel:
        return "panel"
    if question.my_answer and show_local_answer:
        return "review"
    if question.tried or question.error or question.check or question.my_answer:
        return "advise"
    return "answer"


def needs_context(text: str) -> bool:
    """Return whether an expert's answer begins by saying that something is missing."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return _NEEDS.match(first) is not None


def load(kind: Kind, home: Path | None) -> Template:
    """
    Return a template: the person's own, else the one that is shipped.

    It is read for every question, so that an edit counts from the next one on.

    Args:
        kind: Which.
        home: The home folder; None for the shipped one in any case.

    Raises:
        ConfigError: The own file cannot be read or used; the text says what to do.
    """
    own = None if home is None else own_file(kind, home)
    if own is None:
        return shipped(kind)
    try:
        data = own.read_bytes()
    except FileNotFoundError:
        return shipped(kind)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=own) from error
    return _own(kind, data, own)


def every(home: Path | None) -> dict[Kind, Template]:
    """
    Return the template of each kind.

    Raises:
        ConfigError: One of the own files cannot be read or used.
    """
    return {kind: load(kind, home) for kind in KINDS}


@cache
def shipped(kind: Kind) -> Template:
    """Return the template that is part of the package."""
    path = files("ask_expert.experts").joinpath("templates", f"{kind}.md")
    source = path.read_text("utf-8")
    name, _, text = source.partition("\n")
    return Template(name=name.strip(), text=text.strip(), source=source)


def own_file(kind: Kind, home: Path) -> Path:
    """Return where a person's own template lies, if there is one."""
    return home / _FOLDER / f"{kind}.md"


def copy(kind: Kind, home: Path) -> Path:
    """
    Write the shipped template into the home folder, to be edited; return where.

    Raises:
        ConfigError: There is one already, or it cannot be written.
    """
    path = own_file(kind, home)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(shipped(kind).source.encode())
    except FileExistsError as error:
        raise ConfigError(
            "is there already; edit it, or remove it first", file=path
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", file=path) from error
    return path


def _own(kind: Kind, data: bytes, path: Path) -> Template:
    """Return what a person wrote, named by its version and hash."""
    if len(data) > MOST_BYTES:
        raise ConfigError(
            f"has {len(data):,} bytes, the most is {MOST_BYTES:,}; shorten it",
            file=path,
        )
    try:
        source = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError("is no UTF-8 text; save it as UTF-8", file=path) from error
    lines = source.splitlines()
    words = lines[0].split() if lines else []
    match words:
        case [name, version] if name == kind and _VERSION.fullmatch(version):
            digits = hashlib.sha256(data).hexdigest()[:_HASH_DIGITS]
        case _:
            raise ConfigError(
                f"the first line must be the template's name and a version, such as "
                f"`{kind} 2`; the text begins below it",
                file=path,
                line=1,
            )
    text = "\n".join(lines[1:]).replace("\0", "").strip()
    if not text:
        raise ConfigError(
            "holds no text below its first line; write it, or remove the file",
            file=path,
        )
    return Template(
        name=f"{kind} {version} (own, {digits})", text=text, file=path, source=source
    )
