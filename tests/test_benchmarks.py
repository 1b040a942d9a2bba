"""The benchmarks' own proofs: small runs hold, and each proof can fail."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import results
from benchmarks.audit import Asked, Books
from benchmarks.weather import GOOD, Met, draw, text
from tests.fakes.shapes import Behaviour

ROOT = Path(__file__).parent.parent


def ran(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    wrong = [line for line in done.stderr.splitlines() if line.startswith("WRONG")]
    assert (done.returncode, wrong) == (0, []), done.stderr
    return done.stdout


def measured(*arguments: str) -> str:
    """Run what measures time; how fast this machine is now is not asked for."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments, "--rounds", "3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    wrong = [line for line in done.stderr.splitlines() if line.startswith("WRONG")]
    assert [line for line in wrong if "at most" not in line] == [], done.stderr
    return done.stdout


def test_a_small_chaos_run_holds_and_meets_every_final_state() -> None:
    printed = ran("benchmarks.chaos", "--questions", "40")

    counts = {
        cells[1]: int(cells[2])
        for line in printed.splitlines()
        if len(cells := [cell.strip() for cell in line.split("|")]) == 5
        and cells[2].isdigit()
    }
    assert counts["questions"] == 40
    assert min(counts[f"… {each}"] for each in ("settled", "unresolved")) > 0
    assert counts["… released"] > 0
    assert counts["… sent"] == 0


def test_in_a_small_run_an_impatient_client_loses_and_pays_nothing_twice() -> None:
    printed = ran("benchmarks.patience", "--scale", "0.02", "--servers", "3")

    assert printed.count("| 1 | 1 | $0.00042 | 1 of 1 |") == 3
    assert printed.count("| 1 | 1 | $0.00042 | 3 of 3 |") == 1


def test_in_a_small_run_killed_processes_overspend_nothing_and_a_control_does() -> None:
    few = ("--processes", "3", "--scale", "0.02", "--kill-every-s", "1")
    printed = ran("benchmarks.overspend", *few)

    over = {"no": 0, "control": 0}
    for line in printed.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 8 and cells[6].isdigit():
            kind = "control" if cells[1].startswith("control") else "no"
            over[kind] += int(cells[6])
    assert over["no"] == 0
    assert over["control"] > 0


def test_a_small_ledger_and_a_smaller_one_are_measured_side_by_side() -> None:
    printed = measured("benchmarks.ledger_scale", "--sizes", "100", "500")

    assert printed.count("| SQLite |") == 2
    assert printed.count("| PostgreSQL |") == 2


def test_connections_that_share_their_windows_meet_no_error() -> None:
    printed = ran("benchmarks.hot_rows", "--questions", "64")

    assert [line.split("|")[6].strip() for line in printed.splitlines()[6:9]] == [
        "0"
    ] * 3


def books() -> Books:
    """A run of one whole answer, one without usage, one lost reply and one error."""
    behaviours = [
        Behaviour(text=text(0), input_tokens=100, output_tokens=10),
        Behaviour(text=text(1), input_tokens=100, output_tokens=10, usage="none"),
        Behaviour(text=text(2), fault="stream_cut"),
        Behaviour(fault="reset"),
        Behaviour(status=503),
    ]
    bills = [300_000, 300_000, 300_000, 300_000, None]
    requests = [
        Asked(
            number=number,
            question=number,
            path="/v1/chat/completions",
            streamed=True,
            met=Met(name=GOOD if number == 0 else "a fault", behaviour=behaviour),
            billed=bills[number],
        )
        for number, behaviour in enumerate(behaviours)
    ]
    ends = [
        ("settled", 300_000, "provider", text(0), "stop"),
        ("settled", 900_000, "estimated", text(1), "stop"),
        ("settled", 900_000, "partial", text(2)[:20], "partial"),
        ("unresolved", None, None, None, None),
        ("released", None, None, None, None),
    ]
    tries: list[dict[str, Any]] = [
        {
            "id": f"y{number}",
            "question": number,
            "task": "t",
            "sent_us": 5,
            "state": state,
            "reserved_nusd": 1_000_000,
            "cost_nusd": cost,
            "usage_source": source,
            "request_id": requests[number].request_id,
            "answer": answer,
            "finish": finish,
        }
        for number, (state, cost, source, answer, finish) in enumerate(ends)
    ]
    moves = [
        (0, "reserve", 1_000_000),
        (0, "settle", 300_000),
        (1, "reserve", 1_000_000),
        (1, "settle", 900_000),
        (2, "reserve", 1_000_000),
        (2, "settle", 900_000),
        (3, "reserve", 1_000_000),
        (4, "reserve", 1_000_000),
        (4, "release", 1_000_000),
    ]
    window: dict[str, Any] = {
        "start_us": 0,
        "end_us": 9,
        "spent_nusd": 2_100_000,
        "reserved_nusd": 1_000_000,
        "calls": 4,
    }
    return Books(
        requests=requests,
        tries=tries,
        movements=[
            {"id": number, "try_id": f"y{of}", "kind": kind, "nusd": nusd}
            for number, (of, kind, nusd) in enumerate(moves)
        ],
        windows=[
            {**window, "id": 1, "scope": "day", "key": ""},
            {
                **window,
                "id": 2,
                "scope": "task",
                "key": "project=here\x1ftask=t\x1fuser=me",
            },
        ],
        budgets=[
            {"scope": "call", "usd": "0.001"},
            {"scope": "day", "usd": "0.0041"},
            {"scope": "task", "usd": "1.00", "calls": 5},
        ],
        replies={
            0: {"status": "answered", "answer": text(0), "cost_usd": 0.0003},
            3: {"status": "unavailable"},
        },
        statuses=Counter(),
        pairs=list(zip(requests, tries, strict=True)),
    )


