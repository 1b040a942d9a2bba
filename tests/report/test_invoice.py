import tracemalloc
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from ask_expert.budget import from_us
from ask_expert.errors import ConfigError, LedgerError
from ask_expert.ledger.records import End
from ask_expert.ledger.store import Ledger
from ask_expert.reply import Usage
from ask_expert.report.invoice import (
    EVERY_MODEL,
    Cost,
    as_json,
    beside,
    cells,
    compare,
    neutral,
    sentences,
)
from ask_expert.report.invoice_file import Form, Line, columns, lines
from tests.report.ledgers import HOUR_US, NOON_US, Paid, answered, sent

TODAY = date(2026, 11, 22)
DAY_US = 24 * HOUR_US


def line(usd: str, model: str | None = "model-1", day: date = TODAY) -> Line:
    return Line(day=day, model=model, usd=Decimal(usd))


def read(tmp_path: Path, text: str, form: Form | None = None) -> list[Line]:
    file = tmp_path / "bill.csv"
    file.write_bytes(text.encode())
    return [*lines(file, form)]


def test_the_fixture_s_day_is_the_bill_s_day() -> None:
    assert from_us(NOON_US).date() == TODAY


def test_a_bill_that_the_ledger_explains_has_no_unexplained_dollar(
    ledger: Ledger,
) -> None:
    answered(ledger, "q_1", Paid(cost_nusd=4_000_000))
    answered(ledger, "q_2", Paid(cost_nusd=1_500_000))

    found = compare([line("0.004"), line("0.0015")], ledger)

    assert (found.billed_only, found.ledger_only) == (0, 0)
    assert cells(found) == [
        ("2026-11-22", "model-1", "$0.0055", "$0.0055", "", "$0.00", "", "2"),
        ("total", "", "$0.0055", "$0.0055", "", "$0.00", "", "2"),
    ]
    assert sentences(found)[-1] == "The ledger explains every dollar of the bill."


def test_both_ways_of_unexplained_dollars_stand_side_by_side(ledger: Ledger) -> None:
    answered(ledger, "q_1", Paid(cost_nusd=4_000_000))
    answered(ledger, "q_2", Paid(asked="model-2", served=None, cost_nusd=7_000_000))

    found = compare([line("0.01"), line("3", "stranger")], ledger)

    assert cells(found) == snapshot(
        [
            ("2026-11-22", "model-1", "$0.01", "$0.004", "", "$0.006", "$0.006", "1"),
            ("2026-11-22", "model-2", "$0.00", "$0.007", "", "-$0.007", "-$0.007", "1"),
            ("2026-11-22", "stranger", "$3.00", "$0.00", "", "$3.00", "$3.00", "0"),
            ("total", "", "$3.01", "$0.011", "", "$2.999", "$2.999", "2"),
        ]
    )
    assert sentences(found)[1:] == snapshot(
        [
            "On the bill, not in the ledger: $3.006. Something else uses the key, or a price is out of date.",
            "In the ledger, not on the bill: $0.007. The bill is not complete yet, or it is not for all of these experts; choose them by --expert.",
        ]
    )


@pytest.mark.parametrize(
    ("billed", "unexplained"),
    [("0", "0"), ("0.004", "0"), ("0.010", "0"), ("0.011", "0.001")],
)
def test_a_try_of_unknown_cost_explains_up_to_its_worst_case(
    ledger: Ledger, billed: str, unexplained: str
) -> None:
    sent(ledger, "q_1", reserved_nusd=10_000_000, lease_us=NOON_US + 1)
    ledger.sweep(now_us=NOON_US + HOUR_US)

    (row,) = compare([line(billed)], ledger).rows

    assert (row.settled, row.at_worst) == (0, Decimal("0.01"))
    assert row.unexplained == Decimal(unexplained)


