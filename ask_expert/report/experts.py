"""The experts for people: where each one's key comes from, and what a question costs."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ask_expert import settings_file
from ask_expert.budget import from_us, to_us
from ask_expert.errors import ConfigError
from ask_expert.experts import command, keys, prices
from ask_expert.experts.clouds import Placed
from ask_expert.experts.found import experts_from_environment
from ask_expert.experts.prompt import compose
from ask_expert.experts.registry import wire_for
from ask_expert.ledger import breakers
from ask_expert.ledger.engine import reading, translated_errors
from ask_expert.ledger.store import Ledger
from ask_expert.money import SUBSCRIPTION, show
from ask_expert.question import Caller, Question
from ask_expert.redaction.plain import without_secrets
from ask_expert.report import price_table
from ask_expert.settings import ExpertSettings

_TYPICAL_TOKENS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyState:
    """
    Where an expert's key comes from.

    Attributes:
        expert: The expert's name.
        where: A variable, a command, the keyring, or nowhere.
        ready: Whether the expert can be asked.
        sentence: What is found, or what to set.
    """

    expert: str
    where: str
    ready: bool
    sentence: str


def configured(home: Path, environ: Mapping[str, str]) -> tuple[ExpertSettings, ...]:
    """
    Return the experts of the settings, else those that the environment has keys for.

    Raises:
        ConfigError: The settings are wrong.
    """
    return settings_file.load(home).experts or experts_from_environment(environ)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    One expert in a list.

    Attributes:
        expert: Its settings.
        endpoint: Where it is asked.
        price: Where its price is from; None when none is known.
        key: Where its key comes from, or what to set.
        rests: Until when it is left alone after failures, and the last one.
    """

    expert: ExpertSettings
    endpoint: str
    price: str | None
    key: KeyState
    rests: str | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the line as a table shows it."""
        found = self.key.where or "none needed"
        return (
            self.expert.name,
            self.expert.api,
            self.expert.model,
            self.endpoint,
            self.price or "NONE KNOWN",
            found if self.key.ready else f"MISSING: {self.key.sentence}",
            self.rests or "",
        )

    def as_json(self) -> dict[str, object]:
        """Return the line as JSON can carry it."""
        return {
            "name": self.expert.name,
            "api": self.expert.api,
            "model": self.expert.model,
            "endpoint": self.endpoint,
            "price_source": self.price,
            "key_ready": self.key.ready,
            "key_from": self.key.where or None,
            "key": self.key.sentence,
            "rests": self.rests,
        }


HEAD = ("expert", "api", "model", "endpoint", "price", "key", "rests")
"""Names of the cells of a line."""


def resting(ledger: Ledger, now: datetime) -> dict[str, str]:
    """
    Return the experts that are left alone after failures, with until when and why.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        rows = breakers.every(connection)
    return {
        row.expert: f"until {from_us(row.until_us):%H:%M:%SZ}: {row.reason}"
        for row in rows
        if row.until_us > to_us(now)
    }


def line(
    expert: ExpertSettings,
    environ: Mapping[str, str],
    now: datetime,
    rests: str | None = None,
) -> Line:
    """
    Return an expert as a list shows it; may take seconds where a command prints keys.

    One whose adapter cannot be used keeps its line, which says why.
    """
    try:
        wire_for(expert.api)
    except ConfigError as error:
        # What foreign code says may hold a key.
        why = without_secrets(str(error))
        broken = KeyState(expert=expert.name, where="", ready=False, sentence=why)
        where = expert.base_url or ""
        return Line(expert=expert, endpoint=where, price=None, key=broken, rests=rests)
    return Line(
        expert=expert,
        endpoint=_endpoint(expert),
        price=price_table.source(expert, now),
        key=key_state(expert, environ),
        rests=rests,
    )


def _endpoint(expert: ExpertSettings) -> str:
    """Return where it is asked: an address, or the program that asks."""
    if expert.command is not None:
        return expert.command[0]
    wire = wire_for(expert.api)
    found = expert.base_url
    if found is None and isinstance(wire, Placed):
        with suppress(ConfigError):  # no region yet; the key's sentence says so
            found = wire.address(expert)
    return found or wire.default_base_url


def named(name: str, known: Sequence[ExpertSettings]) -> ExpertSettings:
    """
    Return the expert of that name.

    Raises:
        ConfigError: There is none.
    """
    for expert in known:
        if expert.name == name:
            return expert
    names = ", ".join(expert.name for expert in known)
    hint = (
        f"known: {names}" if names else "`ask-expert init` writes a file to name one in"
    )
    raise ConfigError(f"there is no expert {name[:40]!r} in the settings; {hint}.")


def keep(name: str, key: str) -> str:
    """
    Put a key into the system keyring; return which one that is.

    Raises:
        ConfigError: The key is malformed, or there is no usable keyring.
    """
    keys.store_key(name, key)
    import keyring  # noqa: PLC0415  # an extra

    return f"the keyring {keyring.get_keyring().name!r}"


def key_state(expert: ExpertSettings, environ: Mapping[str, str]) -> KeyState:
    """Return where the key comes from; may take seconds where a command prints it."""
    variable = keys.variable(expert)
    if variable and environ.get(variable, "").strip():
        where = f"variable {variable}"
    elif expert.key_command:
        where = "key_command"
    else:
        where = "keyring"
    try:
        key = keys.key_for(expert, environ)
    except ConfigError as error:
        return KeyState(
            expert=expert.name, where="nowhere", ready=False, sentence=str(error)
        )
    if key is None and keys.finds_its_own(expert):
        return _own(expert, environ)
    if key is None:
        sentence = "none is needed: it is a server on this machine"
        return KeyState(expert=expert.name, where="", ready=True, sentence=sentence)
    return KeyState(expert=expert.name, where=where, ready=True, sentence="found")


def _own(expert: ExpertSettings, environ: Mapping[str, str]) -> KeyState:
    """Look whether a vendor's library has credentials, or whether its program is there."""
    wire = wire_for(expert.api)
    sentence = "none is needed: the vendor's own library has credentials"
    try:
        if expert.command is not None:
            found = command.argv(expert, environ)[0]
            sentence = f"none is needed: {found} has its own login"
        elif isinstance(wire, Placed):
            url = expert.base_url or wire.address(expert)
            wire.auth(expert, "", url=url, body=b"")
    except ConfigError as error:
        return KeyState(
            expert=expert.name, where="nowhere", ready=False, sentence=str(error)
        )
    return KeyState(expert=expert.name, where="", ready=True, sentence=sentence)


def typical_cost(expert: ExpertSettings, now: datetime) -> str:
    """
    Return the worst case of a question of about 2,000 tokens, as a sentence.

    Raises:
        ConfigError: Its settings cannot be sent.
        UnknownPriceError: No price is known.
    """
    nobody = Caller(session="", project="", user="")
    text = "word " * _TYPICAL_TOKENS
    prompt = compose(Question(text=text, caller=nobody))
    request = wire_for(expert.api).encode(
        expert, prompt, max_output_tokens=expert.max_output_tokens
    )
    quote = prices.quote(expert, request.body, now)
    if quote.source == SUBSCRIPTION:
        return "a subscription pays; a question counts as one call"
    worst = show(quote.worst_case_nusd(expert.max_output_tokens))
    return f"a question costs at most about {worst}, by {quote.source}"
