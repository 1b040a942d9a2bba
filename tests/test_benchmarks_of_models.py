"""The parts of the benchmarks that ask a model, and a whole small run of each."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.evaluation.tasks import coding_tasks
from benchmarks import coding, intervals, local_system, signals
from tests.local.fake_model import serving
from tests.local.fake_vllm import FakeVllm

RIGHT = "```python\ndef double(n):\n    return 2 * n\n```"
ALMOST = "```python\ndef double(n):\n    return n + 2\n```"
BROKEN = "```python\ndef double(n):\n    return missing\n```"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three tasks that are alike, in the form of MBPP's file."""
    rows = [
        {
            "task_id": number,
            "text": "Write a function that doubles a number.",
            "code": "def double(n):\r\n    return n * 2",
            "test_setup_code": "",
            "test_list": [
                "assert double(2) == 4",
                "assert double(0) + 4 == 4 or double(0) == 2",
                "assert double(3) == 6",
            ],
        }
        for number in (
            *range(local_system.FIRST, local_system.FIRST + 3),
            *range(signals.FIRST, signals.FIRST + 3),
        )
    ]
    file = tmp_path / "mbpp.jsonl.gz"
    with gzip.open(file, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)
    return file


@pytest.fixture
def bench(data: Path) -> coding.Bench:
    return coding.Bench(coding.tasks(data, local_system.FIRST, 1)[0])


def test_the_model_sees_two_tests_or_the_name_alone(bench: coding.Bench) -> None:
    hidden = coding.Bench(bench.task, shown=0)

    assert "double(2) == 4" in bench.turns[-1].text
    assert "double(3)" not in bench.turns[-1].text
    assert "assert" not in hidden.turns[-1].text
    assert "def double(n):" in hidden.turns[-1].text


@pytest.mark.anyio
async def test_the_check_sees_less_than_the_grade(bench: coding.Bench) -> None:
    checked = await bench.check(ALMOST)

    assert (checked.passed, await bench.grade(ALMOST)) == (True, False)
    assert (await bench.check(RIGHT)).passed
    assert await bench.grade(RIGHT)
    broken = await bench.check(BROKEN)
    assert (broken.passed, broken.share) == (False, 0.0)
    assert "missing" in broken.output


@pytest.mark.anyio
async def test_answers_agree_when_they_return_the_same(data: Path) -> None:
    task = coding.tasks(data, local_system.FIRST, 1)[0]
    bench = coding.Bench(task, shown=0)

    one, same, other, none = await bench.label(
        [RIGHT, RIGHT.replace("2 * n", "n + n"), ALMOST, BROKEN]
    )

    assert one == same != other
    assert none is None


def test_every_shipped_task_has_calls_to_compare() -> None:
    benches = [coding.Bench(task, shown=0) for task in coding_tasks(5)]

    found = [
        bench.behaviour(f"```python\n{bench.task.reference}\n```") for bench in benches
    ]

    assert None not in found


@given(st.integers(0, 40), st.integers(1, 40))
def test_a_share_lies_within_its_interval(hits: int, more: int) -> None:
    low, high = intervals.wilson(hits, hits + more)

    assert 0 <= low <= hits / (hits + more) <= high <= 1


def test_a_difference_of_the_same_is_nothing_and_a_clear_one_is_above_it() -> None:
    ones, noughts = [1.0] * 30 + [0.0] * 10, [0.0] * 40

    assert intervals.paired(ones, ones) == (0.0, 0.0, 0.0)
    mean, low, high = intervals.paired(ones, noughts)
    assert low > 0
    assert low <= mean == 0.75 <= high


def by_number(turns: list[dict[str, str]], number: int) -> str:
    del turns
    return BROKEN if number % 2 else RIGHT


def always_right(turns: list[dict[str, str]], number: int) -> str:
    del turns, number
    return RIGHT


def test_a_small_run_of_the_strategies_is_kept_and_goes_on(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep = tmp_path / "kept.json"
    vllm = FakeVllm(reply=by_number)
    with serving(vllm.model()) as fake:
        arguments = ["--data", str(data), "--url", fake.url, "--count", "2"]
        arguments += ["--keep", str(keep)]

        assert local_system.main(arguments) == 0
        asked = len(vllm.asked)
        assert local_system.main(arguments) == 0

        assert len(vllm.asked) == asked > 10
    printed = capsys.readouterr().out
    rows = json.loads(keep.read_text())
    assert {name: len(each) for name, each in rows.items()} == dict.fromkeys(
        local_system.strategies(), 2
    )
    assert all(each["passed"] for each in rows["best of 4 by check"].values())
    assert not any(each["passed"] for each in rows["greedy"].values())
    assert "| best of 4 by check | 2 (100%) |" in printed
    assert "+1.000 [+1.000, +1.000]" in printed
    assert "at equal tokens: +0.000" in printed


def test_a_small_run_of_the_signals_names_what_each_is_worth(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep = tmp_path / "kept.json"
    with serving(FakeVllm(reply=always_right).model()) as fake:
        arguments = ["--data", str(data), "--url", fake.url, "--count", "2"]
        arguments += ["--keep", str(keep), "--signals", "mean_logprob", "vote_share"]

        assert signals.main(arguments) == 0

    printed = capsys.readouterr().out
    assert "2 tasks (MBPP from id 111), 100% solved" in printed
    assert "| `vote_share` | 2 | – | – | switched off |" in printed
