"""Put the rooms together from the settings: policy, masker, ledger, experts, clock."""

import contextlib
import os
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from ask_expert import settings_file
from ask_expert.budget import Limit, to_us
from ask_expert.errors import ConfigError, LedgerError
from ask_expert.experts import http, keys
from ask_expert.experts.desk import Desk, UnknownPrice, priced
from ask_expert.experts.found import experts_from_environment
from ask_expert.experts.prices import Quote
from ask_expert.ledger.store import Ledger
from ask_expert.ledger_address import Where, is_server, password
from ask_expert.policy import presets
from ask_expert.policy.document import Policy
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
        clock_s: Monotonic seconds, for the age of keys.
    """

    home: Path
    settings: Settings
    policy: Policy
    ledger: Ledger
    environ: Mapping[str, str]
    mask_key: bytes
    zone: tzinfo
    clock_s: Callable[[], float] = time.monotonic
    masker: Masker = field(init=False)
    _keys: dict[str, str | None] = field(default_factory=dict[str, str | None])
    _keys_before: dict[str, str | None] = field(default_factory=dict[str, str | None])
    _looked_s: dict[str, float] = field(default_factory=dict[str, float])
    _client: http.httpx.AsyncClient | None = None

    def __post_init__(self) -> None:
        for expert in self.settings.experts:
            try:
                self._look_up(expert)
            except ConfigError:
                # It may be stored later; asking this expert says what is missing.
                continue
        self.masker = self._new_masker()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        """Hold one HTTP client; close it and the ledger at the end."""
        try:
            async with http.new_client() as client:
                self._client = client
                yield
        finally:
            self._client = None
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
        looked_s = self._looked_s.get(expert.name)
        may_end = expert.key_command is not None
        if looked_s is None or (
            may_end and self.clock_s() - looked_s >= _COMMAND_KEY_S
        ):
            self._look_up(expert)
            self.masker = self._new_masker()
        return self._keys[expert.name]

    def _look_up(self, expert: ExpertSettings) -> None:
        found = keys.key_for(expert, self.environ)
        before = self._keys.get(expert.name)
        if found != before:
            self._keys_before[expert.name] = before
        self._keys[expert.name] = found
        self._looked_s[expert.name] = self.clock_s()

    def ladder(self) -> tuple[ExpertSettings, ...]:
        """Return the policy's experts, cheapest first."""
        if self.policy.ladder is None:
            return self.settings.experts
        return tuple(self.settings.expert(name) for name in self.policy.ladder)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The policy's budgets."""
        return tuple(self.policy.budgets)

    @property
    def stores_texts(self) -> bool:
        """Whether the ledger keeps masked texts."""
        return self.settings.storage in {"full", "redacted"}

    def desk(self) -> Desk:
        """Return what a consultation works with."""
        if self._client is None:
            raise RuntimeError("the house is not open")
        return Desk(
            ledger=self.ledger,
            client=self._client,
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
        known = secret_environment(self.environ)
        for expert in self.settings.experts:
            for when, kept in (("", self._keys), (" before", self._keys_before)):
                key = kept.get(expert.name)
                # A word like `lm-studio` is what local servers take for a key.
                if key and not (is_loopback(expert.base_url) and len(key) < _KEY_CHARS):
                    known[f"key of {expert.name}{when}"] = key
        known.update(_passwords(self.settings, self.environ))
        return Masker(known=known, allow=self.settings.send.allow)


def build(
    home: Path,
    *,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> House:
    """
    Build the house from its home folder.

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
    return house


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
