"""Put the rooms together from the settings: policy, masker, ledger, experts, clock."""

import contextlib
import copy
import json
import os
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

from ask_expert import settings_file
from ask_expert.budget import to_us
from ask_expert.errors import ConfigError, LedgerError
from ask_expert.experts import http, keys
from ask_expert.experts.desk import Desk, UnknownPrice, priced
from ask_expert.experts.found import experts_from_environment
from ask_expert.experts.prices import Quote
from ask_expert.home import user_name
from ask_expert.ledger import changes
from ask_expert.ledger.store import Ledger
from ask_expert.ledger_address import Where, is_server, password
from ask_expert.limits import Limit
from ask_expert.policy import presets
from ask_expert.policy.document import Policy
from ask_expert.policy.facts import plain
from ask_expert.redaction import Masker, secret_environment
from ask_expert.settings import ExpertSettings, Settings, is_loopback

NO_EXPERT = (
    "No expert is configured: set OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY or "
    "OPENROUTER_API_KEY, or run `ask-expert init` and edit the settings file it names."
)

_KEY_BYTES = 32
_KEY_CHARS = 16
_COMMAND_KEY_S = 300
"""What a command prints may be a token that ends: it is run again after so long."""


@dataclass(slots=True)
class _Shared:
    """What all views of one house see alike: keys, the masker, the HTTP client."""

    masker: Masker
    keys: dict[str, str | None] = field(default_factory=dict[str, str | None])
    keys_before: dict[str, str | None] = field(default_factory=dict[str, str | None])
    looked_s: dict[str, float] = field(default_factory=dict[str, float])
    client: http.httpx.AsyncClient | None = None


@dataclass(slots=True, kw_only=True)
class House:
    """
    Everything a question needs on its road.

    Attributes:
        home: Folder of settings, ledger and masking key.
        settings: The settings in force, with the experts that were found.
        policy: The policy in force.
        ledger: The ledger.
        environ: The environment the keys come from.
        mask_key: Key of the hashes of secrets and questions.
        zone: Time zone of calendar windows.
        further: Budgets beside the policy's; all must have room.
        clock_s: Monotonic seconds, for the age of keys.
    """

    home: Path
    settings: Settings
    policy: Policy
    ledger: Ledger
    environ: Mapping[str, str]
    mask_key: bytes
    zone: tzinfo
    further: tuple[Limit, ...] = ()
    clock_s: Callable[[], float] = time.monotonic
    _shared: _Shared = field(init=False)

    def __post_init__(self) -> None:
        self._shared = _Shared(Masker())
        for expert in self.settings.experts:
            try:
                self._look_up(expert)
            except ConfigError:
                # It may be stored later; asking this expert says what is missing.
                continue
        self._shared.masker = self._new_masker()

    @property
    def masker(self) -> Masker:
        """The masker that knows every key, password and secret known so far."""
        return self._shared.masker

    def under(self, policy: Policy, further: tuple[Limit, ...] = ()) -> Self:
        """
        Return this house under another policy, and with budgets beside its own.

        Ledger, keys, masker and HTTP client are the same, and open while these are.

        Raises:
            ConfigError: The policy names an expert that is not in the settings.
        """
        for name in policy.ladder or ():
            self.settings.expert(name)
        view = copy.copy(self)
        view.policy, view.further = policy, further
        return view

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Hold one HTTP client; close it and the ledger at the end."""
        try:
            async with http.new_client() as client:
                self._shared.client = client
                yield
        finally:
            self._shared.client = None
            self.ledger.close()

    def now(self) -> datetime:
        """Return the present in UTC."""
        return datetime.now(UTC)

    def now_us(self) -> int:
        """Return the present in microseconds since 1970."""
        return to_us(self.now())

    def key_for(self, expert: ExpertSettings) -> str | None:
        """
        Return an expert's key; from then on it is masked wherever it turns up.

        Raises:
            ConfigError: It is missing; the text says what to set.
        """
        looked_s = self._shared.looked_s.get(expert.name)
        may_end = expert.key_command is not None
        if looked_s is None or (
            may_end and self.clock_s() - looked_s >= _COMMAND_KEY_S
        ):
            self._look_up(expert)
            self._shared.masker = self._new_masker()
        return self._shared.keys[expert.name]

    def _look_up(self, expert: ExpertSettings) -> None:
        shared = self._shared
        found = keys.key_for(expert, self.environ)
        before = shared.keys.get(expert.name)
        if found != before:
            shared.keys_before[expert.name] = before
        shared.keys[expert.name] = found
        shared.looked_s[expert.name] = self.clock_s()

    def ladder(self) -> tuple[ExpertSettings, ...]:
        """Return the policy's experts, cheapest first."""
        if self.policy.ladder is None:
            return self.settings.experts
        return tuple(self.settings.expert(name) for name in self.policy.ladder)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The policy's budgets, and those beside them."""
        return (*self.policy.budgets, *self.further)

    @property
    def stores_texts(self) -> bool:
        """Whether the ledger keeps masked texts."""
        return self.settings.storage in {"full", "redacted"}

    def desk(self) -> Desk:
        """Return what a consultation works with."""
        if self._shared.client is None:
            raise RuntimeError("the house is not open")
        return Desk(
            ledger=self.ledger,
            client=self._shared.client,
            masker=self.masker,
            key_for=self.key_for,
            limits=self.limits,
            stores_answers=self.stores_texts,
            clock=self.now,
            after_unknown=self.policy.after_unknown,
            zone=self.zone,
            unknown_price=self._unknown_price,
        )

    def quote(self, expert: ExpertSettings, body: bytes) -> Quote:
        """
        Return what a request can cost.

        Raises:
            UnknownPriceError: There is no price and the policy does not allow that.
        """
        return priced(expert, body, self.now(), self._unknown_price)[1]

    @property
    def _unknown_price(self) -> UnknownPrice:
        return UnknownPrice(
            allow=self.policy.unknown_price == "allow",
            assumed=self.policy.assumed_price,
        )

    def _new_masker(self) -> Masker:
        known, shared = secret_environment(self.environ), self._shared
        for expert in self.settings.experts:
            for when, kept in (("", shared.keys), (" before", shared.keys_before)):
                key = kept.get(expert.name)
                # A word like `lm-studio` is what local servers take for a key.
                if key and not (is_loopback(expert.base_url) and len(key) < _KEY_CHARS):
                    known[f"key of {expert.name}{when}"] = key
        for local in self.settings.locals:
            key = self.environ.get(local.key_env) if local.key_env else None
            if key and not (is_loopback(local.base_url) and len(key) < _KEY_CHARS):
                known[f"key of local {local.label}"] = key
        known.update(_passwords(self.settings, self.environ))
        return Masker(known=known, allow=self.settings.send.allow)


