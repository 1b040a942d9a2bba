"""
Settings: which experts there are, where the ledger lies, what may leave.

They come from `$ASK_EXPERT_HOME/settings.yaml`, overridden by `ASK_EXPERT_*`
variables, then by flags. A key of an expert is never in here, only the name of
the variable, command or keyring entry that holds it.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self, cast, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticKnownError

from ask_expert.errors import ConfigError
from ask_expert.ledger_address import check as check_address
from ask_expert.ledger_address import is_server
from ask_expert.local_settings import LocalSettings, one_or_several

Api = Literal[
    "openai_chat",
    "openai_responses",
    "anthropic",
    "gemini",
    "openrouter",
    "bedrock",
    "vertex_anthropic",
    "vertex_gemini",
    "command",
]
"""The wire formats that are built in."""

ADAPTERS = "ask_expert.experts"
"""Group of the entry points by which another distribution adds a wire format."""

Storage = Literal["full", "redacted", "hash", "none"]
Effort = Literal["minimal", "low", "medium", "high", "max"]
PerMtok = Annotated[Decimal, Field(ge=0, lt=1_000_000, allow_inf_nan=False)]
"""USD per million tokens."""

_PLACE = re.compile(r"[a-z0-9][a-z0-9.:-]{0,99}")
_VERTEX = ("vertex_anthropic", "vertex_gemini")
_PLACES = {"region", "project"}
_HTTP = {"base_url", "key_command", "price", "effort", "extra_body", "extra_headers"}
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
        api: Wire format it speaks: one of `Api`, or of another distribution's adapters.
        base_url: Where; the vendor's own address when absent.
        model: The model asked for.
        key_env: Name of the environment variable that holds the key; of one that the
            program may see, for `api: command`.
        key_command: Command (argv) that prints the key.
        price: Overrides genai-prices.
        max_output_tokens: Output ceiling, reasoning included.
        context_window: Tokens the model can read and write together.
        effort: Reasoning effort; the provider's own default when absent.
        stream: Whether the reply is asked for in pieces.
        cache_threads: Whether follow-ups may be read from the provider's cache, where
            writing to it has to be asked for; the provider then keeps the
            conversation for some minutes.
        region: Region of a cloud that serves the model.
        project: Project of a cloud that serves the model.
        command: argv of a vendor's own program, for `api: command`; an element
            `{model}` becomes the model.
        timeout_s: Total deadline of one question, retries included, in seconds.
        max_tries: How often one question may be sent at most.
        break_after: Failures in a row after which the expert is left alone for a
            while, by every process that shares the ledger; 0 is never.
        extra_body: Keys added to the request body as they are.
        extra_headers: Headers added to the request.
    """

    name: str
    api: str
    model: Annotated[str, Field(min_length=1)]
    base_url: str | None = None
    key_env: str | None = None
    key_command: tuple[str, ...] | None = None
    price: Price | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 8192
    context_window: Annotated[int, Field(ge=256)] | None = None
    effort: Effort | None = None
    stream: bool = True
    cache_threads: bool = False
    region: str | None = None
    project: str | None = None
    command: tuple[str, ...] | None = None
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 600
    max_tries: Annotated[int, Field(ge=1, le=10)] = 3
    break_after: Annotated[int, Field(ge=0, le=1000)] = 5
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

    @field_validator("api")
    @classmethod
    def _api_exists(cls, api: str) -> str:
        known = get_args(Api)
        if api in known:
            return api
        from importlib.metadata import entry_points  # noqa: PLC0415  # seldom needed

        known += tuple(sorted({each.name for each in entry_points(group=ADAPTERS)}))
        if api not in known:
            expected = ", ".join(repr(each) for each in known)
            raise PydanticKnownError("literal_error", {"expected": expected})
        return api

    @field_validator("region", "project")
    @classmethod
    def _place_is_plain(cls, place: str | None) -> str | None:
        if place is not None and not _PLACE.fullmatch(place):
            raise ValueError("use small letters, digits, '-', '.' or ':'")
        return place

    @model_validator(mode="after")
    def _fits_its_api(self) -> Self:
        if (self.command is not None) != (self.api == "command"):
            raise ValueError("`command` and `api: command` belong together")
        if self.command is not None:
            _check_command(self.command)
        for name in sorted(self.model_fields_set.intersection(_unused_by(self.api))):
            raise ValueError(f"`{name}` means nothing to `api: {self.api}`; remove it")
        if self.api in _VERTEX and self.region is None:
            raise ValueError("`region` is missing; give e.g. `global` or `us-east5`")
        return self

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


