from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ask_expert.evaluation.replay import forms
from ask_expert.evaluation.replay.run import Replay, replay
from ask_expert.evaluation.replay.table import Columns, Outcomes, outcomes_of, read

DATA = Path(__file__).parent / "data"
COLUMNS = Columns(weak="weak_correct", strong="strong_correct")


def outcomes(count: int, *, seed: int = 0, leak: Sequence[str] = ()) -> Outcomes:
    """Return rows whose `vote` tells the local model right, and noise beside it."""
    rng = np.random.default_rng(seed)
    sure = rng.random(count)
    weak = (rng.random(count) < sure).astype(float)
    signals = {
        "vote": sure,
        "inverted": -sure,
        "noise": rng.normal(size=count),
    }
    return Outcomes(
        ids=tuple(f"i{each}" for each in range(count)),
        weak=weak,
        strong=(rng.random(count) < 0.9).astype(float),
        prompts=tuple(leak) or None,
        signals={} if leak else signals,
    )


def used(found: Replay) -> dict[str, bool]:
    return {each.signal: each.used for each in found.gates}


def test_a_signal_is_used_noise_is_not_and_an_inverted_one_is_not_turned() -> None:
    found = replay(outcomes(400))

    assert used(found) == {"vote": True, "inverted": False, "noise": False}
    assert found.decided.used_in["vote"] == 5
    assert found.decided.used_in["inverted"] == 0
    assert (found.ours.figures["apgr"] or 0) > 0.7
    assert found.ece["after"] < 0.1


@pytest.mark.parametrize("name", ["noise", "inverted"])
def test_with_nothing_but_a_useless_signal_the_decision_is_a_draw(name: str) -> None:
    whole = outcomes(300)
    only = Outcomes(
        ids=whole.ids,
        weak=whole.weak,
        strong=whole.strong,
        signals={name: whole.signals[name]},
    )

    found = replay(only)

    assert found.ours.figures["apgr"] == pytest.approx(0.5)
    assert any("our decision is a draw" in each for each in found.notes)


def test_a_name_that_one_item_alone_has_does_not_raise_the_score_out_of_fold() -> None:
    names = [f"token{each}" for each in np.random.default_rng(1).permutation(400)]

    found = replay(outcomes(400, leak=names))

    assert found.gain_auroc.low is not None
    assert found.gain_auroc.low < 0.5


def test_the_marks_of_the_real_sample_are_reproduced() -> None:
    table = read(DATA / "gsm8k_sample.csv", COLUMNS)

    found = forms.as_json(replay(table))

    baselines = found["baselines"]
    assert isinstance(baselines, dict)
    lengths = np.array([float(len(each)) for each in table.prompts or ()])
    gap = (table.strong - table.weak).sum()
    wins = (lengths[:, None] < lengths) + 0.5 * (lengths[:, None] == lengths)
    area = ((table.strong - table.weak) * wins.mean(axis=1)).sum()
    assert baselines["random"]["apgr"] == pytest.approx(0.5)
    assert baselines["length"]["apgr"] == pytest.approx(1 - area / gap, abs=1e-6)
    assert baselines["group"] is None
    assert baselines["oracle"]["apgr"] > 1
    assert {"apgr", "cpt50", "cpt80", "auroc", "ece", "calls_at_95"} <= found.keys()
    assert {"cost_at_95", "curve"} <= found.keys()
    assert "contaminated" in str(found["notes"])


def test_the_same_seed_gives_the_same_replay() -> None:
    table = read(DATA / "mmlu_sample.csv", COLUMNS)

    one, other = forms.as_json(replay(table)), forms.as_json(replay(table))

    assert one == other
    assert one["baselines"]["group"] is not None  # pyright: ignore[reportIndexIssue]


HEADER = ["item_id", "weak_correct", "strong_correct", "prompt", "group", "s"]


@pytest.mark.parametrize(
    "rows",
    [
        [["a", "0", "1", "p", "g", "0.1"], ["b", "1", "1", "q", "h", "0.9"]],
        [["a", "0", "1", "p", "g", "0.1"]] * 12,
        [[f"i{k}", "1", "1", f"p {k}", "g", "1"] for k in range(60)],
        [[f"i{k}", "1", "0", f"p {k}", str(k), "nan"] for k in range(60)],
        [[f"i{k}", "0", "0", "", "", ""] for k in range(60)],
        [[f"i{k}", str(k % 2), "1", "same", "same", "1"] for k in range(60)],
        [[f"i{k % 7}", str(k % 2), "0.5", "é" * k, "", "inf"] for k in range(260)],
    ],
)
def test_odd_tables_give_a_replay_and_say_what_is_odd(rows: list[list[str]]) -> None:
    columns = Columns(weak="weak_correct", strong="strong_correct", signals=("s",))
    table = outcomes_of(HEADER, rows, columns)

    found = replay(table)

    assert len(forms.rows(found)) == 5
    assert forms.as_json(found)["items"] == len(rows)
    assert found.notes
