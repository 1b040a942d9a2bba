"""
Read a YAML file that a person wrote into a model, with errors that help.

One reader for settings and policies: an unknown key names its file, line and the
nearest key that exists; a wrong value names its file, line and what was expected.
"""

import difflib
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ask_expert.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
_MAX_BYTES = 1_000_000
_SHOWN = 60
"""Characters of a wrong value that an error message repeats."""


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without its float: a price is read as the decimal that was typed."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002  # as the base class has it
        try:
            return cast("Any", super().construct_object(node, deep))  # pyright: ignore[reportUnknownMemberType]
        except (ValueError, LookupError, AttributeError, ArithmeticError) as error:
            # PyYAML lets these through for `2026-02-30`, `!!bool maybe` and the like.
            text = _short(repr(node.value))
            problem = f"{text} cannot be read as {node.tag.rpartition(':')[2]}"
            raise _problem(problem, node) from error


def _problem(text: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, text, node.start_mark)


def _decimal(loader: yaml.SafeLoader, node: yaml.Node) -> Decimal:
    text = str(loader.construct_scalar(cast("yaml.ScalarNode", node)))
    return Decimal(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))


def _mapping(loader: yaml.SafeLoader, node: yaml.Node) -> dict[Any, Any]:
    mapping = cast("yaml.MappingNode", node)
    seen: set[Any] = set()
    for key_node, _ in mapping.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            raise _problem("`<<` is not supported; write the keys out", key_node)
        if not isinstance(key_node, yaml.ScalarNode):
            raise _problem("a key must be a plain word", key_node)
        key = loader.construct_object(key_node)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if key in seen:
            raise _problem(f"the key {key!r} stands twice", key_node)
        seen.add(key)
    return loader.construct_mapping(mapping, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:float", _decimal)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read(path: Path, model: type[Model]) -> Model:
    """
    Read and validate one file.

    Raises:
        ConfigError: The file is missing, no UTF-8, no YAML, or breaks the schema.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=path) from error
    except ValueError as error:  # a null character in the path
        raise ConfigError(f"cannot be read: {error}", file=path) from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"is larger than {_MAX_BYTES:,} bytes", file=path)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError("is not UTF-8 text", file=path, line=line) from error
    return parse(text, model, file=path)


def parse(text: str, model: type[Model], *, file: Path | None = None) -> Model:
    """
    Validate YAML text; `file` only serves the error messages.

    Raises:
        ConfigError: The text is no YAML, or breaks the schema.
    """
    try:
        data: object = yaml.load(text, _Loader)  # noqa: S506  # it is a SafeLoader
        root = cast("yaml.Node | None", yaml.compose(text, yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ConfigError(
            f"is not valid YAML: {_worded(error)}", file=file, line=line
        ) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            f"holds the control character {chr(int(error.character))!r}",
            file=file,
            line=line,
        ) from error
    except RecursionError as error:
        raise ConfigError("is nested too deeply", file=file) from error
    if data is None:
        data = {}
    if not isinstance(data, Mapping):
        raise ConfigError("must be a mapping of keys to values", file=file, line=1)
    return validate(cast("Mapping[str, object]", data), model, file=file, root=root)


def _worded(error: yaml.MarkedYAMLError) -> str:
    """Return PyYAML's complaint; half of a sentence gets its other half."""
    problem = str(error.problem)
    if problem.startswith("but ") and error.context:
        return f"{error.context}, {problem}"
    return problem


def validate(
    data: Mapping[str, object],
    model: type[Model],
    *,
    file: Path | None = None,
    root: yaml.Node | None = None,
) -> Model:
    """
    Validate a mapping; the first thing wrong becomes one sentence.

    Raises:
        ConfigError: `data` breaks the schema.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False)
        # A misspelt key also leaves a key missing; the misspelling says more.
        first = min(found, key=lambda each: each["type"] != "extra_forbidden")
        loc = tuple(first["loc"])
        key = ".".join(str(part) for part in loc)
        raise ConfigError(
            _sentence(first, loc, model),
            file=file,
            line=_line(root, loc),
            key=key or None,
        ) from error


_WANTED = {
    "missing": "is missing",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "mapping_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "string_type": "must be text; put it in quotes",
    "invalid_key": "must be text to be a key; put it in quotes",
}
"""Pydantic's kinds of error, in the words of somebody who writes YAML."""


def _sentence(
    first: ErrorDetails, loc: tuple[int | str, ...], model: type[BaseModel]
) -> str:
    kind = first["type"]
    if kind == "extra_forbidden":
        return _unknown_key(str(loc[-1]), _fields_at(model, loc[:-1]))
    message = _WANTED.get(kind, first["msg"].removeprefix("Value error, "))
    given = first["input"]
    if kind == "missing" or isinstance(given, Mapping | list | tuple) or _private(loc):
        return message
    if kind == "literal_error" and isinstance(given, str):
        known = re.findall(r"'([^']*)'", str(first["ctx"]["expected"]))  # pyright: ignore[reportTypedDictNotRequiredAccess]
        return f"cannot be {_short(repr(given))}; {nearest(given, known)}"
    if given is None:
        return f"{message}; nothing is given"
    shown = str(given) if isinstance(given, Decimal) else repr(given)
    return f"{message}; got {_short(shown)}"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


_SECRET_WORDS = frozenset(
    (
        "key",
        "ledger",
        "url",
        "header",
        "headers",
        "body",
        "command",
        "token",
        "secret",
        "password",
    )
)


def _private(loc: tuple[int | str, ...]) -> bool:
    """Return whether a value there may be a secret that somebody put in its place."""
    words = {word for part in loc for word in str(part).lower().split("_")}
    return bool(words & _SECRET_WORDS)


def nearest(word: str, known: list[str]) -> str:
    """Return a hint at the known word that `word` was most likely meant to be."""
    word = _short(word)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(sorted(known))}"


def _unknown_key(key: str, known: list[str]) -> str:
    return f"unknown key {_short(key)!r}; {nearest(key, known)}"


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the model allows at `loc`."""
    current: list[type[BaseModel]] = [model]
    for part in loc:
        found: list[type[BaseModel]] = []
        for candidate in current:
            field = candidate.model_fields.get(str(part))
            if field is not None:
                found += _models_in(field.annotation)
        current = found or current
    return sorted({name for each in current for name in each.model_fields})


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for arg in get_args(annotation) for model in _models_in(arg)]


def _line(root: yaml.Node | None, loc: tuple[int | str, ...]) -> int | None:
    """Return the line of the deepest node that `loc` still names."""
    if root is None:
        return None
    line = root.start_mark.line
    node: yaml.Node | None = root
    for part in loc:
        step = _child(node, part)
        if step is None:
            continue
        mark, node = step
        line = mark
    return line + 1


def _child(node: yaml.Node | None, part: int | str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and part in range(len(node.value)):
        child = node.value[int(part)]
        return child.start_mark.line, child
    return None
