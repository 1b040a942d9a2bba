"""
Where an expert's key comes from: a variable, a command, or the system keyring.

A key is returned, never kept, and is in no exception's text.
"""

import subprocess
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from ask_expert.errors import ConfigError
from ask_expert.experts.registry import wire_for
from ask_expert.settings import ExpertSettings

if TYPE_CHECKING:
    from types import ModuleType

SERVICE = "ask-expert"
"""Name of the entries in the keyring; the user name is the expert's."""

_COMMAND_S = 10
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_VENDORS = {
    "api.openai.com": "OPENAI_API_KEY",
    "api.anthropic.com": "ANTHROPIC_API_KEY",
    "generativelanguage.googleapis.com": "GEMINI_API_KEY",
    "openrouter.ai": "OPENROUTER_API_KEY",
}
_AWS = "AWS_BEARER_TOKEN_BEDROCK"
"""The variable that AWS's own libraries read a Bedrock key from."""

_INSTALL = "pip install 'ask-expert[keyring]'"


def key_for(expert: ExpertSettings, environ: Mapping[str, str]) -> str | None:
    """
    Return the key of an expert; None where it needs none.

    None is needed by a server on this machine, by a vendor's own program, and where
    a cloud's library finds credentials itself.

    It is looked for in `key_env`, then `key_command`, then the keyring. Without a
    `key_env` the vendor's usual variable is read for the vendor's own address only:
    a key never goes to another host unless the settings say so. May take seconds:
    call it in a thread.

    Raises:
        ConfigError: There is no key, or its command failed; says what to set.
    """
    name = variable(expert)
    key = environ.get(name, "").strip() if name else ""
    if not key and expert.key_command:
        key = _from_command(expert, environ)
    if not key and not finds_its_own(expert):
        key = _from_keyring(expert.name)
    if key:
        return _plain(expert, key)
    if expert.key_env is None and needs_none(expert):
        return None
    ways = [f"set {name}"] if name else ["set `key_env` in settings.yaml"]
    if not finds_its_own(expert):
        ways.append(f"run `ask-expert key set {expert.name}`")
    raise ConfigError(f"expert {expert.name!r} has no key: {' or '.join(ways)}.")


def finds_its_own(expert: ExpertSettings) -> bool:
    """Return whether a vendor's library or program finds the credentials."""
    return wire_for(expert.api).own_credentials


def needs_none(expert: ExpertSettings) -> bool:
    """Return whether the expert can be asked without a key."""
    return finds_its_own(expert) or _is_loopback(expert)


def variable(expert: ExpertSettings) -> str | None:
    """Return the environment variable that is read for this expert, if any."""
    if expert.key_env is not None:
        return expert.key_env
    if expert.api == "bedrock":
        return _AWS if expert.base_url is None else None
    url = expert.base_url or wire_for(expert.api).default_base_url
    return _VENDORS.get(urlsplit(url).hostname or "")


def store_key(expert_name: str, key: str) -> None:
    """
    Keep a key in the system keyring.

    Raises:
        ConfigError: The key is empty or malformed, or there is no usable keyring.
    """
    if not _is_plain(key):
        raise ConfigError("this is no key: it is empty or holds spaces or line breaks.")
    keyring = _keyring()
    if keyring is None:
        raise ConfigError(f"no keyring support is installed; run: {_INSTALL}")
    from keyring.errors import KeyringError  # noqa: PLC0415  # an extra

    try:
        keyring.set_password(SERVICE, expert_name, key)
    except (KeyringError, OSError, RuntimeError):
        raise ConfigError(
            "the system keyring refused the key; use `key_env` or `key_command` in "
            "settings.yaml instead."
        ) from None  # a backend's error may quote what it was given


def _from_command(expert: ExpertSettings, environ: Mapping[str, str]) -> str:
    argv = list(expert.key_command or ())
    try:
        done = subprocess.run(  # noqa: S603  # argv of the user's own settings
            argv,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_COMMAND_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _command_failed(expert, f"took longer than {_COMMAND_S} s") from None
    except OSError as error:
        raise _command_failed(expert, f"cannot run: {error.strerror}") from None
    if done.returncode != 0:
        raise _command_failed(expert, f"ended with status {done.returncode}")
    return done.stdout.decode("utf-8", "replace").strip()


def _command_failed(expert: ExpertSettings, why: str) -> ConfigError:
    """Name the program alone: its arguments may be as secret as the key."""
    program = (expert.key_command or ("",))[0]
    return ConfigError(f"key_command {program!r} of expert {expert.name!r} {why}.")


def _from_keyring(name: str) -> str:
    keyring = _keyring()
    if keyring is None:
        return ""
    from keyring.errors import KeyringError  # noqa: PLC0415  # an extra

    try:
        found = cast("str | None", keyring.get_password(SERVICE, name))
    except (KeyringError, OSError, RuntimeError):
        return ""
    return (found or "").strip()


def _keyring() -> "ModuleType | None":
    try:
        import keyring  # noqa: PLC0415  # an extra, and slow to import
    except ImportError:
        return None
    return keyring


def _plain(expert: ExpertSettings, key: str) -> str:
    if _is_plain(key):
        return key
    raise ConfigError(
        f"the key of expert {expert.name!r} holds spaces, line breaks or characters "
        "outside ASCII; set it again."
    )


def _is_plain(key: str) -> bool:
    return bool(key) and key.isascii() and key.isprintable() and " " not in key


def _is_loopback(expert: ExpertSettings) -> bool:
    return urlsplit(expert.base_url or "").hostname in _LOOPBACK
