import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ask_expert.evaluation.sandbox import SandboxResult, run_tests

DOUBLES = ["assert f(2) == 4", "assert f(3) == 6"]
RIGHT = "def f(x): return 2 * x"


def wait_until(condition: Callable[[], bool], within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_right_code_passes_in_silence() -> None:
    assert run_tests(RIGHT, DOUBLES) == SandboxResult(passed=True, output="")


def test_wrong_code_fails_with_what_it_gave_instead() -> None:
    result = run_tests("def f(x): return x + 2", DOUBLES)

    assert result == SandboxResult(
        passed=False, output="assert f(3) == 6\nfailed: f(3) gave 5"
    )


def test_an_exception_is_shown_with_the_solutions_own_lines() -> None:
    result = run_tests("def f(x):\n    return [][x]", DOUBLES)

    assert not result.passed
    assert "return [][x]" in result.output
    assert result.output.endswith("IndexError: list index out of range")
    assert "sandbox_child" not in result.output


@pytest.mark.parametrize(
    "leave",
    [
        "import sys; sys.exit(0)",
        "raise SystemExit",
        "import os; os._exit(0)",
        "exit()",
        "import os; os.close(1); os.close(2); os._exit(0)",
        "def f(x): raise SystemExit",
        "import atexit, os; atexit.register(os._exit, 0); raise KeyboardInterrupt",
    ],
)
def test_leaving_before_the_tests_are_through_does_not_pass(leave: str) -> None:
    assert not run_tests(leave, DOUBLES).passed


def test_printing_what_looks_like_success_does_not_pass() -> None:
    result = run_tests("print('0' * 32, flush=True); import os; os._exit(0)", DOUBLES)

    assert not result.passed


def test_an_endless_loop_is_stopped_by_the_clock() -> None:
    result = run_tests("while True: pass", DOUBLES, timeout_s=1.0)

    assert result == SandboxResult(
        passed=False, output="stopped after 1 s", timed_out=True
    )


def test_a_solution_that_sleeps_is_stopped_by_the_clock() -> None:
    assert run_tests("import time; time.sleep(60)", DOUBLES, timeout_s=0.5).timed_out


def test_a_thread_left_behind_does_not_hold_up_the_result() -> None:
    hangs = "import threading, time\nthreading.Thread(target=time.sleep, args=[60]).start()\n"

    assert run_tests(hangs + RIGHT, DOUBLES) == SandboxResult(passed=True, output="")


def test_a_memory_hog_fails_and_this_process_lives() -> None:
    result = run_tests("x = [0] * 10**9", DOUBLES, memory_mb=256)

    assert not result.passed
    assert "MemoryError" in result.output


def test_an_output_flood_is_cut_off() -> None:
    result = run_tests("while True: print('x' * 1000)", DOUBLES, timeout_s=20.0)

    assert not result.passed
    assert not result.timed_out
    assert len(result.output) <= 1_500
    assert result.output.endswith("it printed too much")


@pytest.mark.parametrize(
    "spawn",
    [
        "import os; os.fork()",
        "import os; os.system('true')",
        "import os; os.posix_spawn('/bin/true', ['true'], {})",
        "import os; os.execv('/bin/true', ['true'])",
        "import subprocess; subprocess.run(['true'])",
        "import multiprocessing as m; p = m.Process(target=print); p.start()",
    ],
)
def test_no_process_can_be_started(spawn: str) -> None:
    result = run_tests(f"{spawn}\n{RIGHT}", DOUBLES)

    assert not result.passed
    assert "PermissionError" in result.output


def test_no_socket_can_be_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reach = f"import socket; socket.create_connection(('127.0.0.1', {port}))"

        result = run_tests(f"{reach}\n{RIGHT}", DOUBLES)

    assert not result.passed
    assert "PermissionError" in result.output


def test_the_environment_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-planted-0123456789")

    result = run_tests("import os; print(sorted(os.environ.items()))", DOUBLES)

    assert "TMPDIR" in result.output
    assert "planted" not in result.output
    assert os.environ["HOME"] not in result.output.split("failed")[0].split("'")


@pytest.mark.parametrize(
    "peek",
    [
        "print(open('/proc/%d/environ' % __import__('os').getppid()).read())",
        "print(open('/proc/self/environ').read())",
        "print(open('/etc/passwd').read())",
        "print(__import__('pathlib').Path('{outside}').read_text())",
    ],
)
def test_files_outside_its_folder_cannot_be_read(tmp_path: Path, peek: str) -> None:
    outside = tmp_path / "secret.txt"
    outside.write_text("planted-secret")

    result = run_tests(peek.replace("{outside}", str(outside)), DOUBLES)

    assert "PermissionError" in result.output
    assert "planted-secret" not in result.output


@pytest.mark.parametrize(
    "harm",
    [
        "open('{outside}', 'w')",
        "open('{outside}', 'r+')",
        "import os; os.remove('{outside}')",
        "import os; os.rename('{outside}', 'mine')",
        "import os; os.truncate('{outside}', 0)",
        "import shutil; shutil.rmtree('{folder}')",
    ],
)
def test_files_outside_its_folder_cannot_be_changed(tmp_path: Path, harm: str) -> None:
    outside = tmp_path / "kept.txt"
    outside.write_text("kept")
    code = harm.replace("{outside}", str(outside)).replace("{folder}", str(tmp_path))

    result = run_tests(f"{code}\n{RIGHT}", DOUBLES)

    assert not result.passed
    assert outside.read_text() == "kept"


def test_its_own_folder_can_be_written_and_is_gone_afterwards() -> None:
    code = "import os\nopen('note', 'w').write('x')\nprint(os.getcwd())"

    result = run_tests(code, ["assert open('note').read() == 'x'", "assert False"])

    folder = Path(result.output.splitlines()[0])
    assert "assert False\nfailed" in result.output
    assert folder.name.startswith("ask-expert-")
    assert not folder.exists()


def test_the_standard_library_is_there_and_this_package_is_not() -> None:
    here = "import collections, datetime, heapq, itertools, math, re, statistics\n"

    assert run_tests(here + RIGHT, DOUBLES).passed
    assert "ModuleNotFoundError" in run_tests("import ask_expert", DOUBLES).output
    assert "ModuleNotFoundError" in run_tests("import pydantic", DOUBLES).output


def test_a_main_block_does_not_run() -> None:
    main = f"{RIGHT}\nif __name__ == '__main__':\n    raise RuntimeError(input())"

    assert run_tests(main, DOUBLES).passed


@pytest.mark.parametrize("code", ["def f(x: return", "\0", "é = " + "(" * 500])
def test_code_that_does_not_compile_fails(code: str) -> None:
    assert not run_tests(code, DOUBLES).passed
