import os
import sys
import threading
import time
from pathlib import Path

import pytest

from ask_expert.confidence.signals.check_result import (
    AT_MOST_S,
    MOST_AT_ONCE,
    CheckResult,
    run_check,
)
from ask_expert.settings import CheckSettings


def run(folder: Path, code: str, *, patience_s: float = AT_MOST_S) -> CheckResult:
    check = CheckSettings(command=(sys.executable, "-c", code), timeout_s=20)
    return run_check(
        "t", check, folder=folder, environ=os.environ, patience_s=patience_s
    )


@pytest.mark.parametrize(("status", "passed"), [(0, True), (1, False)])
def test_the_exit_status_says_whether_a_check_passes(
    tmp_path: Path, status: int, passed: bool
) -> None:
    result = run(tmp_path, f"print('seen'); raise SystemExit({status})")

    assert (result.passed, result.output) == (passed, "seen\n")


def test_what_a_check_prints_is_whole_up_to_a_quarter_of_a_megabyte(
    tmp_path: Path,
) -> None:
    result = run(tmp_path, "print('0123456789 ' * 20_000)")

    assert result.output == "0123456789 " * 20_000 + "\n"


def test_longer_output_keeps_head_and_tail_and_no_half_of_a_word(
    tmp_path: Path,
) -> None:
    result = run(tmp_path, "print('begin'); print('token-0123456789 ' * 100_000)")

    head, _, tail = result.output.partition("\n… ")
    note, _, tail = tail.partition(" bytes left out …\n")
    assert head.startswith("begin\n")
    assert int(note) > 1_000_000
    assert {*head.split(), *tail.split()} == {"begin", "token-0123456789"}


def test_a_word_that_is_longer_than_all_that_is_kept_is_left_out(
    tmp_path: Path,
) -> None:
    result = run(tmp_path, "print('x' * 1_000_000)")

    assert "x" not in result.output


def test_a_program_that_is_not_there_gives_no_fact(tmp_path: Path) -> None:
    check = CheckSettings(command=("no-such-program",))

    result = run_check("t", check, folder=tmp_path, environ=os.environ)

    assert result.passed is None
    assert "no-such-program" in result.output


def test_a_check_that_finds_no_turn_gives_no_fact_and_is_not_run(
    tmp_path: Path,
) -> None:
    gate = tmp_path / "gate"
    wait = (
        "import os, pathlib, time\n"
        "pathlib.Path(f'began-{os.getpid()}').touch()\n"
        "while not pathlib.Path('gate').exists(): time.sleep(0.01)\n"
    )
    busy = [
        threading.Thread(target=run, args=(tmp_path, wait)) for _ in range(MOST_AT_ONCE)
    ]
    for each in busy:
        each.start()
    try:
        deadline = time.monotonic() + 30
        while len(list(tmp_path.glob("began-*"))) < MOST_AT_ONCE:
            assert time.monotonic() < deadline
            time.sleep(0.01)

        refused = run(tmp_path, "open('ran', 'w')", patience_s=0)
    finally:
        gate.touch()
        for each in busy:
            each.join()

    after = run(tmp_path, "", patience_s=0)
    assert refused.passed is None
    assert "other checks" in refused.output
    assert not (tmp_path / "ran").exists()
    assert after.passed is True
