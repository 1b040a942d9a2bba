import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot
from mcp import StdioServerParameters

from ask_expert.evaluation.coding_agent import CodingAgent, TaskResult, work_through
from ask_expert.evaluation.local_coder import LocalCoder, code_in, defines
from ask_expert.evaluation.tasks import Task, coding_tasks
from ask_expert.experts.http import httpx
from tests.local.fake_model import FakeModel, Say, serving

DOUBLE = Task(
    id="double",
    text="Write a function f that doubles.",
    tests=("assert f(2) == 4", "assert f(3) == 6"),
)
RIGHT = "```python\ndef f(x):\n    return 2 * x\n```"
WRONG = "```python\ndef f(x):\n    return x + 2\n```"

ANSWERED = {
    "status": "answered",
    "question_id": "q_1",
    "answer": f"The second test fails because you add.\n{RIGHT}",
    "reason": "failed_attempts is 2",
    "next_step": "Apply it.",
    "cost_usd": 0.0025,
}
STAY = {
    "status": "stay_local",
    "question_id": "q_2",
    "reason": "no rule held",
    "next_step": "Go on without the expert: 1. Read the second test again.",
    "cost_usd": 0,
}


class Scripted:
    """A scripted server's folder, and what was called."""

    def __init__(self, folder: Path, script: Sequence[dict[str, Any] | str]) -> None:
        self.folder = folder
        (folder / "script.json").write_text(json.dumps(script))

    @property
    def command(self) -> list[str]:
        script = Path(__file__).with_name("scripted_server.py")
        return [sys.executable, str(script), str(self.folder)]

    @property
    def calls(self) -> list[dict[str, Any]]:
        log = self.folder / "calls.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()]

    @property
    def was_started(self) -> bool:
        return (self.folder / "calls.jsonl").exists()


async def work(
    scripted: Scripted,
    say: Say,
    *,
    tasks: Sequence[Task] = (DOUBLE,),
    expert_ready: Callable[[], bool] = lambda: True,
    events: list[dict[str, object]] | None = None,
) -> list[TaskResult]:
    command, *args = scripted.command
    emitted = [] if events is None else events
    with serving(FakeModel(say=say)) as model:
        async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
            coder = LocalCoder(client=client, base_url=model.url, model="tiny")
            return await work_through(
                tasks,
                agent=CodingAgent(coder, emitted.append),
                server=StdioServerParameters(command=command, args=args),
                expert_ready=expert_ready,
            )


def always(text: str) -> Say:
    return lambda body: text


def asked_with(body: dict[str, Any], part: str) -> bool:
    return part in body["messages"][-1]["content"]


@pytest.mark.anyio
async def test_what_the_local_model_can_do_is_never_asked(tmp_path: Path) -> None:
    scripted = Scripted(tmp_path, [])

    (result,) = await work(scripted, always(RIGHT))

    assert (result.ending, result.attempts, result.asked) == ("solved_alone", 1, ())
    assert not scripted.was_started


@pytest.mark.anyio
async def test_the_second_attempt_sees_how_the_first_one_failed(tmp_path: Path) -> None:
    def say(body: dict[str, Any]) -> str:
        return RIGHT if asked_with(body, "f(3) gave 5") else WRONG

    (result,) = await work(Scripted(tmp_path, []), say)

    assert (result.ending, result.attempts) == ("solved_alone", 2)


@pytest.mark.anyio
async def test_after_two_failures_the_expert_is_asked_and_its_code_checked(
    tmp_path: Path,
) -> None:
    scripted = Scripted(tmp_path, [ANSWERED])

    (result,) = await work(scripted, always(WRONG))

    assert (result.ending, result.cost_usd) == ("solved_after_asking", "0.0025")
    assert result.code == "def f(x):\n    return 2 * x\n"
    assert scripted.calls == snapshot(
        [
            {
                "tool": "ask_expert",
                "question": "Which Python code solves the task in the context and passes the tests shown there? Reply with the whole solution in one code block, only code.",
                "context": """\
Write a function f that doubles.

The code must pass these tests:
```python
assert f(2) == 4
assert f(3) == 6
```\
""",
                "tried": [
                    """\
attempt 1: assert f(3) == 6
failed: f(3) gave 5\
""",
                    """\
attempt 2: assert f(3) == 6
failed: f(3) gave 5\
""",
                ],
                "my_answer": """\
def f(x):
    return x + 2
""",
                "error": """\
assert f(3) == 6
failed: f(3) gave 5\
""",
                "task": "double",
            },
            {
                "tool": "report_outcome",
                "question_id": "q_1",
                "solved": True,
                "evidence": "all 2 tests pass",
            },
        ]
    )


@pytest.mark.anyio
async def test_advice_without_code_is_applied_by_the_local_model(
    tmp_path: Path,
) -> None:
    scripted = Scripted(tmp_path, [ANSWERED | {"answer": "Multiply; do not add."}])

    def say(body: dict[str, Any]) -> str:
        return RIGHT if asked_with(body, "Multiply; do not add.") else WRONG

    (result,) = await work(scripted, say)

    assert (result.ending, result.attempts) == ("solved_after_asking", 3)
    assert scripted.calls[-1]["solved"] is True