def test_a_cost_that_nobody_told_counts_as_a_worst_case(ledger: Ledger) -> None:
    unpriced = Paid(cost_nusd=5_000_000, source="worst case")
    guessed = Paid(
        cost_nusd=3_000_000, usage=Usage(output_tokens=9, source="estimated")
    )
    told = Paid(
        cost_nusd=1_000_000,
        source="provider",
        usage=Usage(output_tokens=9, source="partial"),
    )
    for number, paid in enumerate((unpriced, guessed, told)):
        answered(ledger, f"q_{number}", paid)

    (row,) = compare([line("0.009")], ledger).rows

    assert (row.settled, row.at_worst) == (Decimal("0.001"), Decimal("0.008"))
    assert row.unexplained == 0


def test_what_was_released_or_a_subscription_pays_for_is_on_no_bill(
    ledger: Ledger,
) -> None:
    ledger.release(sent(ledger, "q_1"), None, end=End(now_us=NOON_US))
    answered(ledger, "q_2", Paid(cost_nusd=0, source="subscription"))

    found = compare([line("0")], ledger)

    assert found.rows == ()


def test_a_day_is_one_of_utc_and_the_ledger_s_other_days_do_not_count(
    ledger: Ledger,
) -> None:
    midnight_us = NOON_US + 12 * HOUR_US
    for number, at_us in enumerate(
        (midnight_us - 1, midnight_us, midnight_us + DAY_US, NOON_US - DAY_US)
    ):
        answered(ledger, f"q_{number}", Paid(cost_nusd=10**number), at_us=at_us)

    found = compare([line("1"), line("1", day=TODAY + timedelta(days=1))], ledger)

    assert [(row.day.day, row.settled) for row in found.rows] == [
        (22, Decimal("0.000000001")),
        (23, Decimal("0.00000001")),
    ]


def test_days_that_the_ledger_does_not_know_are_all_unexplained(ledger: Ledger) -> None:
    answered(ledger, "q_1")

    found = compare([line("2.5", day=date(1999, 1, 1))], ledger)

    assert (found.billed_only, found.ledger_only) == (Decimal("2.5"), 0)


def test_only_the_experts_that_the_bill_is_for_are_compared(ledger: Ledger) -> None:
    answered(ledger, "q_1", Paid(expert="flagship", cost_nusd=1_000_000))
    answered(ledger, "q_2", Paid(expert="other", cost_nusd=5_000_000))

    found = compare([line("0.001")], ledger, ["flagship"])

    assert (found.billed_only, found.ledger_only) == (0, 0)
    assert "the tries of flagship that were sent" in sentences(found)[0]
    with pytest.raises(LedgerError, match="no expert 'nobody'; asked were: flagship"):
        compare([line("0.001")], ledger, ["nobody"])


def test_an_empty_bill_is_said_to_be_one(ledger: Ledger) -> None:
    found = compare([], ledger)

    assert sentences(found) == ["The bill has no line."]
    assert as_json(found)["first_day"] is None


def test_snapshots_and_display_names_are_the_same_model(ledger: Ledger) -> None:
    answered(
        ledger, "q_1", Paid(served="claude-haiku-4-5-20251001", cost_nusd=1_000_000)
    )
    answered(ledger, "q_2", Paid(served="claude-haiku-4-5", cost_nusd=1_000_000))

    (row,) = compare([line("0.002", "Claude Haiku 4.5")], ledger).rows

    assert row.unexplained == 0
    assert row.model == "Claude Haiku 4.5"
    assert row.names == {
        "Claude Haiku 4.5",
        "claude-haiku-4-5",
        "claude-haiku-4-5-20251001",
    }


def test_a_model_with_another_word_in_its_name_is_another_one(ledger: Ledger) -> None:
    answered(ledger, "q_1", Paid(served="gpt-5-mini", cost_nusd=1_000_000))

    found = compare([line("0.001", "gpt-5")], ledger)

    assert (found.billed_only, found.ledger_only) == (Decimal("0.001"),) * 2


def test_a_bill_without_models_is_compared_by_day(ledger: Ledger) -> None:
    answered(ledger, "q_1", Paid(served="a", cost_nusd=1_000_000))
    answered(ledger, "q_2", Paid(served="b", cost_nusd=2_000_000))

    (row,) = compare([line("0.003", None)], ledger).rows

    assert (row.model, row.tries, row.unexplained) == (EVERY_MODEL, 2, 0)


