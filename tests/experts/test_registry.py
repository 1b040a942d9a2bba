import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest

from ask_expert import yaml_file
from ask_expert.errors import ConfigError
from ask_expert.experts import http, prices
from ask_expert.experts.keys import key_for, variable
from ask_expert.experts.openai_chat import OpenAIChat
from ask_expert.experts.registry import WIRES, wire_for
from ask_expert.experts.transport import send
from ask_expert.settings import Api, Settings
from tests import documents
from tests.experts.loopback import Answer, Loopback
from tests.experts.support import KEY, NOW, PROMPT, an_expert

Install = Callable[..., None]
COMPLETION = {
    "id": "c-1",
    "model": "acme-large-2026-11",
    "choices": [
        {
            "message": {"role": "assistant", "content": "Use a lock."},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150},
}


@pytest.mark.parametrize("api", sorted(set(WIRES) - {"command"}))
def test_every_wire_has_an_address(api: str) -> None:
    assert wire_for(api).default_base_url.startswith("https://")


def test_every_wire_of_the_settings_has_its_class() -> None:
    assert set(WIRES) == set(get_args(Api))


def test_an_unknown_wire_names_the_nearest_or_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="known: anthropic, bedrock, command"):
        wire_for("smoke")
    with pytest.raises(ConfigError, match="did you mean 'vertex_gemini'"):
        wire_for("vertex-gemini")


def test_the_room_s_door_loads_no_wire_no_client_and_no_prices() -> None:
    code = (
        "import sys, ask_expert.experts.registry, ask_expert.experts.prices;"
        "print([m for m in sys.modules if m.split('.')[0] in"
        " {'httpx2', 'genai_prices', 'keyring', 'tenacity', 'botocore', 'google'}"
        " or m.endswith(('.openai_chat', '.anthropic', '.gemini', '.openrouter',"
        " '.bedrock', '.vertex', '.command'))])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_the_wires_of_the_clouds_load_no_vendor_s_library_before_they_are_used() -> (
    None
):
    code = (
        "import sys;"
        "from ask_expert.experts.registry import WIRES, wire_for;"
        "[wire_for(api) for api in WIRES];"
        "print([m for m in sys.modules if m.split('.')[0] in {'botocore', 'google'}])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a little distribution, as pip lays one out."""
    before = set(sys.modules)

    def add(name: str, code: str, points: dict[str, str]) -> None:
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (tmp_path / f"{name}.py").write_text(code)
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        lines = [f"{key} = {value}" for key, value in points.items()]
        (folder / "entry_points.txt").write_text(
            "\n".join(("[ask_expert.experts]", *lines)) + "\n"
        )
        importlib.invalidate_caches()

    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    wire_for.cache_clear()
    yield add
    wire_for.cache_clear()
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


def shown(language: str, mark: str) -> str:
    """Return the block of the how-to that holds a mark."""
    (block,) = (
        each.text
        for each in documents.blocks(language)
        if each.file.name == "add-an-expert.md" and mark in each.text
    )
    return block


def acme(install: Install) -> None:
    """Install what the how-to shows, word for word."""
    project = tomllib.loads(shown("toml", "entry-points"))["project"]
    install(
        "acme_expert",
        shown("python", "class Acme"),
        project["entry-points"]["ask_expert.experts"],
    )


@pytest.mark.anyio
async def test_the_how_to_s_adapter_is_found_asked_and_understood(
    install: Install,
) -> None:
    acme(install)
    settings = yaml_file.parse(shown("text", "api: acme"), Settings)

    with Loopback(lambda _: Answer(body=json.dumps(COMPLETION).encode())) as server:
        expert = settings.experts[0].model_copy(update={"base_url": server.url})
        wire = wire_for(expert.api)
        request = wire.encode(expert, PROMPT, max_output_tokens=900)
        key = key_for(expert, {"ACME_API_KEY": KEY})
        async with http.new_client() as client:
            answer = await send(client, expert, wire, request, key=key, deadline_s=30)

    (received,) = server.requests
    assert received.path == "/chat"
    assert received.headers["acme-key"] == KEY
    assert "authorization" not in received.headers
    assert answer.text == "Use a lock."
    assert answer.provenance.served_model == "acme-large-2026-11"
    assert prices.charge(expert, answer, NOW).source == "settings"


def test_the_example_s_package_is_what_the_how_to_shows() -> None:
    folder = documents.ROOT / "examples" / "adapter"
    shown_project = tomllib.loads(shown("toml", "entry-points"))["project"]

    package = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))

    assert (folder / "acme_expert.py").read_text("utf-8") == shown(
        "python", "class Acme"
    )
    assert package["project"] == shown_project


def test_the_how_to_s_adapter_is_thirty_lines_at_most() -> None:
    assert shown("python", "class Acme").count("\n") <= 30


def test_an_adapter_s_key_is_never_another_vendor_s(install: Install) -> None:
    acme(install)
    expert = an_expert(api="acme", model="acme-large")

    assert variable(expert) is None
    with pytest.raises(ConfigError, match="has no key"):
        key_for(expert, {"OPENAI_API_KEY": KEY})


def test_what_is_not_installed_is_no_wire_format() -> None:
    with pytest.raises(ConfigError, match=r"cannot be 'acme'"):
        yaml_file.parse(shown("text", "api: acme"), Settings)


def test_a_misspelt_adapter_is_recognised(install: Install) -> None:
    acme(install)
    text = re.sub("api: acme", "api: acmee", shown("text", "api: acme"))

    with pytest.raises(ConfigError, match="did you mean 'acme'"):
        yaml_file.parse(text, Settings)


def test_a_wire_that_is_built_in_cannot_be_replaced(install: Install) -> None:
    install("thief", "class Thief: ...", {"openai_chat": "thief:Thief"})

    assert type(wire_for("openai_chat")) is OpenAIChat


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (
            "import no_such_module",
            "ModuleNotFoundError: No module named 'no_such_module'",
        ),
        ("def", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("x = 1", "AttributeError"),
        ("class Acme:\n  def __init__(self, x): ...", "TypeError"),
        ("class Acme:\n  default_base_url = 'https://x'", "has no 'own_credentials'"),
    ],
)
def test_a_broken_adapter_names_its_distribution(
    install: Install, code: str, why: str
) -> None:
    install("broken_acme", code, {"acme": "broken_acme:Acme"})

    with pytest.raises(ConfigError) as caught:
        wire_for("acme")

    assert why in str(caught.value)
    assert "update or uninstall broken_acme 1.0" in str(caught.value)


def test_two_adapters_of_one_name_are_both_named(install: Install) -> None:
    install("acme_one", "class Acme: ...", {"acme": "acme_one:Acme"})
    install("acme_two", "class Acme: ...", {"acme": "acme_two:Acme"})

    with pytest.raises(ConfigError, match=r"by acme_one 1\.0 and acme_two 1\.0"):
        wire_for("acme")
