import pytest

from ask_expert.evaluation.sandbox import run_tests
from ask_expert.evaluation.tasks import CODING_TASKS, Task, coding_tasks

TASKS = coding_tasks()


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_the_authors_solution_passes_its_tests_in_the_sandbox(task: Task) -> None:
    result = run_tests(task.reference, task.checks)

    assert (result.passed, result.output) == (True, "")


@pytest.mark.parametrize("task", TASKS[:3], ids=lambda task: task.id)
def test_an_empty_solution_fails(task: Task) -> None:
    assert not run_tests("", task.checks).passed


def test_the_tasks_are_consecutive_rows_in_their_own_order() -> None:
    rows = [int(task.id.removeprefix("mbpp-")) for task in TASKS]

    assert rows == list(range(rows[0], rows[0] + len(rows)))
    assert f"rows {rows[0]} to {rows[-1]}" in (
        CODING_TASKS.with_name("README.md").read_text("utf-8")
    )


def test_the_statement_shows_the_tests_and_not_the_solution() -> None:
    task = TASKS[0]

    assert task.text in task.statement
    assert all(test in task.statement for test in task.tests)
    assert task.reference not in task.statement


@pytest.mark.parametrize("count", [0, -1, len(TASKS) + 1])
def test_more_tasks_than_there_are_is_an_error(count: int) -> None:
    with pytest.raises(ValueError, match=f"1 to {len(TASKS)} tasks"):
        coding_tasks(count)
