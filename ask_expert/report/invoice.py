"""
A vendor's bill beside the ledger, by day and model, with the dollars nobody explains.

What the ledger settled is what it expects on the bill. Tries of unknown cost, which
count at their worst case, explain anything between nothing and that worst case.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Context, Decimal, localcontext

from ask_expert.errors import LedgerError
from ask_expert.ledger.by_day import costs_by_day, day_of
from ask_expert.ledger.engine import reading, translated_errors
from ask_expert.ledger.reads import experts_asked
from ask_expert.ledger.store import Ledger
from ask_expert.money import nusd, show, usd
from ask_expert.redaction.plain import without_secrets
from ask_expert.report.drift import family
from ask_expert.report.invoice_file import Line

EVERY_MODEL = "every model"
"""Where the bill does not tell models apart, days are compared as a whole."""

_EXACT = Context(prec=80)
_ROUNDING_NUSD = 10
"""The ledger rounds each price of a try up to a nano-dollar, and a vendor rounds, too."""
_LONGEST_NAME = 80
_Key = tuple[date, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """
    What the ledger has of one model on one day.

    Attributes:
        day: The UTC day on which the tries were sent.
        model: The model that was served, else the one asked for.
        settled_nusd: What is known to have been charged.
        at_worst_nusd: What tries of unknown cost can have cost at most.
        tries: How many; released ones are not counted.
    """

    day: date
    model: str
    settled_nusd: int = 0
    at_worst_nusd: int = 0
    tries: int = 0


@dataclass(slots=True, kw_only=True)
class Row:
    """
    One day and model, on the bill and in the ledger; amounts in US dollars.

    Attributes:
        day: The UTC day.
        model: The shortest of its names.
        names: Every name that the two sides have for it.
        billed: What the bill charges, credits left out.
        credits: What the bill gives back; zero or below.
        settled: What the ledger settled.
        at_worst: What tries of unknown cost can have cost at most.
        tries: Tries in the ledger.
    """

    day: date
    names: set[str] = field(default_factory=set[str])
    billed: Decimal = Decimal(0)
    credits: Decimal = Decimal(0)
    settled: Decimal = Decimal(0)
    at_worst: Decimal = Decimal(0)
    tries: int = 0

    @property
    def model(self) -> str:
        """The shortest of its names."""
        return min(self.names, key=lambda name: (len(name), name))

    @property
    def difference(self) -> Decimal:
        """What is billed beyond what is settled; below zero the other way."""
        return _EXACT.subtract(self.billed, self.settled)

    @property
    def unexplained(self) -> Decimal:
        """
        What no try explains: above zero on the bill alone, below in the ledger alone.

        A difference of a few nano-dollars a try is rounding.
        """
        difference = self.difference
        if abs(difference) <= usd(_ROUNDING_NUSD * self.tries):
            return Decimal(0)
        if difference < 0:
            return difference
        return max(Decimal(0), _EXACT.subtract(difference, self.at_worst))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """
    The whole bill beside the ledger.

    Attributes:
        first: The first UTC day that the bill names; None where it names none.
        last: The last.
        experts: The experts that were compared; empty for all.
        rows: Every day and model that either side has a cost for, in order.
    """

    first: date | None = None
    last: date | None = None
    experts: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()

    @property
    def billed_only(self) -> Decimal:
        """Dollars on the bill that no try in the ledger explains."""
        return _sum(max(Decimal(0), each.unexplained) for each in self.rows)

    @property
    def ledger_only(self) -> Decimal:
        """Dollars that the ledger settled and that are on no line of the bill."""
        return _sum(max(Decimal(0), -each.unexplained) for each in self.rows)


def compare(
    bill: Iterable[Line], ledger: Ledger, experts: Collection[str] = ()
) -> Comparison:
    """
    Lay a bill beside the ledger; the ledger's days outside of the bill do not count.

    Args:
        bill: The lines of the bill; they are read once.
        ledger: The ledger.
        experts: Whom the bill is for; none is everybody the ledger knows.

    Raises:
        ConfigError: The bill cannot be read.
        LedgerError: The ledger cannot be read, or knows no such expert.
    """
    billed = _by_model(bill)
    days = {day for day, _ in billed}
    first, last = min(days, default=date.max), max(days, default=date.min)
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        _check(experts, experts_asked(connection))
        if not days:
            return Comparison(experts=tuple(experts))
        costs = [
            Cost(
                day=day_of(row.day),
                model=row.model,
                settled_nusd=int(row.settled_nusd),
                at_worst_nusd=int(row.at_worst_nusd),
                tries=int(row.tries),
            )
            for row in costs_by_day(connection, first, last, experts)
        ]
    return Comparison(
        first=first, last=last, experts=tuple(experts), rows=beside(billed, costs)
    )


def _check(experts: Collection[str], known: Collection[str]) -> None:
    for name in experts:
        if name not in known:
            asked = ", ".join(known) or "none"
            raise LedgerError(
                f"The ledger knows no expert {name[:_LONGEST_NAME]!r}; asked were: {asked}."
            )


def beside(
    billed: Mapping[tuple[date, str | None], tuple[Decimal, Decimal]],
    costs: Iterable[Cost],
) -> tuple[Row, ...]:
    """
    Return both sides in rows by day and model, those without any cost left out.

    Two names are one model when they are the same without path, date and revision,
    and with spaces and points written as hyphens: `Claude Haiku 4.5` is
    `claude-haiku-4-5-20251001`.

    Args:
        billed: What was billed and what was given back, by day and model.
        costs: What the ledger has.
    """
    tells_models = any(model is not None for _, model in billed)
    rows: dict[_Key, Row] = {}

    def row(day: date, model: str | None) -> Row:
        name = (model or "not named") if tells_models else EVERY_MODEL
        found = rows.setdefault((day, family(name)), Row(day=day))
        found.names.add(name)
        return found

    for (day, model), (amount, credit) in billed.items():
        mine = row(day, model)
        mine.billed = _EXACT.add(mine.billed, amount)
        mine.credits = _EXACT.add(mine.credits, credit)
    for cost in costs:
        mine = row(cost.day, cost.model)
        mine.settled += usd(cost.settled_nusd)
        mine.at_worst += usd(cost.at_worst_nusd)
        mine.tries += cost.tries
    found = (rows[key] for key in sorted(rows))
    return tuple(
        each
        for each in found
        if each.billed or each.credits or each.settled or each.at_worst
    )


def _by_model(
    bill: Iterable[Line],
) -> dict[tuple[date, str | None], tuple[Decimal, Decimal]]:
    """Add up what was billed, and what was given back, by day and model."""
    sums: dict[tuple[date, str | None], tuple[Decimal, Decimal]] = {}
    nothing = (Decimal(0), Decimal(0))
    with localcontext(_EXACT):
        for line in bill:
            billed, credit = sums.get((line.day, line.model), nothing)
            if line.usd < 0:
                credit += line.usd
            else:
                billed += line.usd
            sums[line.day, line.model] = billed, credit
    return sums


HEAD = (
    "day (UTC)",
    "model",
    "billed",
    "settled",
    "at worst",
    "difference",
    "unexplained",
    "tries",
)
"""Names of the cells of a row."""


def cells(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return every row as a table shows it, and the sum of each column."""
    rows = comparison.rows
    lines = [
        (
            each.day.isoformat(),
            neutral(each.model),
            _dollars(each.billed),
            _dollars(each.settled),
            _dollars(each.at_worst) if each.at_worst else "",
            _dollars(each.difference),
            _dollars(each.unexplained) if each.unexplained else "",
            str(each.tries),
        )
        for each in rows
    ]
    total = _total(rows)
    both = _EXACT.subtract(comparison.billed_only, comparison.ledger_only)
    return [
        *lines,
        (
            "total",
            "",
            _dollars(total.billed),
            _dollars(total.settled),
            _dollars(total.at_worst) if total.at_worst else "",
            _dollars(total.difference),
            _dollars(both) if both else "",
            str(total.tries),
        ),
    ]


