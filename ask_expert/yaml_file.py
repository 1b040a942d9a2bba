"""
Read a YAML file that a person wrote into a model, with errors that help.

One reader for settings and policies: an unknown key names its file, line and the
nearest key that exists; a wrong value names its file, line and what was expected.
"""

import difflib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import yaml
from pydantic import BaseModel, ValidationError

from ask_expert.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
_MAX_BYTES = 1_000_000


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without its float: a price is read as the decimal that was typed."""


def _decimal(loader: yaml.SafeLoader, node: yaml.Node) -> Decimal:
    text = str(loader.construct_scalar(cast("yaml.ScalarNode", node)))
    return Decimal(text.replace("_", ""))


def _mapping(loader: yaml.SafeLoader, node: yaml.Node) -> dict[Any, Any]:
    mapping = cast("yaml.MappingNode", node)
    seen: set[Any] = set()
    for key_node, _ in mapping.value:
        key = loader.construct_object(key_node)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} stands twice", key_node.start_mark
            )
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
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=path) from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"is larger than {_MAX_BYTES:,} bytes", file=path)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError("is not UTF-8 text", file=path) from error
    return parse(text, model, file=path)


def parse(text: str, model: type[Model], *, file: Path | None = None) -> Model:
    """
    Validate YAML text; `file` only serves the error messages.

    Raises:
        ConfigError: The text is no YAML, or breaks the schema.
    """
    try:
        data: object = yaml.load(text, _Loader)  # noqa: S506  # it is a SafeLoader
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ConfigError(
            f"is not valid YAML: {error.problem}", file=file, line=line
        ) from error
    except (yaml.YAMLError, ArithmeticError) as error:
        raise ConfigError(f"is not valid YAML: {error}", file=file) from error
    if data is None:
        data = {}
    if not isinstance(data, Mapping):
        raise ConfigError("must be a mapping of keys to values", file=file, line=1)
    return validate(cast("Mapping[str, object]", data), model, file=file, root=root)


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
        first = error.errors(include_url=False)[0]
        loc = tuple(first["loc"])
        message = str(first["msg"]).removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = _unknown_key(str(loc[-1]), _fields_at(model, loc[:-1]))
        elif first["type"] == "missing":
            message = "is missing"
        elif "input" in first and not isinstance(first["input"], dict | list):
            message = f"{message}; got {first['input']!r}"
        key = ".".join(str(part) for part in loc)
        raise ConfigError(
            message, file=file, line=_line(root, loc), key=key or None
        ) from error


def nearest(word: str, known: list[str]) -> str:
    """Return a hint at the known word that `word` was most likely meant to be."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(sorted(known))}"


def _unknown_key(key: str, known: list[str]) -> str:
    return f"unknown key {key!r}; {nearest(key, known)}"


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
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        if part < len(node.value):
            child = node.value[part]
            return child.start_mark.line, child
    return None