@pytest.mark.anyio
async def test_advice_that_does_not_help_is_reported_as_such(tmp_path: Path) -> None:
    scripted = Scripted(tmp_path, [ANSWERED | {"answer": WRONG}])

    (result,) = await work(scripted, always(WRONG))

    assert result.ending == "unsolved"
    assert scripted.calls[-1] == {
        "tool": "report_outcome",
        "question_id": "q_1",
        "solved": False,
        "evidence": "assert f(3) == 6\nfailed: f(3) gave 5",
    }


@pytest.mark.anyio
@pytest.mark.parametrize("status", ["stay_local", "held_out"])
async def test_a_no_is_followed_by_one_more_attempt_along_the_next_step(
    tmp_path: Path, status: str
) -> None:
    scripted = Scripted(tmp_path, [STAY | {"status": status}])

    def say(body: dict[str, Any]) -> str:
        return RIGHT if asked_with(body, "Read the second test again") else WRONG

    (result,) = await work(scripted, say)

    assert (result.ending, result.attempts) == ("solved_alone", 3)
    assert result.asked == (status,)
    assert [call["tool"] for call in scripted.calls] == ["ask_expert", "report_outcome"]


@pytest.mark.anyio
@pytest.mark.parametrize("status", ["refused", "unavailable", "needs_approval"])
async def test_without_an_expert_the_task_is_given_up_and_not_asked_again(
    tmp_path: Path, status: str
) -> None:
    scripted = Scripted(tmp_path, [STAY | {"status": status}])

    (result,) = await work(scripted, always(WRONG))

    assert (result.ending, result.asked) == ("unsolved", (status,))
    assert [call["tool"] for call in scripted.calls] == ["ask_expert"]


@pytest.mark.anyio
async def test_a_pending_answer_is_fetched_by_its_id(tmp_path: Path) -> None:
    pending = {"status": "pending", "question_id": "q_1", "next_step": "Wait."}
    scripted = Scripted(tmp_path, [pending, pending, ANSWERED])

    (result,) = await work(scripted, always(WRONG))

    assert result.ending == "solved_after_asking"
    assert [call["tool"] for call in scripted.calls] == [
        "ask_expert",
        "expert_status",
        "expert_status",
        "report_outcome",
    ]
    assert {call.get("question_id") for call in scripted.calls[1:]} == {"q_1"}


@pytest.mark.anyio
async def test_a_tool_error_leaves_the_task_unsolved_and_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    scripted = Scripted(tmp_path, ["The ledger is locked.", ANSWERED])
    events: list[dict[str, object]] = []

    first, second = await work(
        scripted, always(WRONG), tasks=[DOUBLE, DOUBLE], events=events
    )

    assert (first.ending, first.asked) == ("unsolved", ("error",))
    assert second.ending == "solved_after_asking"
    assert any("The ledger is locked." in str(event.get("reason")) for event in events)


@pytest.mark.anyio
async def test_stuck_tasks_wait_for_the_expert_while_the_next_ones_are_tried(
    tmp_path: Path,
) -> None:
    other = Task(
        id="other", text="Write a function f that doubles!", tests=DOUBLE.tests
    )
    events: list[dict[str, object]] = []

    def both_were_tried() -> bool:
        return {event["task"] for event in events} == {"double", "other"}

    results = await work(
        Scripted(tmp_path, [ANSWERED, ANSWERED]),
        always(WRONG),
        tasks=[DOUBLE, other],
        expert_ready=both_were_tried,
        events=events,
    )

    assert [result.ending for result in results] == ["solved_after_asking"] * 2
    assert [event["task"] for event in events if event["event"] == "stuck"] == [
        "double",
        "other",
    ]
    first_asked = [event["event"] for event in events].index("asked")
    assert "stuck" not in [event["event"] for event in events[first_asked:]]


def test_the_agent_is_a_process_that_prints_events_and_writes_results(
    tmp_path: Path,
) -> None:
    reference = coding_tasks(1)[0].reference
    scripted = Scripted(tmp_path, [ANSWERED | {"answer": f"```\n{reference}\n```"}])
    out = tmp_path / "results.jsonl"
    command = [sys.executable, "-m", "ask_expert.evaluation.coding_agent"]
    command += ["--local-model", "tiny", "--tasks", "1", "--out", str(out)]

    with serving(FakeModel(say=always("no idea"))) as model:
        command += ["--local-url", model.url, "--", *scripted.command]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)

    events = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0, ran.stderr
    assert [event["event"] for event in events] == snapshot(
        ["task", "tried", "tried", "stuck", "asked", "tried", "reported", "result"]
    )
    (result,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert (result["ending"], result["cost_usd"]) == ("solved_after_asking", "0.0025")


def test_the_block_that_defines_the_function_is_taken_and_not_its_use() -> None:
    use = "assert f(2) == 4\n" * 9

    assert code_in(f"{RIGHT}\nTry it:\n```python\n{use}```\n", DOUBLE) == (
        "def f(x):\n    return 2 * x\n"
    )


def test_a_block_that_was_cut_off_still_counts() -> None:
    assert code_in("Sure:\n```python\nx = (1,", DOUBLE) == "x = (1,"


def test_text_without_a_block_is_no_code() -> None:
    assert code_in("Multiply.", DOUBLE) is None


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f(x): return x", True),
        ("class f: pass", True),
        ("f = lambda x: x", True),
        ("import math\n\ny = f(2)", False),
        ("def g(x): return x", False),
        ("def f(x: return", False),
        ("", False),
    ],
)
def test_code_counts_when_it_compiles_and_defines_what_is_called(
    code: str, expected: bool
) -> None:
    assert defines(code, DOUBLE) is expected