def test_credits_are_shown_and_not_compared(ledger: Ledger) -> None:
    answered(ledger, "q_1", Paid(cost_nusd=1_000_000))

    found = compare([line("0.001"), line("-5", None)], ledger)

    assert (found.billed_only, found.ledger_only) == (0, 0)
    assert "Credits of -$5.00 are not compared." in sentences(found)


def test_a_few_nano_dollars_a_try_are_rounding() -> None:
    def unexplained(usd: str, tries: int) -> Decimal:
        billed: dict[tuple[date, str | None], tuple[Decimal, Decimal]] = {
            (TODAY, "m"): (Decimal(usd), Decimal(0))
        }
        cost = Cost(day=TODAY, model="m", settled_nusd=1000, tries=tries)
        return beside(billed, [cost])[0].unexplained

    assert unexplained("0.00000099", 1) == 0
    assert unexplained("0.0000009899", 1) == Decimal("-0.0000000101")
    assert unexplained("0.00000097", 3) == 0


AMOUNTS = st.decimals(0, 10**6, allow_nan=False, allow_infinity=False, places=12)
CELLS = st.tuples(st.integers(0, 3), st.sampled_from(["a", "b-2026-10-01", "b"]))


@given(
    bill=st.lists(st.tuples(CELLS, AMOUNTS), max_size=20),
    costs=st.lists(
        st.tuples(CELLS, *(st.integers(0, 10**15) for _ in range(2))), max_size=20
    ),
)
def test_no_dollar_of_either_side_is_lost(
    bill: list[tuple[tuple[int, str], Decimal]],
    costs: list[tuple[tuple[int, str], int, int]],
) -> None:
    billed: dict[tuple[date, str | None], tuple[Decimal, Decimal]] = {}
    for (offset, model), amount in bill:
        key = (TODAY + timedelta(days=offset), model)
        billed[key] = (billed.get(key, (Decimal(0),))[0] + amount, Decimal(0))
    known = [
        Cost(
            day=TODAY + timedelta(days=offset),
            model=model,
            settled_nusd=settled,
            at_worst_nusd=worst,
            tries=1,
        )
        for (offset, model), settled, worst in costs
    ]

    rows = beside(billed, known)

    assert sum(row.billed for row in rows) == sum(amount for _, amount in bill)
    assert sum(row.settled * 10**9 for row in rows) == sum(
        cost.settled_nusd for cost in known
    )
    assert sum(row.at_worst * 10**9 for row in rows) == sum(
        cost.at_worst_nusd for cost in known
    )
    for row in rows:
        assert row.settled - Decimal("0.000001") <= (
            row.billed - row.unexplained
        ) <= row.settled + row.at_worst + Decimal("0.000001")  # fmt: skip


def test_the_whole_comparison_as_json_holds_exact_dollars(ledger: Ledger) -> None:
    answered(ledger, "q_1", Paid(cost_nusd=4_000_001))

    found = as_json(compare([line("0.0100000000000000000000000000001")], ledger))

    assert found == snapshot(
        {
            "first_day": "2026-11-22",
            "last_day": "2026-11-22",
            "time_zone": "UTC",
            "experts": [],
            "rows": [
                {
                    "day": "2026-11-22",
                    "model": "model-1",
                    "names": ["model-1"],
                    "billed_usd": "0.0100000000000000000000000000001",
                    "credits_usd": "0",
                    "settled_usd": "0.004000001",
                    "at_worst_usd": "0",
                    "difference_usd": "0.0059999990000000000000000000001",
                    "tries": 1,
                    "unexplained_usd": "0.0059999990000000000000000000001",
                }
            ],
            "total": {
                "billed_usd": "0.0100000000000000000000000000001",
                "credits_usd": "0",
                "settled_usd": "0.004000001",
                "at_worst_usd": "0",
                "difference_usd": "0.0059999990000000000000000000001",
                "tries": 1,
            },
            "billed_only_usd": "0.0059999990000000000000000000001",
            "ledger_only_usd": "0",
        }
    )