def needs_calls_budget(expert: ExpertSettings) -> bool:
    """Return whether a subscription pays, so that only a budget in calls bounds it."""
    return expert.api == "command"


def _unused_by(api: str) -> set[str]:
    """Return the keys that a built-in wire format would ignore."""
    known: dict[str, set[str]] = dict.fromkeys(get_args(Api), _PLACES)
    known |= {"command": _PLACES | _HTTP, "bedrock": {"project"}}
    known |= {each: set() for each in _VERTEX}
    return known.get(api, set())


def _check_command(command: tuple[str, ...]) -> None:
    program = command[0] if command else ""
    if not program.strip():
        raise ValueError("`command` must name a program")
    if "/" in program and not program.startswith(("/", "~")):
        raise ValueError("its program must be a plain name or a whole path")


def _check_port(url: str) -> None:
    try:
        right = urlsplit(url).port != 0
    except ValueError:
        right = False
    if not right:
        raise ValueError("its port must be a number from 1 to 65535")


class CheckSettings(_Strict):
    """
    A command that an agent may name, and never hand in.

    Attributes:
        command: argv; no shell is involved.
        timeout_s: Seconds before it is stopped; at ask time 20 s at most.
        reads_answer: It can judge an answer in the file that ASK_EXPERT_ANSWER names.
    """

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 120
    reads_answer: bool = False


class SendSettings(_Strict):
    """
    What leaves this machine.

    Attributes:
        local_answer: Whether the expert sees the agent's own answer: `review`
            shows it, which fixes fewer and breaks fewer; `omit` does not.
        folders: Folders outside the working folder that `files` may name.
        max_bytes: Most bytes of one question's texts, and again of its files.
        max_tokens: Most tokens of one prompt, thread and template included, as an
            upper bound; what finds no room is cut or left out in a stated order.
        allow: Patterns of look-alikes that are never masked.
    """

    local_answer: Literal["review", "omit"] = "review"
    folders: tuple[Path, ...] = ()
    max_bytes: Annotated[int, Field(ge=1_000, le=4_000_000)] = 200_000
    max_tokens: Annotated[int, Field(ge=1_000, le=4_000_000)] = 60_000
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
        local: The local model's server, or several; code reads `locals`.
        checks: Named commands.
        send: What leaves.
        ledger: Path of the SQLite ledger, default `ledger.db` in the home; or the
            address of a PostgreSQL database.
        storage: What the ledger keeps of texts.
        answer_within_s: Seconds before a slow answer becomes `pending`.
        reuse_within_s: Age up to which a stored answer is given again, in seconds.
        time_zone: IANA name; the windows of calendar budgets follow it.
        log: Logging.
    """

    policy: str = "balanced"
    experts: tuple[ExpertSettings, ...] = ()
    local: Annotated[
        LocalSettings | tuple[LocalSettings, ...] | None, WrapValidator(one_or_several)
    ] = None
    checks: Mapping[str, CheckSettings] = {}
    send: SendSettings = SendSettings()
    ledger: str | None = None
    storage: Storage = "redacted"
    answer_within_s: Annotated[float, Field(gt=0, le=3600)] = 50
    reuse_within_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 7 * 24 * 3600
    time_zone: str = "UTC"
    log: LogSettings = LogSettings()

    @field_validator("ledger")
    @classmethod
    def _ledger_is_somewhere(cls, ledger: str | None) -> str | None:
        if ledger is not None and is_server(ledger):
            check_address(ledger)
        return ledger

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
        twice = _first_twice([expert.name for expert in self.experts])
        if twice:
            raise ValueError(f"two experts are named {twice!r}")
        twice = _first_twice([each.label for each in self.locals])
        if twice:
            raise ValueError(f"two of `local` are {twice!r}; give each a `name`")
        return self

    @property
    def locals(self) -> tuple[LocalSettings, ...]:
        """The local model's servers; the first is the one to use unless told."""
        if isinstance(self.local, LocalSettings):
            return (self.local,)
        return self.local or ()

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


def _first_twice(names: list[str]) -> str | None:
    return min((name for name in names if names.count(name) > 1), default=None)


def is_loopback(url: str | None) -> bool:
    """Return whether an address is on this machine."""
    return url is not None and urlsplit(url).hostname in _LOOPBACK


def _json_value(value: object) -> object:
    """
    Return what YAML read as JSON can carry it; a typed decimal becomes a number.

    Raises:
        ValueError: JSON has nothing for it.
    """
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
