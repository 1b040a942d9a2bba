"""`make test-live`, run on loopback providers: what it asks, tells and refuses."""

import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.end_to_end.support import environment, expert, write_settings
from tests.fakes.provider import Provider
from tests.fakes.shapes import Behaviour


@pytest.fixture
def provider() -> Generator[Provider]:
    with Provider(Behaviour(text="42", input_tokens=200, output_tokens=10)) as serving:
        yield serving


def live(home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.real_servers.live"],
        env=environment(home, **more),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_each_expert_is_asked_once_and_a_line_tells_what_came_of_it(
    home: Path, provider: Provider
) -> None:
    chat = expert(provider.url, name="chat")
    claude = expert(provider.url, name="claude", api="anthropic", base_url=provider.url)
    write_settings(home, chat, claude)

    done = live(home)

    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert len(lines) == 3
    assert lines[0].startswith("PASS    chat: asked some-model, served some-model")
    assert lines[1].startswith("PASS    claude: asked some-model, served some-model")
    assert (
        "cost $0.0003 by us, no figure by the provider, booked $0.0003 (settings)"
        in lines[0]
    )
    assert "request req_" in lines[0]
    assert lines[2] == "spent $0.0006 of $0.10"
    assert len(provider.requests) == 2
    assert b"17 + 25" in provider.requests[0].body


def test_an_expert_too_dear_for_the_ten_cents_is_refused_and_not_asked(
    home: Path, provider: Provider
) -> None:
    price = {"input_per_mtok": "5000", "output_per_mtok": "20000"}
    dear = expert(provider.url, name="dear", price=price)
    write_settings(home, dear, expert(provider.url, name="cheap"))

    done = live(home)

    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert lines[0].startswith("FAIL    dear: not asked: refused: ")
    assert "$0.10" in lines[0]
    assert lines[1].startswith("PASS    cheap: ")
    assert len(provider.requests) == 1


def test_what_the_first_expert_cost_is_gone_for_the_second(
    home: Path, provider: Provider
) -> None:
    price = {"input_per_mtok": "0", "output_per_mtok": "190"}
    provider.default = Behaviour(text="42", input_tokens=200, output_tokens=450)
    experts = [expert(provider.url, name=name, price=price) for name in ("one", "two")]
    write_settings(home, *experts)

    done = live(home)

    first, second, spent = done.stdout.splitlines()
    assert first.startswith("PASS    one: ")
    assert second.startswith("FAIL    two: not asked: refused: ")
    assert spent == "spent $0.0855 of $0.10"
    assert len(provider.requests) == 1


def test_without_any_key_it_says_so_and_nothing_failed(home: Path) -> None:
    done = live(home)

    assert done.returncode == 0
    assert done.stdout == "SKIPPED: no key, so no provider was asked\n"


def test_an_expert_without_a_key_is_named_and_the_others_are_asked(
    home: Path, provider: Provider
) -> None:
    keyless = expert(provider.url, name="keyless", key_env="NO_SUCH_VARIABLE")
    write_settings(home, keyless, expert(provider.url, name="chat"))

    done = live(home)

    assert done.returncode == 0, done.stdout
    assert "SKIPPED keyless: expert 'keyless' has no key" in done.stdout
    assert "PASS    chat: " in done.stdout


def test_a_wrong_key_fails_with_what_to_do_and_shows_no_key(
    home: Path, provider: Provider
) -> None:
    provider.key = "sk-right-0123456789"
    write_settings(home, expert(provider.url, key_env="LIVE_VARIABLE"))

    done = live(home, LIVE_VARIABLE="sk-wrong-0123456789")

    assert done.returncode == 1
    assert "FAIL    flagship: unavailable: " in done.stdout
    assert "Check the key in LIVE_VARIABLE" in done.stdout
    assert "sk-wrong" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("told_usd", "verdict"), [("0.000301", "PASS"), ("0.0006", "FAIL")]
)
def test_a_providers_own_figure_may_differ_by_one_percent(
    home: Path, provider: Provider, told_usd: str, verdict: str
) -> None:
    base = provider.base("openrouter")
    router = expert(provider.url, name="router", api="openrouter", base_url=base)
    write_settings(home, router)
    provider.answer("42", input_tokens=200, output_tokens=10, cost_usd=told_usd)

    done = live(home)

    line, spent = done.stdout.splitlines()
    assert line.startswith(f"{verdict}    router: ")
    assert ("differs by more than 1 %" in line) is (verdict == "FAIL")
    assert f"cost $0.0003 by us, ${told_usd} by the provider" in line
    assert spent == f"spent ${told_usd} of $0.10"


def test_what_a_subscription_pays_for_has_no_price(home: Path) -> None:
    program = [sys.executable, "-c", "input(); print(42)"]
    facts = {"name": "plan", "api": "command", "model": "some-cli"}
    write_settings(home, {**facts, "command": program})

    done = live(home)

    line = done.stdout.splitlines()[0]
    assert line.startswith(
        "PASS    plan: asked some-cli, served not told; cost paid by"
    )
    assert "$" not in line


def test_the_users_own_ledger_is_left_alone(home: Path, provider: Provider) -> None:
    mine = home / "mine.db"
    write_settings(home, expert(provider.url), ledger=str(mine))

    done = live(home, ASK_EXPERT_LEDGER=str(mine), ASK_EXPERT_POLICY="frugal")

    assert done.returncode == 0, done.stdout
    assert not mine.exists()
    assert {path.name for path in home.iterdir()} == {"settings.yaml"}