def test_a_cell_is_shown_masked_short_and_in_one_line() -> None:
    assert neutral("gpt\r\n5") == "gpt 5"
    assert "AKIAIOSFODNN7EXAMPLE" not in neutral("AKIAIOSFODNN7EXAMPLE")
    assert len(neutral("x y " * 500)) == 81


OPENAI = (
    "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,"
    "quantity,quantity_unit,line_item,user_id,api_key_id,project_id,organization_id\n"
    "1790467200,1790553600,2026-11-20T00:00:00+00:00,2026-11-21T00:00:00+00:00,,,,,,,,,\n"
    "1790553600,1790640000,2026-11-21T00:00:00,2026-11-22T00:00:00,"
    '0.00383598000000000000000000000,usd,1000,tokens,"gpt-5-nano, input",,key_1,p,o\n'
    "1790553600,1790640000,2026-11-22T00:00:00+00:00,2026-11-23T00:00:00+00:00,"
    "0.5,usd,,,web search tool calls,,,,\n"
)
ANTHROPIC = (
    "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,"
    "cost_usd,list_price_usd,cost_type,inference_geo,speed\n"
    "2026-11-22,Claude Haiku 4.5,Default,k,message,≤ 200k,output,0.02,0.02,token,,\n"
    "2026-11-22,,Default,k,,,,0.01,0.01,web_search,,\n"
)
OPENROUTER = (
    "generation_id,created_at,cost_total,cost_web_search,tokens_prompt,model_permaslug\n"
    "gen-1,2026-11-22 23:59:59.713,0.0123,0,10,openai/gpt-4.1-2025-04-14\n"
    "gen-2,2026-11-22T23:59:59Z,1e-05,0,10,z-ai/glm\n"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            OPENAI,
            [
                line("0", None, date(2026, 11, 20)),
                line("0.00383598", "gpt-5-nano", date(2026, 11, 21)),
                line("0.5", "web search tool calls"),
            ],
        ),
        (ANTHROPIC, [line("0.02", "Claude Haiku 4.5"), line("0.01", None)]),
        (
            OPENROUTER,
            [line("0.0123", "openai/gpt-4.1-2025-04-14"), line("0.00001", "z-ai/glm")],
        ),
        ("day,model,usd\n2026-11-22,m,1\n", [line("1", "m")]),
        ("day,usd\n2026-11-22,1\n", [line("1", None)]),
    ],
    ids=["OpenAI", "Anthropic", "OpenRouter", "plain", "plain without models"],
)
def test_an_export_is_known_by_its_header(
    tmp_path: Path, text: str, expected: list[Line]
) -> None:
    assert read(tmp_path, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffDay , MODEL,Usd\r\n2026-11-22,model-1,1.5\r\n\r\n",
        "day;model;usd\n2026-11-22;model-1;1.5\n;;\n",
        'day,model,usd\n"2026-11-22","model-1"," $1.50 "\n',
        "day,model,usd\n2026-11-22T23:30:00-00:30,model-1,+1.5\n".replace("+", ""),
        "day,model,usd\n2026-11-22T02:00+02:00,model-1,1.5\n",
        "day,model,usd\n1795305600,model-1,1.5\n",
    ],
)
def test_a_mark_of_order_spaces_separators_and_instants_do_not_matter(
    tmp_path: Path, text: str
) -> None:
    (found,) = read(tmp_path, text)

    assert (found.model, found.usd) == ("model-1", Decimal("1.5"))
    assert found.day in {TODAY, date(2026, 11, 23)}


@pytest.mark.parametrize(
    ("amount", "usd"),
    [
        ("1,234.56", "1234.56"),
        ("1,234,567", "1234567"),
        ("-0.5", "-0.5"),
        ("-$12.00", "-12"),
        ("1.2E-7", "0.00000012"),
        (".5", "0.5"),
        ("0", "0"),
    ],
)
def test_amounts_are_read_exactly(tmp_path: Path, amount: str, usd: str) -> None:
    (found,) = read(tmp_path, f'day,model,usd\n2026-11-22,m,"{amount}"\n')

    assert found.usd == Decimal(usd)


