import io
import json
from pathlib import Path

from ask_expert.ledger import export
from ask_expert.ledger.check import check
from ask_expert.ledger.compact import Compacted, compact, give_back
from ask_expert.ledger.store import Ledger
from ask_expert.report.summary import summarize
from tests.ledger.support import cap
from tests.report.ledgers import HOUR_US, NOON_US, Paid, answered, decided, sent, told

TOTAL = cap(10**12)
TEXTS = {"texts": {"question": "Why does it hang?", "sent": "## Question"}}
LATER_US = NOON_US + 1000 * HOUR_US


def fill(ledger: Ledger) -> None:
    answered(ledger, "q_old", Paid(text="Hold it."), caps=(TOTAL,), fields=TEXTS)
    told(ledger, "q_old", "helped", solved=True)
    decided(ledger, "q_local", "stay_local")
    open_ = sent(ledger, "q_open", caps=(TOTAL,), fields=TEXTS)
    assert open_
    answered(ledger, "q_new", caps=(TOTAL,), fields=TEXTS, at_us=LATER_US)


def lines(ledger: Ledger) -> dict[str, dict[str, object]]:
    file = io.StringIO()
    export.write(ledger, "jsonl", file)
    rows = [json.loads(line) for line in file.getvalue().splitlines()]
    return {row["question_id"]: row for row in rows}


GONE = {"question", "sent", "answer", "price_detail", "rate_limits", "error"}


def test_texts_of_old_questions_go_and_every_amount_stays(ledger: Ledger) -> None:
    fill(ledger)
    before, room = lines(ledger), ledger.rooms([TOTAL])

    done = compact(ledger, before_us=LATER_US)
    give_back(ledger)

    after = lines(ledger)
    assert done == Compacted(questions=1, answers=1, prices=1)
    assert after["q_old"] == {
        name: None if name in GONE else value for name, value in before["q_old"].items()
    }
    assert before["q_old"]["answer"] == "Hold it."
    assert ledger.rooms([TOTAL]) == room
    assert check(ledger) == []


def test_what_is_young_or_still_open_keeps_its_texts(ledger: Ledger) -> None:
    fill(ledger)
    before = lines(ledger)

    compact(ledger, before_us=LATER_US)

    after = lines(ledger)
    for name in ("q_new", "q_open", "q_local"):
        assert after[name] == before[name]


def test_a_dry_run_says_the_same_and_does_nothing(ledger: Ledger) -> None:
    fill(ledger)
    before = lines(ledger)

    would = compact(ledger, before_us=LATER_US, dry_run=True)
    untouched = lines(ledger)
    did = compact(ledger, before_us=LATER_US)
    again = compact(ledger, before_us=LATER_US)

    assert untouched == before
    assert would == did
    assert again == Compacted()


def test_more_questions_than_one_transaction_takes_are_all_compacted(
    ledger: Ledger,
) -> None:
    for number in range(520):
        decided(ledger, f"q_{number:04}", "stay_local")
    answered(ledger, "q_last", at_us=NOON_US + 1)

    done = compact(ledger, before_us=LATER_US)

    assert done.answers == 1


def test_a_file_shrinks_and_forgets_what_was_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger.open(path)
    for number in range(40):
        answered(ledger, f"q_{number}", Paid(text="unforgettable " * 2000))
    ledger.close()
    before = path.read_bytes()

    ledger = Ledger.open(path)
    compact(ledger, before_us=LATER_US)
    give_back(ledger)
    ledger.close()

    after = path.read_bytes()
    assert b"unforgettable" in before
    assert b"unforgettable" not in after
    assert len(after) < len(before) / 2


def test_a_report_is_the_same_after_compacting(ledger: Ledger) -> None:
    fill(ledger)
    before = summarize(ledger, until_us=LATER_US, since_us=0)

    compact(ledger, before_us=LATER_US)

    assert summarize(ledger, until_us=LATER_US, since_us=0) == before
