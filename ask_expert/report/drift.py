"""
Is it still the same model? Who served each expert, and where that is not who was asked.

A provider may serve another model than the one asked for, or change it one day, or
in the middle of a thread, and still answer: only what its replies tell gives it away.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from typing import Literal

from ask_expert.ledger import identities
from ask_expert.ledger.engine import reading, translated_errors
from ask_expert.ledger.export import moment
from ask_expert.ledger.store import Ledger

Kin = Literal["same", "snapshot", "different", "unnamed"]

_MONTH_DAY = r"(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])"
_SNAPSHOT = re.compile(
    rf"[-@:](20\d\d-?{_MONTH_DAY}|{_MONTH_DAY}|0\d\d)(-v\d+(:\d+)?)?"
)
_AT_END = re.compile(rf"(?:{_SNAPSHOT.pattern})$")
_PATH = re.compile(r"^(models|publishers/[^/]+/models)/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who served a try, as far as the reply tells; None is not told."""

    served_model: str | None = None
    fingerprint: str | None = None
    service_tier: str | None = None
    provider: str | None = None
    region: str | None = None

    def conflicts(self, other: "Identity") -> bool:
        """Return whether both tell something, and not the same."""
        return any(
            None not in {mine, theirs} and mine != theirs
            for mine, theirs in zip(self.told(), other.told(), strict=True)
        )

    def told(self) -> tuple[str | None, ...]:
        """Return every field, in order."""
        return tuple(getattr(self, each.name) for each in fields(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """
    Some tries of one expert that one identity served.

    Attributes:
        expert: The expert's name.
        asked: The model asked for.
        identity: Who served.
        thread: The thread they belong to; None where it does not matter.
        first_us: When the first was sent, microseconds since 1970.
        last_us: When the last was sent.
        tries: How many.
    """

    expert: str
    asked: str
    identity: Identity
    thread: str | None = None
    first_us: int
    last_us: int
    tries: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One identity of an expert, with what its model is to the one asked for."""

    identity: Identity
    kin: Kin
    first_us: int
    last_us: int
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Strayed:
    """
    A thread that was not served by one expected identity alone.

    Expected is what the thread's first tries told that a model of the asked one's
    family served.

    Attributes:
        thread: The thread.
        tries: Tries of the expert in it.
        unexpected: Those served by a different model, or by who is not expected.
        switched: The identity changed inside the thread; if not, it was a different
            model from the first try on.
    """

    thread: str
    tries: int
    unexpected: int
    switched: bool

    @property
    def share(self) -> float:
        """Share of the tries that were served by the unexpected identity."""
        return self.unexpected / self.tries


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    Who served one expert's model, and what is odd about it.

    Attributes:
        expert: The expert's name.
        asked: The model asked for.
        served: Every identity, first seen first.
        changed: Names of what did not stay the same over time.
        strayed: Threads in which it changed or was different all along.
    """

    expert: str
    asked: str
    served: tuple[Served, ...]
    changed: tuple[str, ...] = ()
    strayed: tuple[Strayed, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether some try was served by a model of another family."""
        return any(each.kin == "different" for each in self.served)

    @property
    def drifted(self) -> bool:
        """Whether anything is odd."""
        return self.differs or bool(self.changed) or bool(self.strayed)


def kin(asked: str, served: str | None) -> Kin:
    """
    Return what a served model's name is to the one asked for.

    A date or a revision at the end makes it a snapshot; any other word, such as
    `-mini`, makes it a different model.

    >>> kin("gpt-6.1-sol", "gpt-6.1-sol-2026-10-01"), kin("gpt-6.1", "gpt-6.1-mini")
    ('snapshot', 'different')
    """
    if served is None:
        return "unnamed"
    wanted, got = (_PATH.sub("", name.strip().lower()) for name in (asked, served))
    if wanted == got:
        return "same"
    family = wanted.removesuffix("-latest")
    suffix = got.removeprefix(family)
    if got.startswith(family) and (not suffix or _SNAPSHOT.fullmatch(suffix)):
        return "snapshot"
    return "different"


def family(model: str) -> str:
    """
    Return a model's name without path, date or revision, as several sources write it.

    >>> family("models/Gemini-3.1-pro-001"), family("Claude Haiku 4.5")
    ('gemini-3-1-pro', 'claude-haiku-4-5')
    """
    plain = re.sub(r"[ .]+", "-", _PATH.sub("", model.strip().lower()))
    return _AT_END.sub("", plain).removesuffix("-latest")


def drift(rows: Iterable[Sighting]) -> list[Finding]:
    """Return a finding for every expert and asked model, whether it drifted or not."""
    groups: dict[tuple[str, str], list[Sighting]] = {}
    for row in rows:
        groups.setdefault((row.expert, row.asked), []).append(row)
    return [_finding(*key, groups[key]) for key in sorted(groups)]


def sightings(ledger: Ledger, since_us: int = 0) -> list[Sighting]:
    """
    Return who served the tries of the questions asked since a time.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        rows = identities.identities(connection, since_us)
    return [
        Sighting(
            expert=row.expert,
            asked=row.asked_model,
            identity=Identity(
                served_model=row.served_model,
                fingerprint=row.fingerprint,
                service_tier=row.service_tier,
                provider=row.provider,
                region=row.region,
            ),
            thread=row.thread,
            first_us=row.first_us,
            last_us=row.last_us,
            tries=int(row.tries),
        )
        for row in rows
    ]


def as_json(finding: Finding) -> dict[str, object]:
    """Return a finding as JSON can carry it."""
    return {
        "expert": finding.expert,
        "asked_model": finding.asked,
        "drifted": finding.drifted,
        "differs": finding.differs,
        "changed": list(finding.changed),
        "served": [
            {
                **{each.name: getattr(one.identity, each.name) for each in _FIELDS},
                "kin": one.kin,
                "first_seen": moment(one.first_us),
                "last_seen": moment(one.last_us),
                "tries": one.tries,
            }
            for one in finding.served
        ],
        "threads": [
            {
                "thread": each.thread,
                "tries": each.tries,
                "unexpected_tries": each.unexpected,
                "unexpected_share": each.share,
                "switched": each.switched,
            }
            for each in finding.strayed
        ],
    }


HEAD = (
    "served model",
    "is",
    "fingerprint",
    "tier",
    "provider",
    "region",
    "first",
    "last",
    "tries",
)
"""Names of the cells of one identity."""


def cells(finding: Finding) -> list[tuple[str, ...]]:
    """Return every identity of a finding as a table shows it."""
    return [
        (
            each.identity.served_model or "not named",
            "" if each.kin == "unnamed" else each.kin,
            *(told or "" for told in each.identity.told()[1:]),
            f"{moment(each.first_us)[:19]}Z",
            f"{moment(each.last_us)[:19]}Z",
            str(each.tries),
        )
        for each in finding.served
    ]


def sentences(finding: Finding) -> list[str]:
    """Return what is odd about a finding; nothing when nothing is."""
    found: list[str] = []
    if finding.differs:
        models = (each for each in finding.served if each.kin == "different")
        tries = sum(each.tries for each in models)
        total = sum(each.tries for each in finding.served)
        found.append(
            f"different: {tries} of {total} tries were served by another model"
        )
    if finding.changed:
        names = ", ".join(each.replace("_", " ") for each in finding.changed)
        found.append(f"changed over time: {names}")
    for each in finding.strayed:
        how = "switched inside" if each.switched else "another model all through"
        share = f"{each.unexpected} of {each.tries} tries ({each.share:.0%})"
        found.append(
            f"{how} thread {each.thread}: {share} served by the unexpected one"
        )
    return found


def verdict(findings: Sequence[Finding]) -> str:
    """Return the upshot, as one sentence."""
    if not findings:
        return "No drift: no expert has answered yet."
    drifted = [f"{each.expert} ({each.asked})" for each in findings if each.drifted]
    if drifted:
        return f"Drift: {', '.join(drifted)}."
    return "No drift: every expert was served by the model that was asked, unchanged."


_FIELDS = fields(Identity)


def _finding(expert: str, asked: str, rows: Sequence[Sighting]) -> Finding:
    by_identity: dict[Identity, list[Sighting]] = {}
    by_thread: dict[str, list[Sighting]] = {}
    for row in sorted(rows, key=lambda each: each.first_us):
        by_identity.setdefault(row.identity, []).append(row)
        if row.thread is not None:
            by_thread.setdefault(row.thread, []).append(row)
    served = tuple(
        Served(
            identity=identity,
            kin=kin(asked, identity.served_model),
            first_us=min(each.first_us for each in seen),
            last_us=max(each.last_us for each in seen),
            tries=sum(each.tries for each in seen),
        )
        for identity, seen in by_identity.items()
    )
    threads = (_strayed(name, seen) for name, seen in by_thread.items())
    return Finding(
        expert=expert,
        asked=asked,
        served=served,
        changed=_changed([each.identity for each in served]),
        strayed=tuple(each for each in threads if each is not None),
    )


def _changed(identities: Sequence[Identity]) -> tuple[str, ...]:
    """Return the fields that were told in more than one way."""
    values = zip(*(each.told() for each in identities), strict=True)
    pairs = zip(_FIELDS, values, strict=True)
    return tuple(each.name for each, told in pairs if len({*told} - {None}) > 1)


def _strayed(thread: str, rows: Sequence[Sighting]) -> Strayed | None:
    tries = sum(row.tries for row in rows)
    expected = _first_told([each.identity for each in rows if not _is_different(each)])
    unexpected = sum(
        row.tries
        for row in rows
        if _is_different(row) or row.identity.conflicts(expected)
    )
    if tries == 1 or not unexpected:
        return None
    switched = any(
        one.identity.conflicts(other.identity) for one, other in combinations(rows, 2)
    )
    return Strayed(thread=thread, tries=tries, unexpected=unexpected, switched=switched)


def _first_told(identities: Sequence[Identity]) -> Identity:
    """Return the first value of each field that is told at all."""
    values = zip(*(each.told() for each in identities), strict=True)
    pairs = zip(_FIELDS, values, strict=False)  # without identities there is no value
    first = {
        each.name: next((one for one in told if one is not None), None)
        for each, told in pairs
    }
    return Identity(**first)


def _is_different(row: Sighting) -> bool:
    return kin(row.asked, row.identity.served_model) == "different"
