"""
Read a vendor's bill from its CSV export: a day, a model and US dollars in each line.

The cells are a stranger's text: they are compared and shown, and never obeyed.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import TextIO

from ask_expert.errors import ConfigError

_ENOUGH = 60
"""Characters of a cell that an error message shows."""
_MOST_USD = Decimal(10) ** 12
_AMOUNT = re.compile(
    r"(?P<sign>-?)\$?"
    r"(?P<number>(?:\d+|\d{1,3}(?:,\d{3})+(?=\.)|\d{1,3}(?:,\d{3}){2,})?(?:\.\d{0,40})?"
    r"(?:e[-+]?\d{1,2})?)",
    re.ASCII | re.IGNORECASE,
)
_EPOCH = re.compile(r"\d{9,11}", re.ASCII)
_PART = re.compile(r"\s*(\w+)\s*=\s*(.*?)\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """
    Where a bill says what; names of columns in lower case.

    Attributes:
        name: Whose export it is.
        day: A date, an ISO 8601 instant or seconds since 1970; UTC where no zone is told.
        model: The model; None where the bill does not tell models apart.
        usd: The amount in US dollars.
        is_line_item: The model stands before the last comma, as in `gpt-5, input`.
        has_empty_days: A line without an amount is a day without costs.
    """

    name: str
    day: str
    model: str | None
    usd: str
    is_line_item: bool = False
    has_empty_days: bool = False


FORMS = (
    Form(
        name="OpenAI costs",
        day="start_time_iso",
        model="line_item",
        usd="amount_value",
        is_line_item=True,
        has_empty_days=True,
    ),
    Form(name="Anthropic cost", day="usage_date_utc", model="model", usd="cost_usd"),
    Form(
        name="OpenRouter activity",
        day="created_at",
        model="model_permaslug",
        usd="cost_total",
    ),
    Form(name="plain", day="day", model="model", usd="usd"),
)
"""The exports that are known by their header."""

_TOKENS_ONLY = ("usage_input_tokens_no_cache", "num_model_requests")
"""Columns of exports that count tokens and name no dollars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """
    One line of a bill.

    Attributes:
        day: The UTC day.
        model: The model as the vendor writes it; None where it is not told.
        usd: What was billed; below zero for a credit.
    """

    day: date
    model: str | None
    usd: Decimal


def columns(text: str) -> Form:
    """
    Return the form that `day=Date,model=Model,usd=Amount` describes.

    Raises:
        ValueError: It describes none; the text says what would.
    """
    named: dict[str, str] = {}
    for part in text.split(","):
        found = _PART.fullmatch(part)
        if found is None or not found[2] or found[1] in named:
            raise ValueError(_HOW)
        named[found[1]] = found[2].lower()
    if not {"day", "usd"} <= named.keys() <= {"day", "model", "usd"}:
        raise ValueError(_HOW)
    return Form(
        name="columns as told",
        day=named["day"],
        model=named.get("model"),
        usd=named["usd"],
    )


_HOW = "write it as day=COLUMN,model=COLUMN,usd=COLUMN; model may be left out"


def lines(path: Path, form: Form | None = None) -> Iterator[Line]:
    """
    Yield the lines of a bill as they are read: a file of any size fits into memory.

    Args:
        path: The CSV file, in UTF-8, with a header.
        form: Where it says what; None finds out by the header.

    Raises:
        ConfigError: It cannot be read, or a line makes no sense; the text says which.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _lines(file, path, form)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=path) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            "is not UTF-8 text; export it as a CSV file in UTF-8", file=path
        ) from error


def _lines(file: TextIO, path: Path, form: Form | None) -> Iterator[Line]:
    first = file.readline()
    if not first.strip():
        raise ConfigError("is empty; it needs a header and a line a charge", file=path)
    rows = csv.reader(chain([first], file), delimiter=max(",;\t", key=first.count))
    try:
        header = [name.strip().lower() for name in next(rows)]
        places = _places(header, form or _detected(header, path), path)
        for row in rows:
            if any(cell.strip() for cell in row):
                yield places.line(row)
    except csv.Error as error:
        raise ConfigError(f"{error}", file=path, line=rows.line_num) from error
    except ValueError as error:
        raise ConfigError(f"{error}", file=path, line=rows.line_num) from error


def _detected(header: Sequence[str], path: Path) -> Form:
    for form in FORMS:
        if {form.day, form.usd} <= {*header}:
            return form if form.model in header else replace(form, model=None)
    if any(name in header for name in _TOKENS_ONLY):
        raise ConfigError(
            "counts tokens and names no dollars; export the costs instead", file=path
        )
    names = ", ".join(repr(name[:_ENOUGH]) for name in header[:20])
    raise ConfigError(
        f"is no bill that is known by its header, which names {names}; it needs "
        "day,model,usd, or say which columns they are by --columns",
        file=path,
        line=1,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Where in a row what stands."""

    form: Form
    day: int
    model: int | None
    usd: int
    currencies: tuple[int, ...]

    def line(self, row: Sequence[str]) -> Line:
        last = max(self.day, self.usd, self.model or 0)
        if len(row) <= last:
            raise ValueError(f"has {len(row)} cells where the header has more")
        for place in self.currencies:
            currency = _cell(row, place)
            if currency and currency.lower() != "usd":
                raise ValueError(
                    f"is in {currency[:_ENOUGH]!r}; only US dollars can be compared"
                )
        model = _cell(row, self.model)
        if self.form.is_line_item:
            name, _, kind = model.rpartition(", ")
            model = name or kind
        amount = row[self.usd].strip()
        is_empty = self.form.has_empty_days and not amount
        return Line(
            day=_day(row[self.day].strip()),
            model=model or None,
            usd=Decimal(0) if is_empty else _usd(amount),
        )


def _places(header: Sequence[str], form: Form, path: Path) -> _Places:
    at: Mapping[str, int] = {name: place for place, name in enumerate(header)}
    for name in (form.day, form.model, form.usd):
        if name is not None and header.count(name) != 1:
            how = "more than one column" if name in at else "no column"
            names = ", ".join(repr(each[:_ENOUGH]) for each in header[:20])
            raise ConfigError(
                f"has {how} {name[:_ENOUGH]!r}; there are {names}", file=path, line=1
            )
    return _Places(
        form=form,
        day=at[form.day],
        model=None if form.model is None else at[form.model],
        usd=at[form.usd],
        currencies=tuple(
            place for place, name in enumerate(header) if "currency" in name
        ),
    )


def _cell(row: Sequence[str], place: int | None) -> str:
    return row[place].strip() if place is not None and place < len(row) else ""


def _day(text: str) -> date:
    """Return the UTC day of a date, an instant, or seconds since 1970."""
    try:
        if _EPOCH.fullmatch(text):
            return datetime.fromtimestamp(int(text), UTC).date()
        moment = datetime.fromisoformat(text)
        return (moment.astimezone(UTC) if moment.tzinfo else moment).date()
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text[:_ENOUGH]!r} is no day; write it as 2026-11-22"
        ) from error


def _usd(text: str) -> Decimal:
    found = _AMOUNT.fullmatch(text)
    number = found["number"].lower() if found else ""
    if found is None or not any(char.isdigit() for char in number.split("e")[0]):
        raise ValueError(
            f"{text[:_ENOUGH]!r} is no amount of US dollars; write it with a point and "
            "without other marks, such as 1234.56"
        )
    usd = Decimal(number.replace(",", ""))
    if usd >= _MOST_USD:
        raise ValueError(f"{text[:_ENOUGH]!r} is more than any bill")
    return -usd if found["sign"] else usd
