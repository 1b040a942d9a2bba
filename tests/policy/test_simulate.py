from pathlib import Path

import pytest
from inline_snapshot import snapshot

from ask_expert.errors import ConfigError
from ask_expert.policy.decide import decide
from ask_expert.policy.document import Policy
from ask_expert.policy.facts import KNOWN_FACTS
from ask_expert.policy.simulate import (
    ReplayRow,
    compare,
    parse_rows,
    replay,
    shipped_rows,
)

CAREFUL = Policy.model_validate(
    {"name": "careful", "rules": [{"when": {"failed_attempts": {"at_least": 2}}}]}
)
EAGER = Policy.model_validate(
    {"name": "eager", "rules": [{"when": {"failed_attempts": {"at_least": 1}}}]}
)
ROWS = (
    ReplayRow(id="first", text="Why?", facts={"failed_attempts": 1}),
    ReplayRow(id="second", text="How?", facts={"failed_attempts": 2}),
    ReplayRow(id="third", text="When?", facts={}),
)


def test_a_replay_decides_each_row_as_the_policy_would() -> None:
    decisions = replay(CAREFUL, ROWS)

    assert decisions == [decide(CAREFUL, row.facts) for row in ROWS]


def test_the_table_names_both_deciding_rules_where_policies_part() -> None:
    table = compare([CAREFUL, EAGER], ROWS)

    assert table.policies == ("careful", "eager")
    assert [line.differs for line in table.lines] == [True, False, False]
    assert [str(each) for each in table.differences()] == snapshot(
        [
            "first: careful stay_local (otherwise), eager escalate (failed_attempts at_least 1)"
        ]
    )


def test_a_policy_never_parts_from_itself() -> None:
    table = compare([EAGER, EAGER], shipped_rows())

    assert list(table.differences()) == []


def test_shipped_questions_are_of_a_realistic_variety() -> None:
    rows = shipped_rows()

    assert 20 <= len(rows) <= 40
    told = {name for name, kind in KNOWN_FACTS.items() if not kind.measured}
    assert {fact for row in rows for fact in row.facts} == told


def test_shipped_facts_fit_their_question_and_each_other() -> None:
    for row in shipped_rows():
        assert row.facts["question_chars"] == len(row.text), row.id
        assert ("repeated_error" in row.facts) == row.facts["has_error"], row.id
        assert {name for name, kind in KNOWN_FACTS.items() if kind.always} <= set(
            row.facts
        ), row.id


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "rows.jsonl:2: is not JSON: "),
        ("[" * 100_000, "rows.jsonl:2: is not JSON: "),
        ("[]", "rows.jsonl:2: must be a JSON object"),
        ('{"id": "a", "facts": {}}', "rows.jsonl:2: 'text': is missing"),
        ('{"id": "a", "text": "", "facts": {}}', "rows.jsonl:2: 'text': "),
        (
            '{"id": "a", "text": "b", "facts": {"confidance": 1}}',
            "rows.jsonl:2: unknown fact 'confidance'; did you mean 'confidence'?",
        ),
        (
            '{"id": "a", "text": "b", "facts": {"confidence": 7}}',
            "rows.jsonl:2: confidence cannot be 7",
        ),
        (
            '{"id": "a", "text": "b", "facts": {"confidence": NaN}}',
            "rows.jsonl:2: confidence cannot be nan",
        ),
        (
            '{"id": "a", "text": "b", "facts": {"check_failed": "yes"}}',
            "rows.jsonl:2: 'facts.check_failed",
        ),
    ],
)
def test_a_wrong_row_is_named_with_its_line(line: str, message: str) -> None:
    text = f'{{"id": "ok", "text": "ok", "facts": {{}}}}\n{line}\n'

    with pytest.raises(ConfigError) as caught:
        parse_rows(text, file=Path("rows.jsonl"))

    assert str(caught.value).startswith(message)


def test_two_rows_of_one_id_are_refused() -> None:
    row = '{"id": "a", "text": "b", "facts": {}}'

    with pytest.raises(ConfigError, match="two questions are called 'a'"):
        parse_rows(f"{row}\n\n{row}\n")
