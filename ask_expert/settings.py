"""
Settings: which experts there are, where the ledger lies, what may leave.

They come from `$ASK_EXPERT_HOME/settings.yaml`, overridden by `ASK_EXPERT_*`
variables, then by flags. A key of an expert is never in here, only the name of
the variable, command or keyring entry that holds it.
"""

import getpass
import os
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self, cast
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ask_expert.errors import ConfigError

Api = Literal["openai_chat", "openai_responses", "anthropic", "gemini", "openrouter"]
Storage = Literal["full", "redacted", "hash", "none"]
Effort = Literal["minimal", "low", "medium", "high", "max"]
PerMtok = Annotated[Decimal, Field(ge=0, lt=1_000_000, allow_inf_nan=False)]
"""USD per million tokens."""

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


class _Strict(BaseModel):
    # Somebody may have put a key where its name belongs: no error repeats it.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Price(_Strict):
    """
    What an expert costs, in USD per million tokens; it overrides genai-prices.

    Cache prices that are not given equal the input price, so that a cost is
    never understated; a cache write defaults to 1.25 times it.
    """

    input_per_mtok: PerMtok
    output_per_mtok: PerMtok
    cache_read_per_mtok: PerMtok | None = None
    cache_write_per_mtok: PerMtok | None = None


class ExpertSettings(_Strict):
    """
    One expert.

    Attributes:
        name: How policies, the ledger and reports call it.
        api: Wire format it speaks.
        base_url: Where; the vendor's own address when absent.
        model: The model asked for.
        key_env: Name of the environment variable that holds the key.
        key_command: Command (argv) that prints the key.
        price: Overrides genai-prices.
        max_output_tokens: Output ceiling, reasoning included.
        context_window: Tokens the model can read and write together.
        effort: Reasoning effort; the provider's own default when absent.
        timeout_s: Total deadline of one question, retries included, in seconds.
        max_tries: How often one question may be sent at most.
        extra_body: Keys added to the request body as they are.
        extra_headers: Headers added to the request.
    """

    name: str
    api: Api
    model: Annotated[str, Field(min_length=1)]
    base_url: str | None = None
    key_env: str | None = None
    key_command: tuple[str, ...] | None = None
    price: Price | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 8192
    context_window: Annotated[int, Field(ge=256)] | None = None
    effort: Effort | None = None
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 600
    max_tries: Annotated[int, Field(ge=1, le=10)] = 3
    extra_body: Mapping[str, object] = {}
    extra_headers: Mapping[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _holds_no_key(cls, data: object) -> object:
        names = cast("Mapping[str, object]", data) if isinstance(data, Mapping) else ()
        if "key" in names or "api_key" in names:
            raise ValueError(
                "a key does not belong into this file: put it into a variable and "
                "name that in key_env, or run `ask-expert key set`"
            )
        return cast("object", data)

    @field_validator("name")
    @classmethod
    def _name_is_plain(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("use 1 to 40 letters, digits, '_', '-' or '.'")
        return name

    @field_validator("base_url")
    @classmethod
    def _url_is_safe(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an http:// or https:// address")
        if parts.username or parts.password:
            raise ValueError("must hold no user or password; use key_env")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ValueError("must be https:// unless it is on this machine")
        _check_port(url)
        return url.rstrip("/")

    @field_validator("extra_body")
    @classmethod
    def _body_is_json(cls, body: Mapping[str, object]) -> Mapping[str, object]:
        return {key: _json_value(value) for key, value in body.items()}

    @field_validator("key_env")
    @classmethod
    def _key_env_is_a_name(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError("give the name of a variable, never the key itself")
        return name


def _check_port(url: str) -> None:
    try:
        right = urlsplit(url).port != 0
    except ValueError:
        right = False
    if not right:
        raise ValueError("its port must be a number from 1 to 65535")


def _json_value(value: object) -> object:
    """Return what YAML read as JSON can carry it; a typed decimal becomes a number."""
    if isinstance(value, Decimal) and value.is_finite():
        return float(value)
    if isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        return {str(key): _json_value(each) for key, each in mapping.items()}
    if isinstance(value, list | tuple):
        return [_json_value(each) for each in cast("list[object]", value)]
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError(f"{value!s} cannot be sent as JSON; put it in quotes")


class LocalSettings(_Strict):
    """The local model's server; any OpenAI-compatible one."""

    base_url: str
    model: str


class CheckSettings(_Strict):
    """
    A command that an agent may name, and never hand in.

    Attributes:
        command: argv; no shell is involved.
        timeout_s: Seconds before it is stopped; at ask time 20 s at most.
    """

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 120


class SendSettings(_Strict):
    """
    What leaves this machine.

    Attributes:
        local_answer: Whether the expert sees the agent's own answer: `review`
            shows it, which fixes fewer and breaks fewer; `omit` does not.
        folders: Folders outside the working folder that `files` may name.
        max_bytes: Most bytes of one question's texts, and again of its files.
        allow: Patterns of look-alikes that are never masked.
    """

    local_answer: Literal["review", "omit"] = "review"
    folders: tuple[Path, ...] = ()
    max_bytes: Annotated[int, Field(ge=1_000, le=4_000_000)] = 200_000
    allow: tuple[str, ...] = ()

    @field_validator("allow")
    @classmethod
    def _patterns_compile(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in allow:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no pattern: {error}") from error
        return allow


class LogSettings(_Strict):
    """How the server logs to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "pretty"] = "json"


class Settings(_Strict):
    """
    Everything a user can set.

    Attributes:
        policy: Name of a preset, or a path; relative paths start at the home.
        experts: The ladder's rungs, cheapest first unless the policy says.
        local: The local model's server.
        checks: Named commands.
        send: What leaves.
        ledger: Path of the SQLite ledger; default `ledger.db` in the home.
        storage: What the ledger keeps of texts.
        answer_within_s: Seconds before a slow answer becomes `pending`.
        reuse_within_s: Age up to which a stored answer is given again, in seconds.
        time_zone: IANA name; the windows of calendar budgets follow it.
        log: Logging.
    """

    policy: str = "balanced"
    experts: tuple[ExpertSettings, ...] = ()
    local: LocalSettings | None = None
    checks: Mapping[str, CheckSettings] = {}
    send: SendSettings = SendSettings()
    ledger: Path | None = None
    storage: Storage = "redacted"
    answer_within_s: Annotated[float, Field(gt=0, le=3600)] = 50
    reuse_within_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 7 * 24 * 3600
    time_zone: str = "UTC"
    log: LogSettings = LogSettings()

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("is no time zone; give e.g. Europe/Berlin") from error
        return name

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [expert.name for expert in self.experts]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two experts are named {twice[0]!r}")
        return self

    def expert(self, name: str) -> ExpertSettings:
        """
        Return the expert of that name.

        Raises:
            ConfigError: There is none.
        """
        for expert in self.experts:
            if expert.name == name:
                return expert
        known = ", ".join(expert.name for expert in self.experts) or "none"
        raise ConfigError(f"there is no expert {name!r}; known: {known}")


def is_loopback(url: str | None) -> bool:
    """Return whether an address is on this machine."""
    return url is not None and urlsplit(url).hostname in _LOOPBACK


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
