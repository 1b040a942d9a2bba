"""Make ready to serve a model by vLLM: its program, its port, and the settings."""

import importlib.util
import shlex
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ask_expert import settings_edit, yaml_file
from ask_expert.errors import ConfigError
from ask_expert.local import launch
from ask_expert.local.launch import Serving
from ask_expert.settings import Settings

_KEY = "VLLM_API_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    What is about to run.

    Attributes:
        command: argv.
        ready: To be called when it is healthy; writes the settings if they are wanted.
    """

    command: tuple[str, ...]
    ready: Callable[[], None]


def planned(
    wanted: Serving,
    *,
    environ: Mapping[str, str],
    settings: Path | None,
    force: bool,
    say: Callable[[str], None],
) -> Plan:
    """
    Look whether a model can be served and written into the settings, before it loads.

    Args:
        wanted: What to serve.
        environ: Its PATH is searched; vLLM's own key variable decides on `key_env`.
        settings: The file that is to name the server; None leaves it alone.
        force: Another server in that file may be replaced.
        say: Takes sentences about what is done.

    Raises:
        ConfigError: vLLM is not installed, the port is taken, or the settings are
            wrong or name another server.
    """
    program = launch.program(
        beside=Path(sys.executable).with_name("vllm"),
        on_path=shutil.which("vllm", path=environ.get("PATH")),
        importable=importlib.util.find_spec("vllm") is not None,
    )
    arguments = launch.arguments(wanted)
    value: dict[str, object] = {
        "base_url": wanted.base_url,
        "model": wanted.served_name,
    }
    value |= {"key_env": _KEY} if environ.get(_KEY) else {}
    changes = settings is not None and _changes(settings, value, force=force)
    _check_port(wanted.host, wanted.port)
    for remark in launch.remarks(wanted, environ):
        say(remark)
    command = (*program, *arguments)
    say(f"starting {shlex.join(command)}")

    def ready() -> None:
        say(f"{wanted.served_name} is served at {wanted.base_url}")
        if settings is None or not changes:
            return
        try:
            backup = settings_edit.set_key(settings, "local", value)
        except ConfigError as error:
            say(f"it serves, but the settings are not written: {error}")
            return
        kept = f"; what was there is in {backup}" if backup else ""
        say(f"`local:` is written to {settings}{kept}")

    return Plan(command=command, ready=ready)


def _changes(file: Path, value: Mapping[str, object], *, force: bool) -> bool:
    """
    Return whether the file has to be written.

    Raises:
        ConfigError: It is wrong, or names another server.
    """
    if not file.exists():
        return True
    known = yaml_file.read(file, Settings).locals
    places = {(each.base_url.rstrip("/"), each.model) for each in known}
    if (value["base_url"], value["model"]) in places:
        return False
    if known and not force:
        there = ", ".join(f"{each.model} at {each.base_url}" for each in known)
        raise ConfigError(
            f"names {there}; --force replaces that, --no-write-settings leaves it, "
            f"or add `- {{base_url: {value['base_url']}, model: {value['model']}}}` "
            "to a list there",
            file=file,
            key="local",
        )
    return True


def _check_port(host: str, port: int) -> None:
    """Find out before the model loads that somebody else listens there."""
    try:
        places = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ConfigError(f"{host!r} is no address to listen on: {error}") from error
    family, kind, protocol, _, address = places[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise ConfigError(
                f"{host}:{port} cannot be listened on ({error.strerror}); "
                "another program may; choose another --port"
            ) from error
