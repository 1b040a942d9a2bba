import subprocess
import sys

import pytest

from ask_expert.cli.app import app
from tests.cli.running import ask_expert

HEAVY = ("mcp", "sqlalchemy", "numpy", "genai_prices", "httpx2", "rich", "alembic")


@pytest.mark.parametrize("arguments", [["--help"], ["ledger", "--help"], []])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys, ask_expert.cli.app as cli\n"
        f"sys.argv[1:] = {arguments!r}\n"
        "status = cli.run()\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(','.join(loaded) or status and 3)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.stderr == ""
    assert "Usage:" in done.stdout


def test_help_names_every_command() -> None:
    ended = ask_expert("--help")

    assert ended.status == 0
    for name in (
        "serve",
        "ask",
        "report",
        "ledger",
        "thread",
        "experts",
        "prices",
        "policy",
        "key",
        "doctor",
        "init",
        "outcome",
        "approve",
        "demo",
    ):
        assert f"\n  {name} " in ended.out


def test_every_command_that_uses_a_home_can_be_given_one() -> None:
    leaves = [
        *(each.callback for each in app.registered_commands),
        *(
            each.callback
            for group in app.registered_groups
            if group.typer_instance
            for each in group.typer_instance.registered_commands
        ),
    ]

    for callback in leaves:
        assert callback is not None
        if callback.__name__ not in {"serve", "replay"}:  # flags; a table alone
            assert "home" in callback.__annotations__


def test_the_version_is_printed() -> None:
    ended = ask_expert("--version")

    assert (ended.status, ended.out) == (0, "ask-expert 0.1.0\n")


def test_serve_is_reached_through_the_command_line_too() -> None:
    program = (
        "import sys, ask_expert.cli.app as cli\n"
        "sys.argv[1:] = ['serve', '--help']\n"
        "sys.exit(cli.run())\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0
    assert "--no-daemon" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("ask",),
        ("nonsense",),
        ("report", "--since", "yesterday"),
        ("experts", "drift", "--since", "yesterday"),
        ("thread", "list", "--limit", "0"),
        ("thread", "show"),
        ("prices", ""),
        ("prices", "gpt-6.1-sol", "--api", "smoke_signals"),
        ("prices", "gpt-6.1-sol", "--tokens-in", "-1"),
        ("ledger", "search"),
        ("ledger", "search", " "),
        ("ledger", "list", "--limit", "0"),
        ("ledger", "export", "--format", "xml"),
        ("outcome", "q_1", "great"),
        ("ask", "?", "--confidence", "high"),
        ("ask", "?", "--context", "@/no/such/file"),
        ("demo", "--tasks", "100000"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2_and_says_so(arguments: tuple[str, ...]) -> None:
    ended = ask_expert(*arguments)

    assert (ended.status, ended.out) == (2, "")
    assert "Error: " in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("command", ["list", "replay"], ids=["short", "long"])
def test_nothing_is_said_when_the_reader_of_a_pipe_has_gone(command: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "ask_expert", "policy", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as replaying:
        assert replaying.stdout is not None
        replaying.stdout.close()  # before the interpreter has come up
        assert replaying.stderr is not None
        said = replaying.stderr.read()

    assert said == b""
    assert replaying.returncode in {0, 1}
