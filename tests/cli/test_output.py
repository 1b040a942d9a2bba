import contextlib
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ask_expert.cli import output


@given(st.text())
def test_no_control_character_gets_through(text: str) -> None:
    shown = output.safe(text)

    assert all(char in "\n\t" or ord(char) > 31 for char in shown)
    assert not any(127 <= ord(char) < 160 for char in shown)


@given(st.text())
def test_no_control_character_gets_through_in_json_and_nothing_is_lost(
    text: str,
) -> None:
    printed = io.StringIO()

    with contextlib.redirect_stdout(printed):
        output.as_json({"model": f"gpt\x9b31m\x7f{text}"})

    shown = printed.getvalue()
    assert json.loads(shown) == {"model": f"gpt\x9b31m\x7f{text}"}
    assert not any(127 <= ord(char) < 160 for char in shown)
    assert all(char == "\n" or ord(char) > 31 for char in shown)


def test_columns_line_up_and_nothing_trails(capsys: pytest.CaptureFixture[str]) -> None:
    output.table([("a", "long cell", "x"), ("bcd", "", "")], head=("h", "i", "j"))

    assert capsys.readouterr().out == ("h    i          j\na    long cell  x\nbcd\n")


def test_an_outline_leaves_out_what_is_empty(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.outline(
        {"a": 1, "none": None, "empty": [], "in": {"b": "two\nlines"}, "n": [{"c": 0}]}
    )

    assert capsys.readouterr().out == ("a: 1\nin:\n  b: two\n    lines\nn 1:\n  c: 0\n")