def test_the_proofs_hold_where_all_is_right() -> None:
    assert [
        (proof.name, proof.wrong) for proof in books().proofs() if proof.wrong
    ] == []


CAP = "at no commit is spent + reserved above a cap, nor are calls"
LOST = "no answer that came whole is lost"
PART = "what came in part of an answer is kept"
OWN = "a reply holds its own advice and its own cost"
UPPER = "settled in part or by estimate >= the bill"
SUMS = "a window's running sums = the sums of its tries"
BROKEN: list[tuple[str, int, dict[str, object], str]] = [
    ("tries", 3, {"state": "sent"}, "every try has exactly one final state"),
    (
        "tries",
        0,
        {"request_id": "req_1"},
        "a request has one try, by order and by its id",
    ),
    ("movements", 1, {"kind": "release"}, "one reserve a try, and one end at most"),
    ("movements", 1, {"kind": "reserve"}, "one reserve a try, and one end at most"),
    (
        "tries",
        0,
        {"cost_nusd": 300_001},
        "settled with full usage = the bill, to the nUSD",
    ),
    ("tries", 1, {"cost_nusd": 299_999}, UPPER),
    ("tries", 2, {"cost_nusd": 299_999}, UPPER),
    ("tries", 2, {"cost_nusd": 1_000_001}, UPPER),
    ("tries", 3, {"reserved_nusd": 299_999}, "unresolved: counted >= the bill"),
    ("tries", 0, {"state": "released"}, "released: billed nothing"),
    ("windows", 0, {"calls": 3}, SUMS),
    ("windows", 0, {"reserved_nusd": 0}, SUMS),
    ("windows", 1, {"spent_nusd": 0}, SUMS),
    ("budgets", 0, {"usd": "0.0009"}, CAP),
    ("budgets", 1, {"usd": "0.0040"}, CAP),
    ("budgets", 2, {"calls": 4}, CAP),
    ("tries", 0, {"answer": "Advice"}, LOST),
    ("tries", 1, {"answer": None}, LOST),
    ("tries", 2, {"answer": "Something else"}, PART),
    ("tries", 2, {"answer": ""}, PART),
    ("replies", 0, {"answer": text(1)}, OWN),
    ("replies", 0, {"cost_usd": 0.0004}, OWN),
]


@pytest.mark.parametrize(("where", "number", "change", "proof"), BROKEN)
def test_a_proof_fails_where_its_sentence_does_not_hold(
    where: str, number: int, change: dict[str, object], proof: str
) -> None:
    found = books()

    getattr(found, where)[number].update(change)

    assert proof in {each.name for each in found.proofs() if each.wrong}


def test_a_proof_fails_where_a_request_has_no_try_or_went_elsewhere() -> None:
    found = books()

    found.stray.append("question 9: 1 requests, tries []")
    found.pairs[4] = (replace(found.requests[4], path="/away"), found.tries[4])
    found.requests[4] = found.pairs[4][0]

    assert {each.name for each in found.proofs() if each.wrong} == {
        "a request has one try, by order and by its id",
        "no redirect was followed",
    }


def test_a_draw_is_repeatable_and_deals_every_fault() -> None:
    first, second = (draw(7, 3000, away="http://localhost:1/away") for _ in "12")

    dealt = Counter(each.name for each in first)
    assert first == second
    assert draw(8, 3000, away="http://localhost:1/away") != first
    assert max(dealt.values()) == dealt[GOOD]
    assert min(dealt.values()) > 20


def test_a_section_takes_the_place_of_its_last_one_and_of_no_other(
    tmp_path: Path,
) -> None:
    path = tmp_path / "RESULTS.md"
    results.keep("## One\n\nold\n", path)
    results.keep("## Two\n\n| a |\n", path)

    results.keep("## One\n\nnew\n", path)

    assert path.read_text(encoding="utf-8") == (
        "# Results\n\nEach table names the command that made it.\n\n"
        "## One\n\nnew\n\n## Two\n\n| a |\n"
    )
