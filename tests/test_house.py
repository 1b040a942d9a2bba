import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ask_expert import house as houses
from ask_expert.errors import ConfigError
from ask_expert.house import House
from ask_expert.policy import budget_text, presets

COUNTING = (
    "import pathlib; p = pathlib.Path('{file}');"
    " n = len(p.read_text()) + 1 if p.exists() else 1;"
    " p.write_text('x' * n); print('eyJ-token-number-%d' % n)"
)


class Clock:
    """Monotonic seconds that pass when they are told to."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def house(home: Path, tmp_path: Path) -> Iterator[House]:
    """A house whose one expert has a command that prints a new token each time."""
    code = COUNTING.format(file=tmp_path / "runs")
    (home / "settings.yaml").write_text(
        "experts:\n"
        "  - name: azure\n"
        "    api: openai_chat\n"
        "    model: gpt-6.1-sol\n"
        "    base_url: https://my-resource.openai.azure.com/openai/v1\n"
        f"    key_command: [{sys.executable!r}, -c, {code!r}]\n"
    )
    built = houses.build(home, environ={})
    yield built
    built.ledger.close()


def test_a_token_that_a_command_prints_is_kept_for_a_while_and_then_renewed(
    house: House,
) -> None:
    clock = Clock()
    house.clock_s = clock
    (expert,) = house.settings.experts

    clock.now_s = 1e12
    second = house.key_for(expert)
    clock.now_s += 299
    kept = house.key_for(expert)
    clock.now_s += 1
    third = house.key_for(expert)

    assert (second, kept) == ("eyJ-token-number-2", "eyJ-token-number-2")
    assert third == "eyJ-token-number-3"


def test_a_token_and_the_one_before_it_are_masked(house: House) -> None:
    clock = Clock()
    house.clock_s = clock
    (expert,) = house.settings.experts

    clock.now_s = 1e12
    house.key_for(expert)

    for number in (1, 2):
        assert house.masker.scan(f"it is eyJ-token-number-{number}".encode())


def test_the_key_of_a_local_server_is_masked_whatever_its_variable_is_called(
    home: Path,
) -> None:
    (home / "settings.yaml").write_text(
        "local:\n"
        "  base_url: https://gpu.example.net/v1\n"
        "  model: tiny\n"
        "  key_env: GPU_DOOR\n"
    )
    built = houses.build(home, environ={"GPU_DOOR": "open-sesame-now"})

    found = built.masker.scan(b"it is open-sesame-now")

    built.ledger.close()
    assert found


def test_a_view_has_its_own_policy_and_budgets_and_shares_all_else(
    house: House,
) -> None:
    frugal = presets.load("frugal", home=house.home)
    own = (budget_text.parse("1/day"),)

    view = house.under(frugal, own)
    key = view.key_for(view.settings.experts[0])

    assert (view.policy.name, house.policy.name) == ("frugal", "balanced")
    assert view.limits == (*frugal.budgets, *own)
    assert house.limits == tuple(house.policy.budgets)
    assert view.ledger is house.ledger
    # A key that one of them learned is masked by both.
    assert key is not None
    assert view.masker is house.masker
    assert key not in house.masker.scrub(f"it is {key}")


def test_a_view_with_an_expert_that_is_not_there_is_refused(house: House) -> None:
    strange = house.policy.model_copy(update={"ladder": ("nobody",)})

    with pytest.raises(ConfigError, match="no expert 'nobody'"):
        house.under(strange)
