"""Write the ledger out, a line a try, for tables and for programs."""

import csv
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TextIO, cast

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
    "closed_us": "closed_at",
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
    with (
        translated_errors(ledger.path),
        reading(ledger.engine) as connection,
        connection.execute(
            reads.one_line_a_try(), execution_options={"yield_per": _ROWS_AT_ONCE}
        ) as found,
    ):
        header = [*_line(dict.fromkeys(found.keys()))]
        lines = (_line(row) for row in found.mappings())
        return _jsonl(lines, file) if form == "jsonl" else _csv(header, lines, file)


def plain(row: Mapping[Any, Any]) -> dict[str, object]:
    """Return a row in words: instants as ISO 8601, money also as decimal dollars."""
    found: dict[str, object] = {}
    for name, value in row.items():
        found.update(_words(str(name), value))
    return found


def moment(us: int) -> str:
    """Return an instant as ISO 8601 in UTC."""
    return f"{from_us(us):%Y-%m-%dT%H:%M:%S.%fZ}"


def _words(name: str, value: Any) -> dict[str, object]:
    if name in _MOMENTS:
        if value is None or value >= FOREVER_US:
            return {_MOMENTS[name]: None}
        return {_MOMENTS[name]: moment(value)}
    if name.endswith("_nusd"):
        dollars = None if value is None else f"{usd(value):f}"
        return {name: value, f"{name.removesuffix('_nusd')}_usd": dollars}
    return {name: value}


def _line(row: Mapping[Any, Any]) -> dict[str, object]:
    line = plain(row)
    texts = cast("Mapping[str, object]", line.pop("texts") or {})
    return {
        "question_id": line.pop("id"),
        **line,
        "question": texts.get("question"),
        "sent": texts.get("sent"),
    }


def _jsonl(lines: Iterator[dict[str, object]], file: TextIO) -> int:
    count = 0
    for line in lines:
        count += 1
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return count


def _csv(header: list[str], lines: Iterator[dict[str, object]], file: TextIO) -> int:
    writer = csv.DictWriter(file, header, lineterminator="\r\n")
    writer.writeheader()
    count = 0
    for line in lines:
        count += 1
        writer.writerow({name: _cell(value) for name, value in line.items()})
    return count


def _cell(value: object) -> object:
    """Return what a spreadsheet shows and never runs."""
    if isinstance(value, Mapping | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
