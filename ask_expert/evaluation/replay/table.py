"""Read a table of outcomes: what two models made of the same items."""

import codecs
import csv
import gzip
import io
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ask_expert.confidence.calibration.metrics import Flags, Floats
from ask_expert.errors import ConfigError

_WORDS = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
_NOTHING = {"", "na", "n/a", "none", "null", "-"}
_MARKED = "contaminated"
_SEPARATORS = ",;\t|"
_MOST_BYTES = 2_000_000_000
_LEAST_ROWS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """
    The rows of a table that can be used, column by column.

    Attributes:
        ids: Name of each item.
        weak: How well the local model did, in [0, 1].
        strong: How well the expert did, in [0, 1].
        weak_cost_usd: What each local answer cost; None when the table does not say.
        strong_cost_usd: What each expert's answer cost.
        prompts: What was asked; None without a column.
        groups: Subject or kind of each item.
        signals: Measured numbers; higher means surer; missing ones are NaN.
        notes: What was left out or replaced, as sentences.
    """

    ids: tuple[str, ...]
    weak: Floats
    strong: Floats
    weak_cost_usd: Floats | None = None
    strong_cost_usd: Floats | None = None
    prompts: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    signals: Mapping[str, Floats]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """
    Which columns mean what.

    Attributes:
        weak: Of the local model's correctness.
        strong: Of the expert's.
        signals: Of the signals; a minus before a name says that less means surer.
        group: Of the groups.
        prompt: Of the prompts.
    """

    weak: str
    strong: str
    signals: tuple[str, ...] = ()
    group: str = "group"
    prompt: str = "prompt"


Table = tuple[list[str], list[list[str]], list[str]]
"""Header, rows and notes."""


def read(path: Path, columns: Columns) -> Outcomes:
    """
    Read a CSV file, gzipped or not.

    A row whose correctness is missing is left out, and so is one that a column
    `contaminated` marks as known to the models; what was left out is in the notes.

    Raises:
        ConfigError: It cannot be read, or lacks a column; the text says which.
    """
    header, rows, notes = parse(path)
    return outcomes_of(header, rows, columns, file=path, notes=notes)


