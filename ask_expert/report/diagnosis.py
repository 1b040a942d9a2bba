"""Look at an installation: what is set up, what is wrong, what to do about it."""

import os
import platform
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import anyio

from ask_expert import house as houses
from ask_expert import settings_file
from ask_expert.errors import AskExpertError, ConfigError, UnknownPriceError
from ask_expert.experts import http
from ask_expert.ledger.engine import reading, translated_errors
from ask_expert.ledger.postgres import server_state
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import HEAD
from ask_expert.ledger_address import shown
from ask_expert.limits import without_calls
from ask_expert.local_settings import LocalSettings
from ask_expert.policy.presets import load
from ask_expert.redaction.plain import without_secrets
from ask_expert.report import experts, policies
from ask_expert.report.local_model import abilities
from ask_expert.settings import ExpertSettings, Settings
from ask_expert.yaml_file import nearest

State = Literal["ok", "warning", "wrong"]

_PACKAGES = ("mcp", "httpx2", "SQLAlchemy", "alembic", "pydantic", "genai-prices")
_OWN_VARIABLES = ("HOME", "SESSION", "CACHE", "HUB")
_LOCAL_S = 2.0
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that was looked at; `wrong` is what has to be mended."""

    name: str
    state: State
    message: str


def examine(home: Path, environ: Mapping[str, str]) -> list[Item]:
    """Look at everything; what is wrong becomes an item, never an exception."""
    settings, settings_item = _settings(home)
    found = [
        *_versions(),
        *_folder(home),
        settings_item,
        *_variables(environ),
        *_experts(home, environ, settings),
        *_policy(home, environ, settings),
        *_ledger(home, settings or Settings()),
        *_locals(settings.locals if settings else (), home, environ),
        *_checks(settings or Settings(), environ),
    ]
    # What is wrong may be a key in a field that is shown.
    return [replace(each, message=without_secrets(each.message)) for each in found]


def _versions() -> Iterator[Item]:
    own = f"{version('ask-expert')} on Python {platform.python_version()}"
    yield Item(name="ask-expert", state="ok", message=own)
    found = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    yield Item(name="packages", state="ok", message=found)


def _folder(home: Path) -> Iterator[Item]:
    if not home.is_dir():
        message = f"{home} is not there yet; the first question makes it"
        yield Item(name="home", state="ok", message=message)
        return
    yield _private("home", home, _OTHERS)
    for file in sorted(home.glob("mask.key*")):
        yield _private("masking key", file, _OTHERS)


def _private(name: str, path: Path, forbidden: int) -> Item:
    """Return whether others on this machine are kept out."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & forbidden:
        wanted = "700" if path.is_dir() else "600"
        message = f"{path} is open to others ({mode:04o}): chmod {wanted} {path}"
        return Item(name=name, state="wrong", message=message)
    return Item(name=name, state="ok", message=str(path))


def _settings(home: Path) -> tuple[Settings | None, Item]:
    file = home / settings_file.FILE_NAME
    try:
        settings = settings_file.load(home)
    except ConfigError as error:
        return None, Item(name="settings", state="wrong", message=str(error))
    if not file.exists():
        message = f"no {file}; defaults hold, `ask-expert init` writes one"
        return settings, Item(name="settings", state="ok", message=message)
    return settings, _private("settings", file, _OTHERS_WRITE)


def _variables(environ: Mapping[str, str]) -> Iterator[Item]:
    """Find misspelt variables, which would else be ignored in silence."""
    prefix = "ASK_EXPERT_"
    known = [*_OWN_VARIABLES, *(name.upper() for name in Settings.model_fields)]
    for name in sorted(environ):
        field = name.removeprefix(prefix).partition("__")[0].upper()
        if name.startswith(prefix) and field not in known:
            hint = nearest(field, known)
            message = f"{name} means nothing; after {prefix}: {hint}"
            yield Item(name="variable", state="wrong", message=message)


def _experts(
    home: Path, environ: Mapping[str, str], settings: Settings | None
) -> Iterator[Item]:
    if settings is None:
        return
    found = experts.configured(home, environ)
    if not found:
        yield Item(name="experts", state="wrong", message=houses.NO_EXPERT)
    for expert in found:
        missing = None
        with suppress(ConfigError):  # of a wrong policy, its own item tells
            missing = without_calls(expert, load(settings.policy, home=home).budgets)
        yield _expert(expert, environ, missing)


def _expert(
    expert: ExpertSettings, environ: Mapping[str, str], missing: str | None
) -> Item:
    name = f"expert {expert.name}"
    key = experts.key_state(expert, environ)
    if not key.ready:
        return Item(name=name, state="wrong", message=key.sentence)
    if missing:
        return Item(name=name, state="wrong", message=missing)
    try:
        cost = experts.typical_cost(expert, datetime.now(UTC))
    except (ConfigError, UnknownPriceError) as error:
        return Item(name=name, state="wrong", message=str(error))
    source = f"key from {key.where}" if key.where else "needs no key"
    message = f"{expert.model}, {source}; {cost}"
    return Item(name=name, state="ok", message=message)


