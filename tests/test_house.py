import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ask_expert import house as houses
from ask_expert.house import House

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
