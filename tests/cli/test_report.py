import json
from pathlib import Path

from tests.cli.running import KEY, ask_expert, settings_for
from tests.fakes.provider import Provider


def test_the_whole_loop_ends_in_a_report(home: Path) -> None:
    with Provider() as provider:
        (home / "settings.yaml").write_text(settings_for(provider.url))
        first = json.loads(ask_expert("ask", "--json", "Why?", environ=KEY).out)
        again = json.loads(ask_expert("ask", "--json", "Why?", environ=KEY).out)
        ask_expert("outcome", first["question_id"], "helped", "--note", "tests pass")

        report = json.loads(ask_expert("report", "--json").out)

    assert len(provider.requests) == 1
    assert (first["cached"], again["cached"]) == (False, True)
    assert {
        name: report[name]
        for name in (
            "questions",
            "escalations",
            "escalation_rate",
            "answered",
            "cached",
        )
    } == {
        "questions": 2,
        "escalations": 1,
        "escalation_rate": 0.5,
        "answered": 1,
        "cached": 1,
    }
    assert report["cost_usd"] == 0.00042
    assert report["cost_usd_by_expert"] == {"flagship": 0.00042}
    assert report["tokens"] == {"input": 120, "output": 30, "cached": 0, "reasoning": 0}
    assert report["outcomes"]["helped"] == 1
    day = next(each for each in report["budgets"] if each["scope"] == "day")
    assert (day["spent_usd"], day["reserved_usd"]) == (0.00042, 0)
    assert {"scope", "window", "cap_usd", "spent_usd", "reserved_usd"} <= set(day)


def test_a_report_for_people_is_plain_text_in_a_pipe(home: Path) -> None:
    ended = ask_expert("report")

    assert ended.status == 0
    assert ended.out.startswith("Questions\nquestions  0\n")
    assert "\x1b" not in ended.out


def test_a_report_works_without_the_budgets_of_a_broken_policy(home: Path) -> None:
    (home / "settings.yaml").write_text("policy: ballanced\n")

    ended = ask_expert("report", "--json")

    assert ended.status == 0
    assert json.loads(ended.out)["budgets"] is None
    assert "did you mean 'balanced'?" in ended.err


def test_settings_that_cannot_be_read_are_said_and_the_report_is_shown(
    home: Path,
) -> None:
    (home / "settings.yaml").write_bytes(b"policy: \xff\n")

    ended = ask_expert("report")

    assert ended.status == 0
    assert "settings.yaml:1: is not UTF-8 text" in ended.err


def test_a_malformed_time_says_what_would_be_right(home: Path) -> None:
    ended = ask_expert("report", "--since", "soon")

    assert ended.status == 2
    assert "24h, 7d" in ended.err


def test_the_home_option_comes_before_the_variable(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"

    ask_expert("report", "--home", str(other))

    assert (other / "ledger.db").exists()
    assert not (home / "ledger.db").exists()
