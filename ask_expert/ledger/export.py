"""
Write the ledger out, a line a try, for tables and for programs.

Both forms hold the same columns with the same types, whatever the ledger holds. A
document inside a line, such as a question's facts, is a text of JSON in both: as an
object it would get another type in each file, after the keys that happen to be in it.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TextIO, cast

from sqlalchemy import Boolean, Float, Integer
from sqlalchemy.types import TypeEngine

from ask_expert.budget import FOREVER_US, from_us
from ask_expert.ledger import reads
from ask_expert.ledger.engine import reading, translated_errors
from ask_expert.ledger.store import Ledger
from ask_expert.money import usd

Format = Literal["jsonl", "csv"]
Reader = Literal["duckdb", "spark"]

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
_LINE_ENDS = {ord(char): f"\\u{ord(char):04x}" for char in "\u0085\u2028\u2029"}
"""What JSON allows inside a text, and some readers take for the end of the line."""
_READ_BY: Mapping[Reader, Mapping[str, str]] = {
    "duckdb": {
        "text": "VARCHAR",
        "whole": "BIGINT",
        "real": "DOUBLE",
        "truth": "BOOLEAN",
        "moment": "TIMESTAMPTZ",
        "dollars": "DECIMAL(38,9)",
    },
    "spark": {
        "text": "STRING",
        "whole": "BIGINT",
        "real": "DOUBLE",
        "truth": "BOOLEAN",
        "moment": "TIMESTAMP",
        "dollars": "DECIMAL(38,9)",
    },
}


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


def schema(reader: Reader) -> str:
    """
    Return the types of all columns as a program that reads both forms takes them.

    Without them a reader guesses from what it sees: a column that is empty in every
    line gets no type, and a text that looks like a date becomes one.

    Returns:
        For DuckDB two macros in SQL, `tries_jsonl(file)` and `tries_csv(file)`; for
        Spark the columns of a schema in DDL.
    """
    names = _READ_BY[reader]
    types = {name: names[kind] for name, kind in _kinds().items()}
    if reader == "spark":
        return ",\n".join(f"`{name}` {each}" for name, each in types.items()) + "\n"
    columns = ",\n".join(f"    '{name}': '{each}'" for name, each in types.items())
    return (
        "CREATE OR REPLACE MACRO tries_jsonl(file) AS TABLE\n"
        "SELECT * FROM read_json(file, format = 'newline_delimited', columns = {\n"
        f"{columns}\n}});\n"
        "CREATE OR REPLACE MACRO tries_csv(file) AS TABLE\n"
        "SELECT * FROM read_csv(file, header = true, delim = ',', quote = '\"',\n"
        "escape = '\"', columns = {\n"
        f"{columns}\n}});\n"
    )


def plain(row: Mapping[Any, Any]) -> dict[str, object]:
    """Return a row in words: instants as ISO 8601, money also as decimal dollars."""
    found: dict[str, object] = {}
    for name, value in row.items():
        found.update(_words(str(name), value))
    return found


def moment(us: int) -> str:
    """Return an instant as ISO 8601 in UTC."""
    return f"{from_us(us):%Y-%m-%dT%H:%M:%S.%fZ}"


def _kinds() -> dict[str, str]:
    """Return what each column holds, in the order of a line."""
    kinds: dict[str, str] = {"question_id": "text"}
    for column in reads.one_line_a_try().selected_columns:
        name = column.name
        if name in {"id", "texts"}:
            continue
        if name in _MOMENTS:
            kinds[_MOMENTS[name]] = "moment"
            continue
        kinds[name] = _kind(column.type)
        if name.endswith("_nusd"):
            kinds[f"{name.removesuffix('_nusd')}_usd"] = "dollars"
    return {**kinds, "question": "text", "sent": "text"}


def _kind(column: TypeEngine[Any]) -> str:
    if isinstance(column, Boolean):
        return "truth"
    if isinstance(column, Float):
        return "real"
    return "whole" if isinstance(column, Integer) else "text"


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
        **{name: _flat(value) for name, value in line.items()},
        "question": texts.get("question"),
        "sent": texts.get("sent"),
    }


def _flat(value: object) -> object:
    if isinstance(value, Mapping | list):
        return json.dumps(value, ensure_ascii=False)
    return value


def _jsonl(lines: Iterator[dict[str, object]], file: TextIO) -> int:
    count = 0
    for line in lines:
        count += 1
        text = json.dumps(line, ensure_ascii=False).translate(_LINE_ENDS)
        file.write(f"{text}\n")
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
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
