"""Hold a ledger's tries against the caps, by sums of our own; and price a bill."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select

from ask_expert.ledger.engine import reading
from ask_expert.ledger.reads import all_tries
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import escalations, movements, questions, tries
from ask_expert.money import nusd, show

_HOUR_US = 3_600_000_000
_PERIODS = {"hour": _HOUR_US, "day": 24 * _HOUR_US}
_OPEN = {"sent", "unresolved"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What a ledger's tries add up to, in nano-dollars and in counts."""

    tries: int
    unresolved: int
    refused: int
    spent_nusd: int
    open_nusd: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """
    One budget and its fullest window.

    Attributes:
        name: Its scope, and what it is counted in.
        unit: `usd`, `calls` or `tokens`.
        cap: Most that a window may hold; nano-dollars for `usd`.
        most: What the fullest one held, spent and set aside, at any commit.
        windows: How many windows there were.
        over: How many held more than the cap.
    """

    name: str
    unit: str
    cap: int
    most: int
    windows: int
    over: int

    @property
    def is_over(self) -> bool:
        """Whether a window held more than it may."""
        return self.most > self.cap

    @property
    def cap_words(self) -> str:
        """The cap, for people."""
        return show(self.cap) if self.unit == "usd" else f"{self.cap:,} {self.unit}"

    @property
    def most_words(self) -> str:
        """What the fullest window held, for people."""
        return show(self.most) if self.unit == "usd" else f"{self.most:,} {self.unit}"

    @property
    def complaint(self) -> str:
        """What is wrong with it."""
        return f"{self.name}: {self.most_words}, the cap is {self.cap_words}"


def bill_nusd(bill: Iterable[Mapping[str, Any]]) -> int:
    """Return a provider's bill in nano-dollars, by the prices in its models' names."""
    # A thousandth of a USD per million tokens is a nano-dollar a token.
    whole = 0
    for each in bill:
        _, input_, output = each["model"].split("-")
        whole += each["input_tokens"] * int(input_)
        whole += each["output_tokens"] * int(output)
    return whole


def sums(ledger: Ledger) -> Sums:
    """Return what the tries add up to."""
    with reading(ledger.engine) as connection:
        refused = connection.execute(
            select(func.count()).where(questions.c.status == "refused")
        ).scalar_one()
        rows = connection.execute(select(tries)).all()
    return Sums(
        tries=len(rows),
        unresolved=sum(row.state in _OPEN or row.cost_nusd is None for row in rows),
        refused=refused,
        spent_nusd=sum(row.cost_nusd or 0 for row in rows),
        open_nusd=sum(row.reserved_nusd for row in rows if row.state in _OPEN),
    )


def caps_held(ledger: Ledger, budgets: Iterable[Mapping[str, Any]]) -> list[Held]:
    """
    Return each budget's fullest window, movement by movement in their order.

    The sums are taken from tries and movements alone, never from the windows.
    """
    with reading(ledger.engine) as connection:
        rows = connection.execute(
            select(
                movements.c.kind,
                movements.c.nusd,
                tries.c.id,
                tries.c.sent_us,
                tries.c.state,
                tries.c.reserved_nusd,
                tries.c.input_bound_tokens,
                tries.c.output_ceiling_tokens,
                tries.c.input_tokens,
                tries.c.output_tokens,
                tries.c.reconciled,
                escalations.c.expert,
                questions.c.task,
            )
            .select_from(all_tries().join(movements, movements.c.try_id == tries.c.id))
            .order_by(movements.c.id)
        ).all()
    found: list[Held] = []
    for budget in budgets:
        for unit in ("usd", "calls", "tokens"):
            if unit in budget:
                find = _rolling if budget.get("rolling") else _calendar
                found.append(find(rows, budget, unit))
    return found


def _cap(budget: Mapping[str, Any], unit: str) -> int:
    return nusd(Decimal(budget["usd"])) if unit == "usd" else int(budget[unit])


def _change(row: Any, unit: str) -> int:
    """Return by how much a movement changes a window's sum."""
    if unit == "calls":
        return {"reserve": 1, "settle": 0}.get(row.kind, -1)
    if unit == "usd":
        signed = {"reserve": row.nusd, "settle": row.nusd - row.reserved_nusd}
        return signed.get(row.kind, -row.nusd)
    bound = row.input_bound_tokens + row.output_ceiling_tokens
    told = row.input_tokens is not None and row.reconciled is None
    used = row.input_tokens + row.output_tokens if told else bound
    return {"reserve": bound, "settle": used - bound}.get(row.kind, -bound)


def _window(row: Any, budget: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what tells the window of a try apart."""
    scope, per = budget["scope"], budget.get("per", [])
    key: list[object] = []
    if scope in _PERIODS:
        key.append(row.sent_us // _PERIODS[scope])
    if scope == "expert" or "expert" in per:
        key.append(row.expert)
    if scope == "task":
        key.append(row.task)
    if scope == "call":
        key.append(row.id)
    return tuple(key)


def _held(
    budget: Mapping[str, Any], unit: str, fullest: Mapping[tuple[object, ...], int]
) -> Held:
    cap = _cap(budget, unit)
    words = ["rolling"] if budget.get("rolling") else []
    words += [budget["scope"], *(f"per {name}" for name in budget.get("per", []))]
    return Held(
        name=f"{' '.join(words)}, {unit}",
        unit=unit,
        cap=cap,
        most=max(fullest.values(), default=0),
        windows=len(fullest),
        over=sum(most > cap for most in fullest.values()),
    )


def _calendar(rows: Iterable[Any], budget: Mapping[str, Any], unit: str) -> Held:
    now: defaultdict[tuple[object, ...], int] = defaultdict(int)
    fullest: dict[tuple[object, ...], int] = {}
    for row in rows:
        window = _window(row, budget)
        now[window] += _change(row, unit)
        fullest[window] = max(fullest.get(window, 0), now[window])
    return _held(budget, unit, fullest)


def _rolling(rows: Iterable[Any], budget: Mapping[str, Any], unit: str) -> Held:
    """Let each try leave the sum once it is older than the period."""
    period_us = _PERIODS[budget["scope"]]
    by_try: defaultdict[str, int] = defaultdict(int)
    young: deque[tuple[int, str]] = deque()
    gone: set[str] = set()
    whole = most = 0
    for row in rows:
        if row.kind == "reserve":
            young.append((row.sent_us, row.id))
            while young[0][0] <= row.sent_us - period_us:
                _, old = young.popleft()
                whole -= by_try[old]
                gone.add(old)
        change = _change(row, unit)
        by_try[row.id] += change
        if row.id not in gone:
            whole += change
        most = max(most, whole)
    return _held(budget, unit, {(): most})
