import json
from pathlib import Path
from typing import Any

from ask_expert.confidence.signals.registry import SIGNALS
from tests.cli.running import Ended, ask_expert
from tests.cli.test_doctor import items
from tests.local.fake_model import serving
from tests.local.fake_vllm import FakeVllm

GIVEN = [
    "stated_confidence",
    "failed_attempts",
    "check_failed",
    "repeated_error",
    "stalled",
]


def measured(home: Path, fake: FakeVllm, *more: str) -> Ended:
    with serving(fake.model()) as server:
        local = f"local: {{base_url: {server.url}, model: tiny}}\n"
        (home / "settings.yaml").write_text(local)
        return ask_expert("assess", "What is 2 + 2?", *more)


def test_every_signal_is_printed_with_value_cost_and_reason(home: Path) -> None:
    ended = measured(home, FakeVllm(), "--confidence", "0.7", "--json")

    assert ended.status == 0, ended.err
    told: dict[str, Any] = json.loads(ended.out)
    signals = {each["name"]: each for each in told["signals"]}
    assert list(signals) == [*GIVEN, *SIGNALS]
    assert all(
        (each["value"] is None) == bool(each["why_absent"]) for each in signals.values()
    )
    assert signals["stated_confidence"]["value"] == 0.7
    assert signals["vote_share"] == {
        "name": "vote_share",
        "value": 1.0,
        "tokens": signals["vote_share"]["tokens"],
        "seconds": signals["vote_share"]["seconds"],
        "why_absent": None,
    }
    assert signals["model_agreement"]["why_absent"] == "no second local model is set up"
    assert sum(each["tokens"] for each in signals.values()) == told["tokens"] > 0
    assert (told["kind"], told["kind_given"]) == ("number", False)
    assert told["answer"] == "Answer: 4"
    assert told["server"] == "vllm 0.32.0"
    assert told["prefix_cache"]["hit_rate"] > 0
    assert told["confidence"] == "uncalibrated"
    assert told["calibration"] == "no calibration for 'tiny', none at all"


def test_the_table_says_the_same_for_people(home: Path) -> None:
    ended = measured(home, FakeVllm(), "--signal", "mean_logprob", "--kind", "number")

    assert ended.status == 0, ended.err
    assert "mean_logprob       -0.1" in ended.out
    assert "vote_share" not in ended.out
    assert "no attempts" in ended.out
    assert "confidence      uncalibrated" in ended.out


def test_a_calibration_turns_the_signals_into_a_confidence(home: Path) -> None:
    formula = {
        "method": "isotonic",
        "signals": ["mean_logprob"],
        "table": [[-1.0, 0.2], [0.0, 0.8]],
    }
    fit = {
        "model": "tiny",
        "kind": "any",
        "target": "local",
        "outcomes": 300,
        "right": 150,
        "folds": 5,
        "seed": 0,
        "fitted_at": "2026-11-22T00:00:00+00:00",
        "inputs": "0" * 64,
        "signals": [],
        "formulas": [formula],
    }
    document = {"version": 1, "fits": [fit]}
    (home / "calibration.json").write_text(json.dumps(document))

    ended = measured(home, FakeVllm(), "--json")

    told = json.loads(ended.out)
    assert abs(told["confidence"] - 0.74) < 1e-9
    assert told["calibration"] == "isotonic"


def test_a_server_that_is_down_is_a_reason_and_no_failure(home: Path) -> None:
    local = "local: {base_url: http://127.0.0.1:1/v1, model: tiny}\n"
    (home / "settings.yaml").write_text(local)

    ended = ask_expert("assess", "What is 2 + 2?", "--json")

    assert ended.status == 0, ended.err
    told = json.loads(ended.out)
    reasons = {
        each["why_absent"] for each in told["signals"] if each["name"] in SIGNALS
    }
    assert len(reasons) == 1
    assert "ConnectError" in reasons.pop()
    assert (told["server"], told["tokens"]) == (None, 0)


def test_without_a_local_model_it_says_what_to_set(home: Path) -> None:
    ended = ask_expert("assess", "What is 2 + 2?")

    assert ended.status == 1
    assert "no local model is set up; give `local:` in settings.yaml" in ended.err


def test_a_signal_or_kind_that_is_none_names_the_nearest(home: Path) -> None:
    signal = measured(home, FakeVllm(), "--signal", "vote_shares")
    kind = measured(home, FakeVllm(), "--kind", "numbre")

    assert (signal.status, kind.status) == (2, 2)
    assert "did you mean 'vote_share'?" in signal.err
    assert "did you mean 'number'?" in kind.err


def test_a_secret_in_the_question_does_not_reach_the_local_model(home: Path) -> None:
    fake = FakeVllm()
    key = "sk-ant-api03-" + "a1B2c3D4" * 6

    measured(home, fake, "--context", f"key = {key}", "--signal", "mean_logprob")

    assert fake.asked
    assert key not in json.dumps(fake.asked)


def test_the_doctor_says_what_the_server_gives_and_lacks(home: Path) -> None:
    fake = FakeVllm(lacks=["prompt_logprobs", "echo"])

    with serving(fake.model()) as server:
        local = f"local: {{base_url: {server.url}, model: tiny}}\n"
        (home / "settings.yaml").write_text(local)
        ended = ask_expert("doctor", "--json")
        asked = len(fake.asked)
        ask_expert("doctor", "--json")

    ((state, message),) = items(ended, "local model gives")
    assert state == "ok"
    assert "vllm 0.32.0 gives logprobs, n, seeds" in message
    assert "lacks prompt_logprobs (it takes no notice of the wish); echo (" in message
    assert "so these signals are off: draft_logprob" in message
    assert len(fake.asked) == asked