def _policy(
    home: Path, environ: Mapping[str, str], settings: Settings | None
) -> Iterator[Item]:
    if settings is None:
        return
    try:
        policy = load(settings.policy, home=home)
        findings = policies.findings(
            settings.policy, folder=home, home=home, environ=environ
        )
    except ConfigError as error:
        yield Item(name="policy", state="wrong", message=str(error))
        return
    message = f"{policy.name} ({policy.hash}), {len(policy.rules)} rules"
    yield Item(name="policy", state="ok", message=message)
    for each in findings:
        state: State = "wrong" if each.severity == "error" else "warning"
        yield Item(name="policy", state=state, message=f"{each.rule}: {each.message}")


def _ledger(home: Path, settings: Settings) -> Iterator[Item]:
    where = houses.ledger_path(home, settings)
    yield from _file(where) if isinstance(where, Path) else _server(where)


def _server(address: str) -> Iterator[Item]:
    """Look at a ledger in PostgreSQL, and at what its server promises."""
    place = shown(address)
    try:
        ledger = Ledger.open(address)
        try:
            with translated_errors(address), reading(ledger.engine) as connection:
                found = server_state(connection)
        finally:
            ledger.close()
    except AskExpertError as error:
        yield Item(name="ledger", state="wrong", message=str(error))
        return
    message = f"{place}, schema {HEAD}, PostgreSQL {found.version}"
    yield Item(name="ledger", state="ok", message=message)
    if found.is_read_only:
        message = f"{place} cannot be written: it is read-only or a standby"
        yield Item(name="ledger", state="wrong", message=message)
    if not found.is_durable:
        message = f"{place} has fsync off: a power cut can undo what was counted"
        yield Item(name="ledger", state="warning", message=message)


def _file(path: Path) -> Iterator[Item]:
    if not path.exists():
        message = f"{path} is not there yet; the first question makes it"
        yield Item(name="ledger", state="ok", message=message)
        return
    try:
        troubles = _integrity(path)
    except AskExpertError as error:
        yield Item(name="ledger", state="wrong", message=str(error))
        return
    if troubles:
        message = f"{path} is damaged: {troubles[0]}"
        yield Item(name="ledger", state="wrong", message=message)
    else:
        message = f"{path}, schema {HEAD}, intact"
        yield Item(name="ledger", state="ok", message=message)
    for file in sorted(path.parent.glob(f"{path.name}*")):
        item = _private("ledger file", file, _OTHERS)
        if item.state == "wrong":
            yield item


def _integrity(path: Path) -> list[str]:
    """Return what SQLite's own check complains of."""
    ledger = Ledger.open(path)
    try:
        with translated_errors(path), reading(ledger.engine) as connection:
            rows = connection.exec_driver_sql("PRAGMA quick_check(5)").scalars().all()
    finally:
        ledger.close()
    return [str(row) for row in rows if row != "ok"]


def _locals(
    locals_: tuple[LocalSettings, ...], home: Path, environ: Mapping[str, str]
) -> Iterator[Item]:
    for local in locals_:
        name = f"local model {local.name}" if local.name else "local model"
        url = f"{local.base_url.rstrip('/')}/models"
        try:
            status = anyio.run(_status, url, environ.get(local.key_env or ""))
        except (http.httpx.HTTPError, http.httpx.InvalidURL, OSError) as error:
            message = (
                f"{url} cannot be reached ({type(error).__name__}): is it running?"
            )
            yield Item(name=name, state="wrong", message=message)
            continue
        state: State = "ok" if status < 400 else "wrong"  # noqa: PLR2004  # HTTP's own
        yield Item(name=name, state=state, message=f"{url} answers {status}")
        if state == "ok":
            tried, found = abilities(local, home=home, environ=environ)
            state = "ok" if tried else "wrong"
            yield Item(name=f"{name} gives", state=state, message=found)


async def _status(url: str, key: str | None) -> int:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with http.new_client() as client:
        reply = await client.get(url, timeout=_LOCAL_S, headers=headers)
    return reply.status_code


def _checks(settings: Settings, environ: Mapping[str, str]) -> Iterator[Item]:
    for name, check in settings.checks.items():
        program = check.command[0]
        found = shutil.which(program, path=environ.get("PATH"))
        message = found or f"{program!r} is not on the PATH"
        state: State = "ok" if found else "wrong"
        yield Item(name=f"check {name}", state=state, message=message)
