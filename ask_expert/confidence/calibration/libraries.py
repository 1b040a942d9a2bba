"""The libraries that fitting needs and applying does not: an extra."""

from importlib import import_module
from typing import Any

from ask_expert.errors import ConfigError

_NEEDED = ("numpy", "scipy", "sklearn")


def require() -> None:
    """
    Make sure that calibrations can be fitted here.

    Raises:
        ConfigError: A library is missing; the text says how to install it.
    """
    for name in _NEEDED:
        library(name)


def library(name: str) -> Any:
    """
    Return a module of an untyped library, by its dotted name.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"this needs {name.partition('.')[0]}: pip install 'ask-expert[calibrate]'"
        ) from error
