"""The settings file is edited by us only where it must be."""

import stat
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ask_expert import yaml_file
from ask_expert.errors import ConfigError
from ask_expert.settings import Settings
from ask_expert.settings_edit import set_key, with_key

NEW = {"base_url": "http://127.0.0.1:8000/v1", "model": "qwen: a 'model' #1"}

FILE = """\
# My settings.
policy: frugal   # cheap ones first

# The experts, cheapest first.
experts:
  - name: a   # the small one
    api: anthropic
    model: m
    # its key is in a variable

local:   # my box
  base_url: http://127.0.0.1:1/v1
  model: old

# What leaves.
send: {max_bytes: 5000}
"""

SHARED = """\
local: {base_url: &u http://127.0.0.1:1/v1, model: m}
experts:
- {name: a, api: openai_chat, model: m, base_url: *u}
"""

PARTS = {
    "policy": "policy: frugal  # cheap\n",
    "experts": "experts:\n- {name: a, api: anthropic, model: m}\n# after a list\n",
    "send": "send:\n  max_bytes: 5000 # bytes\n\n  # inside\n  allow:\n    - 'x#y'\n",
    "time_zone": 'time_zone: "Europe/Berlin"\n',
    "checks": "checks:\n  t:\n    command: [pytest,\n      -q]\n",
    "ledger": "ledger: >-\n  /tmp/some\n  ledger.db\n",
    "log": "log: {level: info,\n  format: json}\n",
}
LOCALS = (
    "local: {base_url: b, model: m}\n",
    "local:\n  base_url: b  # here\n  model: m\n  # inside\n",
    "local:\n- base_url: b\n  model: |-\n    m\n- {base_url: b, model: n}\n",
    "local:\n",
)
COMMENTS = ("", "\n", "# a word\n", "\n# two\n# lines\n\n")


@st.composite
def files(draw: st.DrawFn) -> str:
    parts = draw(st.lists(st.sampled_from(sorted(PARTS)), unique=True))
    texts = [PARTS[name] for name in parts]
    if draw(st.booleans()):
        place = draw(st.integers(0, len(texts)))
        texts.insert(place, draw(st.sampled_from(LOCALS)))
    between = [draw(st.sampled_from(COMMENTS)) for _ in range(len(texts) + 1)]
    text = between[0] + "".join(
        part + gap for part, gap in zip(texts, between[1:], strict=True)
    )
    text = text.removesuffix("\n") if draw(st.booleans()) else text
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


@settings(deadline=None)  # YAML is slow beside other work
@given(files())
def test_whatever_the_file_only_that_key_changes_and_no_other_line(text: str) -> None:
    after = with_key(text, "local", NEW)

    old: dict[str, object] = yaml.safe_load(text) or {}
    new: dict[str, object] = yaml.safe_load(after)
    assert new == {**old, "local": NEW}
    outside = [line for line in text.splitlines() if line not in _own_lines(text)]
    assert [line for line in after.splitlines() if line in outside] == outside


def _own_lines(text: str) -> set[str]:
    """Return the lines of the old value, which are to go, with comments in it."""
    plain = text.replace("\r\n", "\n")
    return {
        line for each in LOCALS if each in f"{plain}\n" for line in each.split("\n")
    }


@settings(deadline=None)  # YAML is slow beside other work
@given(files())
def test_setting_it_twice_is_setting_it_once(text: str) -> None:
    once = with_key(text, "local", NEW)

    assert with_key(once, "local", NEW) == once


def test_comments_order_and_the_other_keys_stay(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(FILE)
    file.chmod(0o640)

    backup = set_key(file, "local", {"base_url": "http://b/v1", "model": "new"})

    gone = "local:   # my box\n  base_url: http://127.0.0.1:1/v1\n  model: old\n"
    fresh = "local:\n  base_url: http://b/v1\n  model: new\n"
    assert file.read_text() == FILE.replace(gone, fresh)
    assert backup is not None
    assert backup.read_text() == FILE
    assert {stat.S_IMODE(each.stat().st_mode) for each in (file, backup)} == {0o640}
    assert {each.name for each in tmp_path.iterdir()} == {file.name, backup.name}


def test_a_file_that_is_not_there_is_made_for_its_user_alone(tmp_path: Path) -> None:
    file = tmp_path / "home" / "settings.yaml"

    backup = set_key(file, "local", NEW)

    assert backup is None
    assert yaml_file.read(file, Settings).locals[0].model == NEW["model"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.yaml"
    target.write_text("policy: frugal\n")
    link = tmp_path / "settings.yaml"
    link.symlink_to(target)

    set_key(link, "local", NEW)

    assert link.is_symlink()
    assert yaml_file.read(target, Settings).policy == "frugal"


@pytest.mark.parametrize(
    "text",
    [
        "{policy: frugal}\n",
        "--- {policy: frugal}\n",
        SHARED,
    ],
)
def test_what_cannot_be_edited_is_left_alone_and_said(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)

    with pytest.raises(ConfigError, match="by hand"):
        set_key(file, "local", NEW)

    assert file.read_text() == text
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_a_file_that_is_wrong_already_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("polcy: frugal\n")

    with pytest.raises(ConfigError, match="did you mean 'policy'"):
        set_key(file, "local", NEW)

    assert file.read_text() == "polcy: frugal\n"
