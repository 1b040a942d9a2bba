import json
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ask_expert.ledger.store import Ledger
from tests.cli.running import Ended, ask_expert
from tests.report.ledgers import answered, decided, record, told

HEADER = "item_id,weak_correct,strong_correct,vote_share,noise,upside_down"


def table(tmp_path: Path, count: int) -> Path:
    rng = np.random.default_rng(count)
    sure = rng.random(count)
    weak, strong = rng.random(count) < sure, rng.random(count) < 0.5 + sure / 2
    lines = [
        f"i{k},{int(weak[k])},{int(strong[k])},{sure[k]:.4f},{rng.normal():.4f},"
        f"{-sure[k]:.4f}"
        for k in range(count)
    ]
    path = tmp_path / "outcomes.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return path


def calibrate(*arguments: str) -> Ended:
    return ask_expert("calibrate", "--model", "qwen", *arguments)


def of_json(done: Ended) -> dict[str, Any]:
    assert (done.status, done.err) == (0, "")
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_a_table_is_calibrated_and_kept_for_its_user_only(
    tmp_path: Path, home: Path
) -> None:
    path = table(tmp_path, 300)

    found = of_json(calibrate("--from", str(path), "--json"))

    local = found["targets"]["local"]
    assert (local["calibration"], local["outcomes"]) == ("isotonic", 300)
    assert {each["name"]: each["used"] for each in local["signals"]} == {
        "vote_share": True,
        "noise": False,
        "upside_down": False,
    }
    assert local["auroc"] > 0.75
    assert found["targets"]["expert"]["calibration"] == "isotonic"
    assert sum(row["outcomes"] for row in local["reliability"]) == 300
    kept = home / "calibration.json"
    assert found["saved"] == str(kept)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_it_is_shown_with_a_table_a_plot_and_what_was_switched_off(
    tmp_path: Path, home: Path
) -> None:
    picture = tmp_path / "plot.svg"

    done = calibrate(
        "--from",
        str(table(tmp_path, 120)),
        "--dry-run",
        "--risk",
        "0.3",
        "--plot",
        str(picture),
    )

    assert done.status == 0
    assert "P(local right): logistic, 120 outcomes" in done.out
    assert "ranks worse than chance; it is not turned upside down" in done.out
    assert "guarantee" in done.out
    assert "█" in done.out
    assert done.out.endswith("Nothing was kept.\n")
    assert not (home / "calibration.json").exists()
    assert picture.read_text("utf-8").startswith("<svg ")


def test_a_later_calibration_says_whether_the_last_one_still_held(
    tmp_path: Path,
) -> None:
    path = table(tmp_path, 300)
    calibrate("--from", str(path))
    worse = [f"n{k},0,1,0.95,0,0" for k in range(60)]
    path.write_text(path.read_text("utf-8") + "\n".join(worse) + "\n", "utf-8")

    found = of_json(calibrate("--from", str(path), "--json"))

    drift = found["targets"]["local"]["drift"]
    assert (drift["new_outcomes"], drift["drifted"]) == (60, True)


def test_an_empty_ledger_says_how_many_outcomes_are_missing() -> None:
    done = calibrate()

    assert done.status == 0
    assert "P(local right): uncalibrated, 0 outcomes" in done.out
    assert "0 outcomes; 50 more are needed" in done.out


def test_the_ledgers_reports_label_whoever_worked_on_the_question(home: Path) -> None:
    ledger = Ledger.open(home / "ledger.db")
    for number in range(60):
        good = number % 3 > 0
        facts = {"vote_share": 0.5 + good * 0.4 - (number % 5) / 50}
        ledger.record(
            record(f"q_{number}", status="stay_local", task=f"t_{number}", facts=facts)
        )
        told(ledger, f"q_{number}", "helped", solved=good)
    decided(ledger, "q_silent", "stay_local")
    answered(ledger, "q_asked", fields={"facts": {"vote_share": 0.1}})
    told(ledger, "q_asked", "helped", solved=True)
    answered(ledger, "q_vague", fields={"facts": {"vote_share": 0.1}})
    told(ledger, "q_vague", "no_difference", source="person")
    ledger.close()

    found = of_json(calibrate("--json"))

    local, expert = found["targets"]["local"], found["targets"]["expert"]
    assert (local["outcomes"], local["right"]) == (60, 40)
    assert local["calibration"] == "logistic"
    assert local["signals_used"] == ["vote_share"]
    assert (expert["outcomes"], expert["calibration"]) == (1, "uncalibrated")
    assert expert["reason"] == "1 outcomes; 49 more are needed"


def test_without_a_model_the_settings_name_it_or_nothing_is_done() -> None:
    done = ask_expert("calibrate")

    assert done.status == 1
    assert "no local model is named" in done.err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("item_id,right\na,1\n", "has no column 'weak_correct'"),
        ("item_id,weak_correct,q\na,7,1\n", "goes beyond 0 to 1"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text, encoding="utf-8")

    done = calibrate("--from", str(path))

    assert (done.status, done.out) == (1, "")
    assert reason in done.err
    assert "Traceback" not in done.err


def test_a_calibration_of_another_version_is_refused(
    tmp_path: Path, home: Path
) -> None:
    home.mkdir(exist_ok=True)
    (home / "calibration.json").write_text('{"version": 9}', encoding="utf-8")

    done = calibrate("--from", str(table(tmp_path, 60)))

    assert done.status == 1
    assert "version 9; this program reads 1" in done.err


def test_a_replay_prints_our_decision_beside_the_trivial_ones(tmp_path: Path) -> None:
    path = str(table(tmp_path, 120))

    shown = ask_expert("replay", "--outcomes", path, "--signals", "vote_share,noise")
    found = of_json(
        ask_expert("replay", "--outcomes", path, "--signals=vote_share", "--json")
    )

    assert shown.status == 0
    assert "signal noise" in shown.out
    assert "switched off: ranks no better than chance" in shown.out
    assert "There is no prompt" not in shown.out
    assert {*found["baselines"]} == {"random", "length", "group", "oracle"}
    assert found["baselines"]["random"]["apgr"] == 0.5
    assert found["signals"][0]["used"] is True
    assert len(found["curve"]) == 101


def test_a_replay_of_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    done = ask_expert("replay", "--outcomes", str(tmp_path / "none.csv"))

    assert done.status == 1
    assert "cannot be read" in done.err
    assert "Traceback" not in done.err
