"""
Open the ledger for a look, with the settings that belong to it where they are right.

A report must not depend on a policy that somebody is just editing: what cannot be
loaded is left out and said.
"""

import contextlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ask_expert import house as houses
from ask_expert import settings_file
from ask_expert.budget import Room, caps, to_us
from ask_expert.errors import ConfigError
from ask_expert.house import House
from ask_expert.ledger import reads
from ask_expert.ledger.engine import reading, translated_errors
from ask_expert.ledger.store import Ledger
from ask_expert.ledger_address import Where
from ask_expert.question import Caller
from ask_expert.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """
    The ledger, swept, and what is known around it.

    Attributes:
        ledger: The ledger.
        house: The house it belongs to; None when settings or policy are wrong.
        trouble: What is wrong with them, as one sentence.
    """

    ledger: Ledger
    house: House | None
    trouble: str | None


@contextlib.contextmanager
def opened(home: Path, environ: Mapping[str, str]) -> Generator[Desk]:
    """
    Open the ledger of a home folder; what dead processes left is marked unresolved.

    Raises:
        LedgerError: The ledger cannot be opened.
    """
    house: House | None = None
    trouble: str | None = None
    try:
        house = houses.build(home, environ=environ, on_record=False)
        ledger = house.ledger
    except ConfigError as error:
        trouble = str(error)
        ledger = Ledger.open(_path(home))
    try:
        ledger.sweep(now_us=to_us(datetime.now(UTC)))
        yield Desk(ledger=ledger, house=house, trouble=trouble)
    finally:
        ledger.close()


def rooms_now(house: House, now: datetime) -> list[Room]:
    """
    Return every budget of the policy with its running sums.

    Whatever else tells windows apart, such as task and project, is that of whoever
    asked last; a budget per expert is shown for every expert in the settings and for
    every one that was ever asked.
    """
    ledger = house.ledger
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        asked = reads.experts_asked(connection)
        last = reads.last_caller(connection)
    caller, task, thread = last or (Caller(session="", project="", user=""), "", None)
    names = dict.fromkeys([*(each.name for each in house.settings.experts), *asked])
    found = [
        cap
        for limit in house.limits
        for name in (names if "expert" in (limit.scope, *limit.per) else [""])
        for cap in caps(
            (limit,),
            caller=caller,
            task=task,
            thread=thread,
            expert=name,
            now=now,
            zone=house.zone,
        )
    ]
    # A call's budget is a window of its own for every call: nothing is spent in it.
    windows = dict.fromkeys(cap for cap in found if cap.scope != "call")
    calls = [Room(cap=cap) for cap in dict.fromkeys(found) if cap not in windows]
    return [*calls, *ledger.rooms(windows)]


def _path(home: Path) -> Where:
    try:
        settings = settings_file.load(home)
    except ConfigError:
        settings = Settings()
    return houses.ledger_path(home, settings)
