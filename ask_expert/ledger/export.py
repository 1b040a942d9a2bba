"""Write the ledger out, a line a try, for tables and for programs."""

import csv
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TextIO, cast

from sqlalchemy import Row

from ask_expert.budget import FOREVER_US, from_us
from ask_expert.ledger import reads
from ask_expert.ledger.engine import reading, translated_errors
from ask_expert.ledger.store import Ledger
from ask_expert.money import usd

Format = Literal["jsonl", "csv"]

_ROWS_AT_ONCE = 500
_MOMENTS = {
    "created_us": "asked_at",
    "sent_us": "sent_at",
    "ended_us": "ended_at",
    "lease_us": "leased_until",
    "start_us": "starts_at",
    "end_us": "ends_at",
    "at_us": "at",
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What makes a spreadsheet take a cell for a formula."""


def write(ledger: Ledger, form: Format, file: TextIO) -> int:
    """
    Write every try with its question and escalation, oldest question first.

    Questions that nothing was sent for get a line too. Rows are read as they are
    written: a ledger of any size fits into memory.

    Returns:
        The number of lines, a CSV's header not counted.

    Raises:
        LedgerError: The ledger cannot be read.
        OSError: The file cannot be written.
    """
    lines = 0
    writer: csv.DictWriter[str] | None = None
    for line in _lines(ledger):
        lines += 1
        if form == "jsonl":
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            continue
        if writer is None:
            writer = csv.DictWriter(file, list(line), lineterminator="\r\n")
            writer.writeheader()
        writer.writerow({name: _cell(value) for name, value in line.items()})
    return lines


def plain(row: Row[*tuple[Any, ...]]) -> dict[str, object]:
    """Return a row in words: instants as ISO 8601, money also as decimal dollars."""
    found: dict[str, object] = {}
    for name, value in row._mapping.items():  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # SQLAlchemy's public name
        found.update(_words(str(name), value))
    return found


def moment(us: int) -> str:
    """Return an instant as ISO 8601 in UTC."""
    return f"{from_us(us):%Y-%m-%dT%H:%M:%S.%fZ}"


def _words(name: str, value: Any) -> dict[str, object]:
    if name in _MOMENTS:
        known = value is not None and value < FOREVER_US
        return {_MOMENTS[name]: moment(value) if known else None}
    if name.endswith("_nusd"):
        dollars = None if value is None else f"{usd(value):f}"
        return {name: value, f"{name.removesuffix('_nusd')}_usd": dollars}
    return {name: value}


def _lines(ledger: Ledger) -> Iterator[dict[str, object]]:
    with translated_errors(ledger.path), reading(ledger.engine) as connection:
        rows = connection.execute(
            reads.one_line_a_try(), execution_options={"yield_per": _ROWS_AT_ONCE}
        )
        for row in rows:
            yield _line(row)


def _line(row: Row[*tuple[Any, ...]]) -> dict[str, object]:
    line = plain(row)
    texts = cast("Mapping[str, object]", line.pop("texts") or {})
    identity = {"question_id": line.pop("id")}
    return {
        **identity,
        **line,
        "question": texts.get("question"),
        "sent": texts.get("sent"),
    }


def _cell(value: object) -> object:
    """Return what a spreadsheet shows and never runs."""
    if isinstance(value, Mapping | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
