"""
Settle what nobody knows the cost of: by the provider's own record, else at worst case.

A try stays unresolved, and counted in full, until its provider's record says what it
cost, or until it has been unresolved for so long that neither a record nor its own
process is to be expected. No money is freed without the provider's word.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import anyio.to_thread
import structlog

from ask_expert.answer_block import visible
from ask_expert.errors import ConfigError
from ask_expert.experts import usage_record
from ask_expert.experts.cleaning import MOST_CHARS, plain
from ask_expert.experts.usage_record import NoRecord, UsageRecord
from ask_expert.house import House
from ask_expert.ledger import reconcile as ledger_side
from ask_expert.ledger.reconcile import By, Unresolved
from ask_expert.money import SUBSCRIPTION, nusd
from ask_expert.settings import ExpertSettings

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_MINUTE_US = 60 * 1_000_000
_HOUR_US = 60 * _MINUTE_US

OLDER_THAN_US = _HOUR_US
"""So long a try waits for its record, or its own process, before it is worst case."""

UNREACHABLE_US = 24 * _HOUR_US
"""The same for a try whose provider keeps records but could not say just now."""

FAILED_US = _HOUR_US
"""In the background, so long before that it must have failed to say already."""

_LONGEST_PAUSE_US = 10 * _MINUTE_US

Failed = dict[str, int]
"""When asking an expert, or for one try, first failed; microseconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unasked:
    """Why nobody was asked for a record; `may_yet` leaves that to a later pass."""

    why: str
    may_yet: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """
    What becomes of one unresolved try.

    Attributes:
        of: The try.
        by: How it is settled; None leaves it unresolved.
        cost_nusd: What is booked for it.
        why: Why the provider's record does not settle it; empty if it does.
        record: The provider's record.
    """

    of: Unresolved
    by: By | None
    cost_nusd: int = 0
    why: str = ""
    record: UsageRecord | None = None

    @property
    def result(self) -> Literal["provider", "worst_case", "unresolved"]:
        """How it ends, in one word."""
        return self.by or "unresolved"


async def reconcile(
    house: House, *, older_than_us: int = OLDER_THAN_US, dry_run: bool = False
) -> list[Fate]:
    """
    Settle every unresolved try that can be; the house has to be open.

    Two at a time do no harm: each try is settled once, whoever comes first.

    Args:
        house: Ledger, settings and keys.
        older_than_us: From this age on a try without a record is settled at worst
            case, in microseconds since it became unresolved.
        dry_run: Ask the providers, but write nothing.

    Returns:
        The fate of each unresolved try; one that somebody else settled meanwhile is
        left out.

    Raises:
        LedgerError: The ledger cannot be used.
    """
    found = await anyio.to_thread.run_sync(lambda: ledger_side.unresolved(house.ledger))
    return await _settled(house, found, older_than_us=older_than_us, dry_run=dry_run)


async def look_after(house: House, failed: Failed) -> list[Fate]:
    """
    Do the same in the background, as one of perhaps many processes.

    Only what this process could claim is worked on, and a provider is asked less
    and less often for the same record. Tries of experts that these settings do not
    know, or know as another, are passed over: another home may have their key. A
    machine that was off for a day has not tried for a day, so what is old is worst
    case only if asking failed an hour ago as well, as this process saw it.

    Args:
        house: Ledger, settings and keys.
        failed: What this process saw fail so far; kept from call to call.

    Raises:
        LedgerError: The ledger cannot be used.
    """
    now_us = house.now_us()
    found = await anyio.to_thread.run_sync(lambda: ledger_side.unresolved(house.ledger))
    open_still = {name for each in found for name in (each.expert, each.try_id)}
    for name in failed.keys() - open_still:
        del failed[name]
    until = {
        each.try_id: now_us + _pause_us(now_us - each.since_us)
        for each in found
        if each.lease_us < now_us and _is_due(house, each, now_us=now_us)
    }
    ours = await anyio.to_thread.run_sync(
        lambda: ledger_side.claim(house.ledger, until, now_us=now_us)
    )
    claimed = [each for each in found if each.try_id in ours]
    fates = await _settled(house, claimed, older_than_us=OLDER_THAN_US, failed=failed)
    for fate in fates:
        if fate.by is not None:
            _log.info(
                "an unresolved try was settled",
                try_id=fate.of.try_id,
                by=fate.by,
                cost_nusd=fate.cost_nusd,
                why=fate.why,
            )
    return fates


def _is_due(house: House, each: Unresolved, *, now_us: int) -> bool:
    """Return whether there is something to be done about a try already."""
    expert = _expert(house, each)
    if expert is None or usage_record.is_of_another(expert, each.request_id):
        return False
    if now_us - each.since_us >= OLDER_THAN_US:
        return True
    return usage_record.cannot_ask(expert, each.request_id) is None


