"""Where a user's settings lie, and who the user is."""

import getpass
import os
from collections.abc import Mapping
from pathlib import Path

from ask_expert.errors import ConfigError

_NO_HOME = "there is no home folder for"
_SET_HOME = "set ASK_EXPERT_HOME to a folder, or give a whole path"


def home_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """
    Return the folder of settings, ledger and key: `$ASK_EXPERT_HOME` or the platform's.

    Raises:
        ConfigError: It lies in the home of a user that this machine does not know.
    """
    named = environ.get("ASK_EXPERT_HOME")
    if named:
        return expanded(Path(named)).absolute()
    from platformdirs import user_config_path  # noqa: PLC0415  # 8 ms, seldom needed

    try:
        return user_config_path("ask-expert").expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{_NO_HOME} this user; {_SET_HOME}") from error


def expanded(path: Path) -> Path:
    """
    Return a path with its `~` replaced.

    Raises:
        ConfigError: Nobody knows that home folder, as in a container without users.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{_NO_HOME} {str(path)!r}; {_SET_HOME}") from error


def user_name() -> str:
    """Return the operating-system user's name; `uid-N` for one without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid-{os.getuid()}" if hasattr(os, "getuid") else "user"
