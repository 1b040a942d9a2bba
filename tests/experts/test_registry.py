import subprocess
import sys

import pytest

from ask_expert.errors import ConfigError
from ask_expert.experts.registry import WIRES, wire_for


@pytest.mark.parametrize("api", WIRES)
def test_every_wire_has_an_address(api: str) -> None:
    assert wire_for(api).default_base_url.startswith("https://api.")


@pytest.mark.parametrize("api", ["gemini", "openrouter"])
def test_a_reserved_wire_says_what_to_use_meanwhile(api: str) -> None:
    with pytest.raises(ConfigError, match=r"api: openai_chat.*base_url: https://"):
        wire_for(api)


def test_an_unknown_wire_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="known: openai_chat"):
        wire_for("smoke")


def test_the_room_s_door_loads_no_wire_no_client_and_no_prices() -> None:
    code = (
        "import sys, ask_expert.experts.registry, ask_expert.experts.prices;"
        "print([m for m in sys.modules if m.split('.')[0] in"
        " {'httpx2', 'genai_prices', 'keyring', 'tenacity'}"
        " or m.endswith(('.openai_chat', '.anthropic'))])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