def build(
    home: Path,
    *,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] = os.environ,
    on_record: bool = True,
) -> House:
    """
    Build the house from its home folder.

    Args:
        home: Folder of settings, ledger and masking key.
        flags: Settings that go before those of the home.
        environ: The environment the keys come from.
        on_record: Whether the policy is used to ask, so that a change of it goes on
            record; looking at a ledger changes nothing.

    Raises:
        ConfigError: Settings or policy are wrong.
        LedgerError: The ledger cannot be opened.
    """
    settings = settings_file.load(home, flags=flags)
    if not settings.experts:
        settings = settings.model_copy(
            update={"experts": experts_from_environment(environ)}
        )
    policy = presets.load(settings.policy, home=home)
    for name in policy.ladder or ():
        settings.expert(name)
    house = House(
        home=home,
        settings=settings,
        policy=policy,
        ledger=Ledger.open(ledger_path(home, settings)),
        environ=environ,
        mask_key=_mask_key(home),
        zone=ZoneInfo(settings.time_zone),
    )
    house.ledger.sweep(now_us=house.now_us())
    if on_record:
        put_on_record(house.ledger, policy, now_us=house.now_us())
    return house


def put_on_record(ledger: Ledger, policy: Policy, *, now_us: int) -> None:
    """
    Note who uses a policy, if it is not what it was when it was last used.

    Raises:
        LedgerError: The ledger cannot be read or written.
    """
    written = json.dumps(policy.model_dump(exclude_none=True), default=plain)
    changes.note_policy(
        ledger,
        name=policy.name,
        document=json.loads(written),
        policy_hash=policy.hash,
        by=user_name(),
        at_us=now_us,
    )


def ledger_path(home: Path, settings: Settings) -> Where:
    """Return where the ledger is; relative paths start at the home."""
    if settings.ledger is not None and is_server(settings.ledger):
        return settings.ledger
    return home / (settings.ledger or "ledger.db")


def _passwords(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the passwords of the ledger's server that we know of."""
    found = {
        "PGPASSWORD": environ.get("PGPASSWORD"),
        "password of the ledger": password(settings.ledger or ""),
    }
    return {name: value for name, value in found.items() if value}


def _mask_key(home: Path) -> bytes:
    """Return the home's key, made at first use; readable by its user alone."""
    path = home / "mask.key"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            fresh = home / f"mask.key.{os.getpid()}.{secrets.token_hex(4)}"
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
            # A link, unlike a rename, keeps the key of whoever came first.
            with contextlib.suppress(FileExistsError):
                os.link(fresh, path)
            fresh.unlink()
        return path.read_bytes()
    except OSError as error:
        raise LedgerError(f"The home folder {home} cannot be used: {error}.") from error
