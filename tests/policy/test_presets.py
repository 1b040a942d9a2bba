import os
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

from ask_expert.errors import ConfigError
from ask_expert.policy.budgets import Budget
from ask_expert.policy.check import check
from ask_expert.policy.document import Policy
from ask_expert.policy.presets import PRESETS, load, preset
from ask_expert.policy.simulate import compare, replay, shipped_rows

ROOT = Path(__file__).parents[2]
ROWS = shipped_rows()


def named(name: str) -> Policy:
    return load(name, home=Path("/nowhere"))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_bears_its_name_and_holds_nothing_without_effect(name: str) -> None:
    policy = named(name)

    assert policy.name == name
    assert policy.ladder is None
    assert check(policy, ["flagship"]) == []


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_caps_every_call_task_day_and_month_in_usd(name: str) -> None:
    capped = {budget.scope for budget in named(name).budgets if budget.usd is not None}

    assert capped == {"call", "task", "day", "month"}


@pytest.mark.parametrize("name", PRESETS)
def test_no_preset_trusts_what_the_agent_states(name: str) -> None:
    facts = {fact for rule in named(name).rules for fact in rule.when}

    assert "stated_confidence" not in facts


@pytest.mark.parametrize("name", PRESETS)
def test_every_rule_of_a_preset_flips_a_decision_in_the_shipped_replay(
    name: str,
) -> None:
    policy = named(name)
    decisions = [decision.action for decision in replay(policy, ROWS)]

    for index, rule in enumerate(policy.rules):
        rest = (*policy.rules[:index], *policy.rules[index + 1 :])
        without = policy.model_copy(update={"rules": rest})
        changed = [decision.action for decision in replay(without, ROWS)]

        assert changed != decisions, rule.label


def test_any_two_presets_part_on_a_question_of_the_shipped_replay() -> None:
    table = compare([named(name) for name in PRESETS], ROWS)

    parted = {(each.first, each.second) for each in table.differences()}

    assert parted == set(combinations(PRESETS, 2))


def test_the_presets_escalate_in_the_order_of_what_they_spend() -> None:
    escalated = {
        name: sum(each.action == "escalate" for each in replay(named(name), ROWS))
        for name in PRESETS
    }

    assert escalated["human_in_the_loop"] == 0
    assert 0 < escalated["frugal"] < escalated["balanced"]
    assert escalated["balanced"] < escalated["quality"] < len(ROWS)
    assert escalated["balanced"] < escalated["research_holdout"] < len(ROWS)


def test_balanced_is_the_documented_one() -> None:
    policy = named("balanced")

    assert [rule.label for rule in policy.rules] == [
        "check_failed",
        "failed_attempts at_least 1",
        "repeated_error at_least 2",
        "confidence below 0.55",
        "asked_before at_least 1",
    ]
    assert {rule.then for rule in policy.rules} == {"escalate"}
    assert policy.budgets == (
        Budget.model_validate({"scope": "call", "usd": "0.50"}),
        Budget.model_validate({"scope": "task", "usd": 2, "calls": 4}),
        Budget.model_validate({"scope": "day", "usd": 5}),
        Budget.model_validate({"scope": "month", "per": ["expert"], "usd": 60}),
    )


def test_every_preset_file_explains_itself_to_people() -> None:
    for name in PRESETS:
        text = preset(name).read_text(encoding="utf-8")

        assert text.startswith(f"# {name}: ")


def test_there_is_no_policy_file_that_is_no_preset() -> None:
    assert {file.stem for file in (ROOT / "policies").iterdir()} == set(PRESETS)


def test_an_unknown_preset_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load("balancd", home=tmp_path)

    assert str(caught.value) == (
        "there is no policy 'balancd'; did you mean 'balanced'?"
    )


@pytest.mark.parametrize("given", ["mine.yaml", "./mine.yaml", "sub/../mine.yaml"])
def test_a_relative_path_starts_at_the_home(given: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "mine.yaml").write_text("name: mine\notherwise: refuse\n")

    assert load(given, home=tmp_path).otherwise == "refuse"


def test_a_file_without_a_suffix_is_found_too(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("name: mine\n")

    assert load("mine", home=tmp_path).name == "mine"


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\n")

    assert load(str(file), home=Path("/nowhere")).name == "mine"


@pytest.mark.parametrize("given", ["absent.yaml", "../absent", "a\0b.yaml"])
def test_a_missing_file_is_named(given: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(given, home=tmp_path)


def test_a_wrong_file_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\nrulez: []\n")

    with pytest.raises(ConfigError) as caught:
        load("mine.yaml", home=tmp_path)

    assert caught.value.file == tmp_path / "mine.yaml"
    assert caught.value.line == 2


@pytest.mark.parametrize("inside", [True, False], ids=["as a wheel", "as a checkout"])
def test_presets_load_from_a_wheel_and_from_a_checkout(
    inside: bool, tmp_path: Path
) -> None:
    package = tmp_path / "ask_expert"
    shutil.copytree(
        ROOT / "ask_expert", package, ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(ROOT / "policies", (package if inside else tmp_path) / "policies")
    code = (
        "from pathlib import Path\n"
        "from ask_expert.policy.presets import PRESETS, load, preset\n"
        "from ask_expert.policy.simulate import shipped_rows\n"
        "assert shipped_rows()\n"
        "for name in PRESETS: print(load(name, home=Path('/')).name, preset(name))\n"
    )

    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert [line.split()[0] for line in run.stdout.splitlines()] == [*PRESETS]
    assert all(str(tmp_path) in line for line in run.stdout.splitlines())


def test_an_installation_without_presets_says_so() -> None:
    with pytest.raises(ConfigError, match="'none' is missing from this installation"):
        preset("none")
