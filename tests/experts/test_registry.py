import subprocess
import sys
from typing import get_args

import pytest

from ask_expert.errors import ConfigError
from ask_expert.experts.registry import WIRES, wire_for
from ask_expert.settings import Api


@pytest.mark.parametrize("api", WIRES)
def test_every_wire_has_an_address(api: str) -> None:
    assert wire_for(api).default_base_url.startswith("https://")


def test_every_wire_of_the_settings_has_its_class() -> None:
    assert set(WIRES) == set(get_args(Api))


def test_an_unknown_wire_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="known: openai_chat"):
        wire_for("smoke")


def test_the_room_s_door_loads_no_wire_no_client_and_no_prices() -> None:
    code = (
        "import sys, ask_expert.experts.registry, ask_expert.experts.prices;"
        "print([m for m in sys.modules if m.split('.')[0] in"
        " {'httpx2', 'genai_prices', 'keyring', 'tenacity'}"
        " or m.endswith(('.openai_chat', '.anthropic', '.gemini', '.openrouter'))])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
