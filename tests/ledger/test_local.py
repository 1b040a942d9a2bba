"""What the ledger keeps of the local system, in both databases."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Row, select

from ask_expert.evaluation.calibrating import Wanted, from_ledger
from ask_expert.ledger import export, local_reads, reads, search, threads
from ask_expert.ledger.check import check
from ask_expert.ledger.compact import Compacted, compact
from ask_expert.ledger.engine import reading
from ask_expert.ledger.records import (
    Joined,
    LocalRecord,
    Outcome,
    Past,
    QuestionRecord,
)
from ask_expert.ledger.store import Ledger
from ask_expert.ledger.tables import questions
from ask_expert.question import Turn
from tests.ledger.support import CALLER, NOW, question, request

GIVEN = LocalRecord(
    assess_tokens=10,
    assess_us=1_000_000,
    name="desk",
    model="tiny",
    kind="number",
    strategy="vote",
    passed=True,
    score=0.8,
    tokens=30,
    took_us=2_000_000,
    reason="vote: vote share 0.80",
    answer="Answer: 4",
)


def local_question(local: LocalRecord = GIVEN, **more: object) -> QuestionRecord:
    fields: dict[str, object] = {
        "status": "stay_local",
        "texts": {"question": "2 + 2?", "sent": "## Question\n2 + 2?"},
        "text_key": "t",
        "local": local,
        **more,
    }
    return question("k", **fields)


def past(ledger: Ledger, **more: str | None) -> Past:
    given: dict[str, str | None] = {"key": "k", "text_key": "t", **more}
    return ledger.past(
        CALLER,
        task="t_1",
        key=given["key"],
        text_key=given["text_key"],
        error_signature=given.get("error_signature"),
        thread=given.get("thread"),
        now_us=NOW + 1,
    )


def row(ledger: Ledger, question_id: str) -> Row[tuple[object, ...]]:
    with reading(ledger.engine) as connection:
        return connection.execute(
            select(questions).where(questions.c.id == question_id)
        ).one()


def unsolved(question_id: str) -> Outcome:
    return Outcome(
        question_id=question_id,
        verdict="no_difference",
        solved=False,
        source="agent",
        evidence=None,
        at_us=NOW + 5,
    )


def test_a_local_answer_is_on_its_row_and_known_by_its_key(ledger: Ledger) -> None:
    asked = local_question()

    ledger.record(asked)

    kept = row(ledger, asked.id)
    assert (kept.local_tokens, kept.local_us, kept.local_passed) == (
        *(30, 2_000_000),
        True,
    )
    same = past(ledger).same
    assert same is not None
    assert (same.question_id, same.status, same.answer) == (
        *(asked.id, "stay_local"),
        "Answer: 4",
    )
    assert (same.local_name, same.served, same.expert) == ("desk", "tiny", None)
    assert check(ledger) == []


def test_a_local_answer_never_stands_in_for_an_experts_reservation(
    ledger: Ledger,
) -> None:
    ledger.record(local_question())
    asked = question("k")

    granted = ledger.reserve(asked, request(5), ceiling=lambda nusd: 50)

    assert not isinstance(granted, Joined)


def test_an_answer_that_was_not_good_enough_is_never_given_again(
    ledger: Ledger,
) -> None:
    tried = replace(GIVEN, passed=False, answer=None)

    ledger.record(local_question(tried))

    found = past(ledger)
    assert found.same is None
    assert not found.local_in_vain


def test_the_same_text_with_other_evidence_says_that_it_did_not_end_it(
    ledger: Ledger,
) -> None:
    ledger.record(local_question())

    assert past(ledger, key="other").local_in_vain
    assert not past(ledger).local_in_vain
    assert not past(ledger, key="other", text_key="u").local_in_vain


def test_a_report_that_it_is_not_solved_says_so_of_the_very_question(
    ledger: Ledger,
) -> None:
    asked = local_question()
    ledger.record(asked)

    ledger.add_outcome(unsolved(asked.id))

    assert past(ledger).local_in_vain


def test_a_thread_of_the_local_system_can_be_continued_and_is_listed(
    ledger: Ledger,
) -> None:
    asked = local_question()
    ledger.record(asked, new_marks={("api_key", "d"): 1})
    thread = asked.thread or ""

    turns = ledger.thread_turns(thread, CALLER)

    assert turns == (
        Turn(role="user", text="## Question\n2 + 2?"),
        Turn(role="assistant", text="Answer: 4"),
    )
    assert past(ledger, thread=thread).local_name == "desk"
    assert ledger.thread_marks(thread) == {("api_key", "d"): 1}
    with reading(ledger.engine) as connection:
        (line,) = threads.latest(connection, 5)
        (said,) = threads.conversation(connection, thread)
    assert (line.expert, line.turns, line.cost_nusd) == ("local desk", 1, 0)
    assert (said.answer, said.local) == ("Answer: 4", "desk")


def test_what_the_local_model_did_is_summed_up(ledger: Ledger) -> None:
    asked = local_question()
    ledger.record(asked)
    ledger.record(local_question(replace(GIVEN, passed=False, answer=None)))
    ledger.record(question(local=LocalRecord(assess_tokens=7, assess_us=5)))
    ledger.record(question())
    ledger.add_outcome(unsolved(asked.id))

    with reading(ledger.engine) as connection:
        sums = local_reads.sums(connection, 0)

    assert (sums.tried, sums.answered, sums.told, sums.solved) == (2, 1, 1, 0)
    assert (int(sums.tokens), int(sums.took_us)) == (87, 6_000_005)


def test_its_texts_go_with_the_others_and_its_counts_stay(ledger: Ledger) -> None:
    asked = local_question(texts=None)
    ledger.record(asked)

    done = compact(ledger, before_us=NOW + 1)

    kept = row(ledger, asked.id)
    assert done == Compacted(questions=1)
    assert kept.local_answer is None
    assert (kept.local_tokens, kept.local_passed) == (30, True)


def test_it_is_found_and_exported(ledger: Ledger) -> None:
    asked = local_question()
    ledger.record(asked)
    file = io.StringIO()

    export.write(ledger, "jsonl", file)
    with reading(ledger.engine) as connection:
        found = list(search.search(connection, ["answer: 4"]))
        (line,) = connection.execute(reads.one_line_a_try()).all()

    assert [each.id for each in found] == [asked.id]
    assert json.loads(file.getvalue())["local_answer"] == "Answer: 4"
    assert line.local_score == 0.8


def test_outcomes_before_another_model_or_of_another_kind_do_not_calibrate(
    ledger: Ledger,
) -> None:
    for model, kind in (("tiny", "number"), ("tiny", "code"), ("big", "number")):
        facts = {"vote_share": 0.8}
        local = replace(GIVEN, model=model, kind=kind)
        asked = local_question(local, facts=facts)
        ledger.record(asked)
        ledger.add_outcome(unsolved(asked.id))
    now = datetime(2026, 11, 22, tzinfo=UTC)

    of_model, _ = from_ledger(ledger, Wanted(model="tiny", now=now))
    of_kind, _ = from_ledger(ledger, Wanted(model="tiny", kind="number", now=now))

    assert len(of_model.right) == 2
    assert len(of_kind.right) == 1