def parse(path: Path) -> Table:
    """
    Return a CSV file's header, rows and what had to be said about them.

    Raises:
        ConfigError: It is no CSV file with a header.
    """
    text, notes = _text(path)
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    first = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        rows = [row for row in lines if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise ConfigError(f"is no CSV: {error}", file=path) from error
    if not rows:
        raise ConfigError("is empty: a header and rows are needed", file=path)
    header = [cell.strip() for cell in rows[0]]
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise ConfigError(f"has two columns called {twice[0]!r}", file=path)
    width = len(header)
    uneven = sum(1 for row in rows[1:] if len(row) != width)
    if uneven:
        notes.append(
            f"{uneven} rows have more or fewer cells than the header: missing cells"
            " count as empty, further ones are ignored."
        )
    return header, [(row + [""] * width)[:width] for row in rows[1:]], notes


def outcomes_of(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    columns: Columns,
    *,
    file: Path | None = None,
    notes: Sequence[str] = (),
) -> Outcomes:
    """
    Make outcomes of a header and rows.

    Raises:
        ConfigError: A column is missing, or holds what it cannot mean.
    """
    sheet = _Sheet(header, rows, file=file, notes=list(notes))
    weak, strong = sheet.shares(columns.weak), sheet.shares(columns.strong)
    usable = np.isfinite(weak) & np.isfinite(strong)
    sheet.say(int((~usable).sum()), "rows without an outcome are left out.")
    marked = sheet.flags(_MARKED) & usable
    sheet.say(int(marked.sum()), f"rows marked {_MARKED!r} are left out.")
    keep = usable & ~marked
    if int(keep.sum()) < _LEAST_ROWS:
        raise ConfigError(
            f"has {int(keep.sum())} rows with both outcomes; at least"
            f" {_LEAST_ROWS} are needed, and a few hundred to say anything",
            file=file,
        )
    found = {
        name.removeprefix("-"): sheet.signal(name)[keep] for name in columns.signals
    }
    return Outcomes(
        ids=sheet.ids(keep),
        weak=weak[keep],
        strong=strong[keep],
        weak_cost_usd=sheet.costs("weak_cost_usd", keep),
        strong_cost_usd=sheet.costs("strong_cost_usd", keep),
        prompts=sheet.texts(columns.prompt, keep),
        groups=sheet.texts(columns.group, keep),
        signals=found,
        notes=tuple(sheet.notes),
    )


class _Sheet:
    """A table by columns, and what had to be said about them."""

    def __init__(
        self,
        header: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        file: Path | None,
        notes: list[str],
    ) -> None:
        self._place = {name: number for number, name in enumerate(header)}
        self._rows = rows
        self._file = file
        self.notes = notes

    def say(self, count: int, text: str) -> None:
        if count:
            self.notes.append(f"{count} {text}")

    def column(self, name: str) -> list[str]:
        if name not in self._place:
            known = ", ".join(repr(each) for each in list(self._place)[:30])
            raise ConfigError(
                f"has no column {name!r}; it has {known}", file=self._file
            )
        place = self._place[name]
        return [row[place].strip() for row in self._rows]

    def shares(self, name: str) -> Floats:
        values = np.array([number(cell) for cell in self.column(name)], dtype=float)
        wrong = np.flatnonzero((values < 0) | (values > 1))
        if len(wrong):
            raise ConfigError(
                f"column {name!r} holds {values[wrong[0]]:g} in row {wrong[0] + 1};"
                " correctness lies between 0 and 1",
                file=self._file,
            )
        return values

    def flags(self, name: str) -> Flags:
        if name not in self._place:
            return np.zeros(len(self._rows), dtype=bool)
        cells = np.array([number(cell) for cell in self.column(name)], dtype=float)
        return np.nan_to_num(cells) > 0

    def signal(self, named: str) -> Floats:
        name = named.removeprefix("-")
        cells = self.column(name)
        values = np.array([number(cell) for cell in cells], dtype=float)
        missing = int(np.isnan(values).sum())
        if missing == len(values) and any(map(_says_something, cells)):
            raise ConfigError(f"column {name!r} holds no numbers", file=self._file)
        self.say(missing, f"rows lack the signal {name!r}: its median stands in.")
        return -values if named.startswith("-") else values

    def costs(self, name: str, keep: Flags) -> Floats | None:
        if name not in self._place:
            return None
        values = np.array([number(cell) for cell in self.column(name)])[keep]
        if (values < 0).any():
            raise ConfigError(f"column {name!r} holds a negative cost", file=self._file)
        missing = np.isnan(values)
        if missing.all():
            self.notes.append(f"The column {name!r} is empty and is ignored.")
            return None
        self.say(int(missing.sum()), f"rows lack {name!r}: the mean stands in.")
        values[missing] = values[~missing].mean()
        return values

    def texts(self, name: str, keep: Flags) -> tuple[str, ...] | None:
        if name not in self._place:
            return None
        cells = self.column(name)
        kept = tuple(cell for cell, good in zip(cells, keep, strict=True) if good)
        if len(set(kept)) <= 1:
            self.notes.append(f"The column {name!r} is the same in all rows: ignored.")
            return None
        return kept

    def ids(self, keep: Flags) -> tuple[str, ...]:
        if "item_id" not in self._place:
            self.notes.append("There is no column 'item_id': each row is an item.")
            return tuple(str(place) for place in np.flatnonzero(keep))
        cells = self.column("item_id")
        named = [
            cell or f"row {place}"
            for place, (cell, good) in enumerate(zip(cells, keep, strict=True))
            if good
        ]
        self.say(
            len(named) - len(set(named)),
            "rows repeat an item_id: they stay in one fold and are drawn together.",
        )
        return tuple(named)


def number(cell: str) -> float:
    """Return what a cell says as a number; NaN for none, also for an infinite one."""
    text = cell.strip().lower()
    if text in _WORDS:
        return _WORDS[text]
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _says_something(cell: str) -> bool:
    return cell.lower() not in _NOTHING and not _is_number(cell)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _text(path: Path) -> tuple[str, list[str]]:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if data[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
                data = packed.read(_MOST_BYTES + 1)
    except (OSError, EOFError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot be read: {why}", file=path) from error
    if len(data) > _MOST_BYTES:
        raise ConfigError("is larger than 2 GB", file=path)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace").replace("\0", ""), []
    try:
        return data.decode("utf-8-sig").replace("\0", ""), []
    except UnicodeDecodeError:
        note = "The file is not UTF-8; it is read as Latin-1."
        return data.decode("latin-1").replace("\0", ""), [note]
