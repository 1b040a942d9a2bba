import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ask_expert.confidence.calibration import store
from ask_expert.confidence.calibration.calibrate import Labelled, calibrate
from ask_expert.confidence.calibration.document import Document, Target, apply, parse
from ask_expert.confidence.calibration.fit import calibrated
from ask_expert.errors import ConfigError

MOMENT = "2026-11-22T12:00:00Z"


def labelled(
    count: int, *, target: Target = "local", model: str = "qwen", kind: str = "any"
) -> Labelled:
    rng = np.random.default_rng(count)
    truth = rng.random(count)
    right = (rng.random(count) < truth).astype(float)
    return Labelled(
        model=model,
        kind=kind,
        target=target,
        right=right,
        tasks=tuple(f"t{each}" for each in range(count)),
        signals={
            "vote_share": np.clip(truth + rng.normal(size=count) * 0.1, 0, 1),
            "vote_entropy": -(1 - truth) * 2,
            "noise": rng.normal(size=count),
        },
        falling=frozenset({"vote_entropy"}),
    )


def document(count: int, **options: Any) -> Document:
    found = calibrate(labelled(count, **options), folds=5, seed=0, fitted_at=MOMENT)
    return Document().with_fit(found.fit)


@pytest.mark.parametrize("count", [120, 400])
def test_what_is_applied_is_what_was_fitted(count: int) -> None:
    outcomes = labelled(count)
    values = outcomes.signals["vote_share"]
    kept = parse(document(count).model_dump_json())

    curve = calibrated(values, outcomes.right)

    assert curve is not None
    for value in (0.0, 0.2, 0.5, 0.77, 1.0):
        found = apply(kept, {"vote_share": value}, model="qwen")
        expected = float(curve(np.array([value]))[0])
        assert found.probability == pytest.approx(expected)
        assert found.signals == ("vote_share",)


def test_all_signals_are_taken_together_where_they_are_there() -> None:
    kept = document(400)

    sure = apply(kept, {"vote_share": 0.9, "vote_entropy": 0.1}, model="qwen")
    unsure = apply(kept, {"vote_share": 0.2, "vote_entropy": 1.5}, model="qwen")

    assert {*sure.signals} == {"vote_share", "vote_entropy"}
    assert sure.probability is not None
    assert unsure.probability is not None
    assert unsure.probability < 0.4
    assert sure.probability > 0.7


def test_noise_goes_into_no_formula() -> None:
    fit = document(400).fits[0]

    assert [row.used for row in fit.signals if row.name == "noise"] == [False]
    assert all("noise" not in each.signals for each in fit.formulas)


def test_a_missing_signal_is_never_guessed() -> None:
    found = apply(
        document(400), {"noise": 0.3, "vote_share": float("nan")}, model="qwen"
    )

    assert found.probability is None
    assert found.reason == "not measured: vote_entropy, vote_share"


def test_a_calibration_of_another_model_says_nothing() -> None:
    found = apply(document(400), {"vote_share": 0.9}, model="llama")

    assert found.probability is None
    assert found.reason == "no calibration for 'llama', only for qwen"


def test_one_of_another_kind_says_nothing_and_one_of_any_kind_serves_all() -> None:
    of_code, of_any = document(400, kind="code"), document(400)

    assert apply(of_code, {"vote_share": 0.9}, model="qwen", kind="number") == apply(
        of_code, {"vote_share": 0.9}, model="qwen", kind="number"
    )
    lone = apply(of_code, {"vote_share": 0.9}, model="qwen", kind="number")
    assert lone.reason == "no calibration for kind 'number'"
    served = apply(of_any, {"vote_share": 0.9}, model="qwen", kind="number")
    assert served.probability is not None


@pytest.mark.parametrize("count", [0, 1, 49])
def test_too_few_outcomes_are_uncalibrated_and_say_how_many_are_missing(
    count: int,
) -> None:
    fit = document(count).fits[0]

    assert fit.formulas == ()
    assert fit.reason == f"{count} outcomes; {50 - count} more are needed"
    said = apply(Document(fits=(fit,)), {"vote_share": 0.9}, model="qwen")
    assert (said.probability, said.reason) == (None, fit.reason)


def test_the_expert_has_a_base_rate_where_no_signal_tells() -> None:
    whole = labelled(100, target="expert")
    bare = Labelled(
        model="qwen",
        target="expert",
        right=whole.right,
        tasks=whole.tasks,
        signals={"noise": whole.signals["noise"]},
    )
    fit = calibrate(bare, folds=5, seed=0, fitted_at=MOMENT).fit

    found = apply(Document(fits=(fit,)), {}, model="qwen", target="expert")

    assert found.method == "base rate"
    assert found.probability == pytest.approx(whole.right.mean(), abs=0.01)


def test_a_new_fit_takes_the_place_of_the_last_one_like_it() -> None:
    first, other = document(100).fits[0], document(100, model="llama").fits[0]

    kept = Document().with_fit(first).with_fit(other).with_fit(document(120).fits[0])

    assert [(fit.model, fit.outcomes) for fit in kept.fits] == [
        ("llama", 100),
        ("qwen", 120),
    ]


def broken(**changes: object) -> str:
    found = json.loads(document(400).model_dump_json())
    found["fits"][0]["formulas"][0].update(changes)
    return json.dumps(found)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("[]", "version None"),
        ('{"version": 2, "fits": []}', "version 2; this program reads 1"),
        ('{"version": 1, "fits": [{}]}', "Field required"),
        (broken(spread=[0.0, 1.0]), "make no sense"),
        (broken(weights=[1.0]), "make no sense"),
        (broken(table=[[0, 0.9], [1, 0.1]]), "make no sense"),
        (broken(table=[[0, 0.1], [1, 1.1]]), "make no sense"),
        (broken(intercept=None), "make no sense"),
    ],
)
def test_a_file_that_cannot_be_applied_is_refused_with_the_reason(
    text: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason) as refused:
        parse(text)

    assert "ask-expert calibrate" in str(refused.value)


def test_it_is_kept_for_its_user_only_and_read_back(tmp_path: Path) -> None:
    home = tmp_path / "home"
    kept = document(400)

    path = store.save(home, kept)
    store.save(home, kept)

    assert store.load(home) == kept
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(home) == ["calibration.json"]  # noqa: PTH208  # hidden ones too


def test_without_a_file_nothing_is_calibrated(tmp_path: Path) -> None:
    assert store.load(tmp_path) == Document()


def test_a_file_that_cannot_be_read_or_written_says_so(tmp_path: Path) -> None:
    (tmp_path / store.NAME).mkdir()

    with pytest.raises(ConfigError, match="cannot be read"):
        store.load(tmp_path)
    with pytest.raises(ConfigError, match="cannot be written"):
        store.save(tmp_path, Document())

    assert os.listdir(tmp_path) == ["calibration.json"]  # noqa: PTH208  # hidden too


def test_applying_loads_no_numerical_library() -> None:
    code = (
        "import sys;"
        "from ask_expert.confidence.calibration import store;"
        "from ask_expert.confidence.calibration.document import apply;"
        "assert not {'numpy', 'scipy', 'sklearn'} & sys.modules.keys()"
    )

    done = subprocess.run([sys.executable, "-c", code], check=False)

    assert done.returncode == 0