@pytest.mark.parametrize(
    "amount",
    [
        "",
        "1,234",
        "1.234,56",
        "€1.50",
        "NaN",
        "inf",
        "1e999",
        "٣",
        "e5",
        "--1",
        "(1.5)",
    ],
)
def test_an_amount_that_can_be_misread_is_refused_with_its_line(
    tmp_path: Path, amount: str
) -> None:
    with pytest.raises(ConfigError, match=r"bill\.csv:3: .* no amount of US dollars"):
        read(tmp_path, f'day,model,usd\n2026-11-22,m,1\n2026-11-22,m,"{amount}"\n')


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty; it needs a header"),
        ("\n2026-11-22,m,1\n", "is empty; it needs a header"),
        ("2026-11-22,m,1\n", "no bill that is known by its header"),
        (
            "Date,Model,Cost\n2026-11-22,m,1\n",
            "names 'date', 'model', 'cost'; it needs",
        ),
        ("day,day,usd\n1,2,3\n", "has more than one column 'day'"),
        ("day,model,usd\nTotal,,1\n", "'Total' is no day; write it as 2026-11-22"),
        ("day,model,usd\n2026-02-30,m,1\n", "'2026-02-30' is no day"),
        ("day,model,usd\n2026-11-22,m\n", "has 2 cells where the header has more"),
        ("day,model,usd\n2026-11-22,m,9e90\n", "is more than any bill"),
        (
            "day,model,usd,currency\n2026-11-22,m,1,EUR\n",
            "is in 'EUR'; only US dollars can be compared",
        ),
        ("day,model,usd,Currency Code\n2026-11-22,m,1,EUR\n", "is in 'EUR'"),
        (
            "day,model,usd,currency,billing_currency\n2026-11-22,m,1,USD,CHF\n",
            "is in 'CHF'",
        ),
        (OPENAI.replace("usd", "gbp"), "is in 'gbp'"),
        (
            "usage_date_utc,model_version,usage_input_tokens_no_cache\n2026-11-22,m,1\n",
            "counts tokens and names no dollars; export the costs instead",
        ),
        ('day,model,usd\n2026-11-22,"' + "m" * 200_000 + '",1\n', "field larger than"),
    ],
)
def test_a_file_that_is_no_bill_says_what_is_wrong(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)

    assert complaint in str(caught.value)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    latin = tmp_path / "latin.csv"
    latin.write_bytes("day,model,usd\n2026-11-22,café,1\n".encode("latin-1"))

    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        list(lines(latin))
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        list(lines(tmp_path / "none.csv"))
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        list(lines(tmp_path))


def test_other_columns_can_be_named(tmp_path: Path) -> None:
    text = "When,What,Net amount,Tax\n2026-11-22,m,1.5,9\n"

    form = columns("day=When, model=What ,usd=Net amount")

    assert read(tmp_path, text, form) == [line("1.5", "m")]
    assert read(tmp_path, text, columns("day=When,usd=Tax")) == [line("9", None)]
    with pytest.raises(ConfigError, match="has no column 'cost'; there are 'when'"):
        read(tmp_path, text, columns("day=When,usd=Cost"))


@pytest.mark.parametrize(
    "text",
    ["", "day", "day=a", "usd=a", "day=a,usd=", "day=a,usd=b,x=c", "day=a,day=b,usd=c"],
)
def test_columns_that_are_not_described_say_how_to(text: str) -> None:
    with pytest.raises(ValueError, match="day=COLUMN,model=COLUMN,usd=COLUMN"):
        columns(text)


def test_a_hundred_thousand_lines_are_read_one_by_one(tmp_path: Path) -> None:
    file = tmp_path / "bill.csv"
    text = "2026-11-22,model-1,0.0001," + "x" * 80 + "\n"
    file.write_text("day,model,usd,note\n" + text * 100_000)

    tracemalloc.start()
    count = sum(1 for _ in lines(file))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 100_000
    assert peak < file.stat().st_size / 10
