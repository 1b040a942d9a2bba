"""`ask-expert local serve`, with a program `vllm` that behaves as told."""

import signal
import socket
import time
from pathlib import Path

import pytest
import yaml

from tests.cli.running import ask_expert
from tests.local.vllm_program import WITHIN_S, is_gone, served, written


def settings(home: Path) -> object:
    return yaml.safe_load((home / "settings.yaml").read_text())


def test_it_waits_for_health_writes_the_settings_and_stops_when_told(
    tmp_path: Path, home: Path
) -> None:
    home.mkdir(exist_ok=True)
    (home / "settings.yaml").write_text("# mine\npolicy: frugal  # cheap\n")

    with served(
        tmp_path / "v", home, "--name", "qwen", "--", "--dtype", "auto", healthy_after=3
    ) as running:
        running.until_said("`local:` is written to")
        status = running.ended(signal.SIGTERM)

    url = f"http://127.0.0.1:{running.port}"
    assert status == 0
    assert settings(home) == {
        "policy": "frugal",
        "local": {"base_url": f"{url}/v1", "model": "qwen"},
    }
    text = (home / "settings.yaml").read_text()
    assert text.startswith("# mine\npolicy: frugal  # cheap\n")
    assert (
        home / "settings.yaml.bak"
    ).read_text() == "# mine\npolicy: frugal  # cheap\n"
    assert f"waiting for {url}/health, up to 1800 s" in running.said
    assert "vllm says hello" in running.said
    assert "vllm says goodbye" in running.said
    (start,) = running.starts
    assert start[:2] == ["serve", "some/qwen3-8b"]
    assert start[-2:] == ["--dtype", "auto"]
    assert "hermes" in start


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_its_exit_status_passes_through(
    tmp_path: Path, home: Path, number: signal.Signals
) -> None:
    with served(tmp_path / "v", home, stops_with=5) as running:
        running.until_said("`local:` is written to")
        status = running.ended(number)

    assert status == 5


def test_what_the_server_started_is_ended_with_it(tmp_path: Path, home: Path) -> None:
    with served(tmp_path / "v", home, helper=True) as running:
        running.until_said("is served at")
        helper = int((running.place / "helper").read_text())
        alive = not is_gone(helper)
        running.ended(signal.SIGINT)

    assert alive
    deadline = time.monotonic() + WITHIN_S
    while not is_gone(helper):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_one_that_does_not_listen_is_ended_by_a_second_signal(
    tmp_path: Path, home: Path
) -> None:
    with served(tmp_path / "v", home, deaf=True) as running:
        running.until_said("is served at")
        running.process.send_signal(signal.SIGINT)
        running.until_said("stopping it")
        status = running.ended(signal.SIGINT)

    assert status == 128 + signal.SIGKILL


def test_after_a_crash_it_starts_again(tmp_path: Path, home: Path) -> None:
    with served(tmp_path / "v", home) as running:
        running.until_said("is served at")
        running.poke("/crash")
        running.until_said("it ended with status 7; start 1 of at most 3 again in 1 s")
        deadline = time.monotonic() + WITHIN_S
        while len(running.starts) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        status = running.ended(signal.SIGTERM)

    assert status in {0, 128 + signal.SIGTERM}  # it may be told before it listens
    assert len(running.starts) == 2
    assert running.said.count("`local:` is written") == 1


def test_one_that_crashes_again_and_again_is_given_up(
    tmp_path: Path, home: Path
) -> None:
    with served(tmp_path / "v", home, "--restarts", "1", crashes=9) as running:
        status = running.ended()

    assert status == 7
    assert len(running.starts) == 2
    assert "it crashed 2 times in a row; given up" in running.said


def test_one_that_was_never_healthy_is_not_started_again(
    tmp_path: Path, home: Path
) -> None:
    with served(tmp_path / "v", home, ends_at_once=3) as running:
        status = running.ended()

    assert status == 3
    assert len(running.starts) == 1
    assert not (home / "settings.yaml").exists()