def sentences(comparison: Comparison) -> list[str]:
    """Return what the comparison comes to."""
    if comparison.first is None or comparison.last is None:
        return ["The bill has no line."]
    whose = f" of {', '.join(comparison.experts)}" if comparison.experts else ""
    compared = (
        f"Compared are the days from {comparison.first} to {comparison.last}, in UTC, "
        f"and the tries{whose} that were sent in them. A vendor that counts days in "
        "another zone moves dollars between neighbouring days; the total stays."
    )
    found = [compared]
    given_back = _total(comparison.rows).credits
    if given_back:
        found.append(f"Credits of {_dollars(given_back)} are not compared.")
    if comparison.billed_only:
        found.append(
            f"On the bill, not in the ledger: {_dollars(comparison.billed_only)}. "
            "Something else uses the key, or a price is out of date."
        )
    if comparison.ledger_only:
        found.append(
            f"In the ledger, not on the bill: {_dollars(comparison.ledger_only)}. "
            "The bill is not complete yet, or it is not for all of these experts; "
            "choose them by --expert."
        )
    if not comparison.billed_only and not comparison.ledger_only:
        found.append("The ledger explains every dollar of the bill.")
    return found


def as_json(comparison: Comparison) -> dict[str, object]:
    """Return the comparison as JSON can carry it; dollars as decimal text."""
    first, last = comparison.first, comparison.last
    return {
        "first_day": None if first is None else first.isoformat(),
        "last_day": None if last is None else last.isoformat(),
        "time_zone": "UTC",
        "experts": [*comparison.experts],
        "rows": [
            {
                "day": each.day.isoformat(),
                "model": neutral(each.model),
                "names": [neutral(name) for name in sorted(each.names)],
                **_amounts(each),
            }
            for each in comparison.rows
        ],
        "total": _amounts(_total(comparison.rows), with_unexplained=False),
        "billed_only_usd": f"{comparison.billed_only:f}",
        "ledger_only_usd": f"{comparison.ledger_only:f}",
    }


def neutral(text: str) -> str:
    """Return a stranger's text cut short, in one line, with secrets masked."""
    plain = " ".join(without_secrets(text).split())
    return plain if len(plain) <= _LONGEST_NAME else f"{plain[:_LONGEST_NAME]}…"


def _amounts(row: Row, *, with_unexplained: bool = True) -> dict[str, object]:
    found: dict[str, object] = {
        "billed_usd": f"{row.billed:f}",
        "credits_usd": f"{row.credits:f}",
        "settled_usd": f"{row.settled:f}",
        "at_worst_usd": f"{row.at_worst:f}",
        "difference_usd": f"{row.difference:f}",
        "tries": row.tries,
    }
    if with_unexplained:
        found["unexplained_usd"] = f"{row.unexplained:f}"
    return found


def _total(rows: Sequence[Row]) -> Row:
    return Row(
        day=date.min,
        billed=_sum(each.billed for each in rows),
        credits=_sum(each.credits for each in rows),
        settled=_sum(each.settled for each in rows),
        at_worst=_sum(each.at_worst for each in rows),
        tries=sum(each.tries for each in rows),
    )


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    with localcontext(_EXACT):
        return sum(amounts, start=Decimal(0))


def _dollars(amount: Decimal) -> str:
    """Return dollars for people; what is less than the last digit shown is one."""
    text = show(nusd(abs(amount)))
    return f"-{text}" if amount < 0 else text