def _pause_us(age_us: int) -> int:
    """Return how long nobody need ask again: half as long as nobody knew already."""
    return min(max(_MINUTE_US, age_us // 2), _LONGEST_PAUSE_US)


async def _settled(
    house: House,
    found: Sequence[Unresolved],
    *,
    older_than_us: int,
    dry_run: bool = False,
    failed: Failed | None = None,
) -> list[Fate]:
    fates: list[Fate] = []
    silent: dict[str, str] = {}
    for each in found:
        told = await _told(house, each, silent)
        now_us = house.now_us()
        enough_us = older_than_us
        if isinstance(told, NoRecord) and told.unreachable:
            enough_us = max(older_than_us, UNREACHABLE_US)
        is_old = now_us - each.since_us >= enough_us
        if failed is not None and not _has_failed_for_long(failed, each, told, now_us):
            is_old = False
        fate = _fate(each, told, is_old=is_old)
        if dry_run or fate.by is None or await _book(house, fate):
            fates.append(fate)
    return fates


def _expert(house: House, each: Unresolved) -> ExpertSettings | None:
    known = house.settings.experts
    return next((expert for expert in known if expert.name == each.expert), None)


async def _told(
    house: House, each: Unresolved, silent: dict[str, str]
) -> UsageRecord | NoRecord | _Unasked:
    """
    Return what the provider says of a try, or why it says nothing.

    Args:
        house: Settings and keys.
        each: The try.
        silent: Experts that are asked no more in this pass, and why; added to.
    """
    expert = _expert(house, each)
    why = usage_record.cannot_ask(expert, each.request_id)
    if why is not None or expert is None or each.request_id is None:
        return _Unasked(why=house.masker.scrub(plain(why or "")), may_yet=False)
    if expert.name in silent:
        return _Unasked(why=silent[expert.name], may_yet=True)
    try:
        key = await anyio.to_thread.run_sync(lambda: house.key_for(expert))
    except ConfigError as error:
        silent[expert.name] = str(error).rstrip(".")
        return _Unasked(why=silent[expert.name], may_yet=True)
    told = await usage_record.ask(house.desk().client, expert, each.request_id, key=key)
    if isinstance(told, NoRecord):
        told = replace(told, why=_word(house, told.why) or "")
        if told.of_all:
            silent[expert.name] = told.why  # it is not waited for once more
    return told


def _has_failed_for_long(
    failed: Failed,
    each: Unresolved,
    told: UsageRecord | NoRecord | _Unasked,
    now_us: int,
) -> bool:
    """Take note of a failed ask; return False while no earlier one is old enough."""
    if isinstance(told, _Unasked):
        return True
    if not (isinstance(told, NoRecord) and told.of_all):
        failed.pop(each.expert, None)
    if isinstance(told, UsageRecord) or not told.unreachable:
        failed.pop(each.try_id, None)
        return True
    first_us = failed.setdefault(each.expert if told.of_all else each.try_id, now_us)
    return now_us - first_us >= FAILED_US


def _fate(
    each: Unresolved,
    told: UsageRecord | NoRecord | _Unasked,
    *,
    is_old: bool,
) -> Fate:
    if isinstance(told, UsageRecord):
        cost = nusd(told.cost_usd)
        return Fate(of=each, by="provider", cost_nusd=cost, record=told)
    if not is_old or (isinstance(told, _Unasked) and told.may_yet):
        return Fate(of=each, by=None, why=told.why)
    return Fate(of=each, by="worst_case", cost_nusd=each.reserved_nusd, why=told.why)


async def _book(house: House, fate: Fate) -> bool:
    """Settle a try; return False if somebody else did."""
    by = fate.by
    if by is None:
        return False
    columns = _columns(house, fate)
    return await anyio.to_thread.run_sync(
        lambda: ledger_side.settle(
            house.ledger,
            fate.of.try_id,
            by=by,
            cost_nusd=fate.cost_nusd,
            columns=columns,
            now_us=house.now_us(),
        )
    )


def _columns(house: House, fate: Fate) -> dict[str, object]:
    """Return what the try's row keeps of how it was settled."""
    record = fate.record
    if record is None:
        by_subscription = fate.of.price_source == SUBSCRIPTION
        return {"price_source": SUBSCRIPTION if by_subscription else "worst case"}
    columns: dict[str, object] = {
        "price_source": "provider",
        "reported_cost_nusd": fate.cost_nusd,
        "served_model": _word(house, record.served_model),
        "provider": _word(house, record.provider),
        "finish_reason": _word(house, record.finish_reason),
    }
    usage = record.usage
    if usage is not None:
        columns |= {
            "input_tokens": usage.input_tokens,
            "cache_read_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "cache_write_long_tokens": usage.cache_write_long_tokens,
            "output_tokens": usage.output_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "usage_source": usage.source,
        }
    return columns


def _word(house: House, text: str | None) -> str | None:
    """Return a provider's word, masked: it may quote what it was sent."""
    if text is None:
        return None
    one_line = " ".join(house.masker.scrub(visible(plain(text))).split())
    return one_line[:MOST_CHARS]