def test_one_that_ends_by_itself_in_peace_is_not_started_again(
    tmp_path: Path, home: Path
) -> None:
    with served(tmp_path / "v", home) as running:
        running.until_said("is served at")
        running.poke("/end")
        status = running.ended()

    assert status == 0
    assert len(running.starts) == 1


def test_one_that_is_not_healthy_in_time_is_stopped_and_said(
    tmp_path: Path, home: Path
) -> None:
    with served(tmp_path / "v", home, "--ready-within", "1", never=True) as running:
        status = running.ended()

    assert status == 1
    assert "/health did not answer within 1 s." in running.said
    assert not (home / "settings.yaml").exists()


def test_another_local_server_in_the_settings_is_kept_unless_forced(
    tmp_path: Path, home: Path
) -> None:
    before = "local: {base_url: http://127.0.0.1:1/v1, model: other}  # mine\n"
    home.mkdir(exist_ok=True)
    (home / "settings.yaml").write_text(before)

    with served(tmp_path / "refused", home) as refused:
        status = refused.ended()
    with served(tmp_path / "alone", home, "--no-write-settings") as alone:
        alone.until_said("is served at")
        alone.ended(signal.SIGTERM)
    after = (home / "settings.yaml").read_text()
    with served(tmp_path / "forced", home, "--force") as forced:
        forced.until_said("`local:` is written to")
        forced.ended(signal.SIGTERM)

    assert status == 1
    assert "names other at http://127.0.0.1:1/v1; --force replaces that" in refused.said
    assert not (refused.place / "starts").exists()
    assert after == before
    assert (home / "settings.yaml.bak").read_text() == before
    assert settings(home) == {
        "local": {
            "base_url": f"http://127.0.0.1:{forced.port}/v1",
            "model": "some/qwen3-8b",
        }
    }


def test_settings_that_name_it_already_are_not_touched(
    tmp_path: Path, home: Path
) -> None:
    with served(tmp_path / "v", home) as first:
        first.until_said("`local:` is written to")
        first.ended(signal.SIGTERM)
    text = (home / "settings.yaml").read_text() + "# a word of mine\n"
    (home / "settings.yaml").write_text(text)

    with served(tmp_path / "w", home, "--port", str(first.port)) as second:
        second.port = first.port
        second.until_said("is served at")
        second.ended(signal.SIGTERM)

    assert (home / "settings.yaml").read_text() == text
    assert not (home / "settings.yaml.bak").exists()


def test_a_port_that_is_taken_is_said_before_anything_starts(
    tmp_path: Path, home: Path
) -> None:
    environ = written(tmp_path / "v")

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = ask_expert("local", "serve", "m", "--port", str(port), environ=environ)

    assert done.status == 1
    assert f"127.0.0.1:{port} cannot be listened on" in done.err
    assert not (tmp_path / "v" / "starts").exists()


def test_without_vllm_the_line_that_installs_it_is_given(
    tmp_path: Path, home: Path
) -> None:
    done = ask_expert("local", "serve", "m", environ={"PATH": str(tmp_path)})

    assert done.status == 1
    assert done.err == (
        "ask-expert: serving a local model needs vLLM: pip install 'ask-expert[vllm]'\n"
    )


def test_a_flag_that_is_ours_to_give_is_refused(tmp_path: Path, home: Path) -> None:
    environ = written(tmp_path / "v")

    done = ask_expert("local", "serve", "m", "--", "--port=1", environ=environ)

    assert done.status == 1
    assert "give --port before `--`, not --port behind it" in done.err


def test_a_server_that_others_can_reach_without_a_key_is_said(
    tmp_path: Path, home: Path
) -> None:
    with served(tmp_path / "v", home, "--host", "0.0.0.0") as running:  # noqa: S104  # that is the point
        running.until_said("is served at")
        running.ended(signal.SIGTERM)

    assert "0.0.0.0 can be reached by others, and no key is asked for" in running.said
    assert f"served at http://127.0.0.1:{running.port}/v1" in running.said
