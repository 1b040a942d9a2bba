import gzip
from pathlib import Path

import numpy as np
import pytest

from ask_expert.errors import ConfigError
from ask_expert.evaluation.replay.table import Columns, read

COLUMNS = Columns(weak="w", strong="s")
GOOD = "item_id,w,s,prompt,q\na,1,1,Why?,0.5\nb,0,true,How?,\n"


def file(tmp_path: Path, data: str | bytes) -> Path:
    path = tmp_path / "rows.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize(
    "data",
    [
        GOOD.encode(),
        gzip.compress(GOOD.encode(), mtime=0),
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.encode("utf-16"),
        GOOD.replace(",", ";").encode(),
        GOOD.replace(",", "\t").replace("\n", "\r\n").encode(),
        (GOOD + "\n\n").encode(),
    ],
)
def test_a_table_is_read_however_it_is_written(tmp_path: Path, data: bytes) -> None:
    found = read(file(tmp_path, data), COLUMNS)

    assert found.ids == ("a", "b")
    assert (found.weak.tolist(), found.strong.tolist()) == ([1, 0], [1, 1])
    assert found.prompts == ("Why?", "How?")
    assert found.groups is None


def test_a_minus_turns_a_signal_of_which_less_means_surer(tmp_path: Path) -> None:
    columns = Columns(weak="w", strong="s", signals=("-q",))

    found = read(file(tmp_path, GOOD), columns)

    assert found.signals["q"][0] == -0.5
    assert np.isnan(found.signals["q"][1])
    assert found.notes == ("1 rows lack the signal 'q': its median stands in.",)


def test_rows_without_an_outcome_and_marked_ones_are_left_out_and_said(
    tmp_path: Path,
) -> None:
    text = "item_id,w,s,contaminated\na,1,1,0\nb,,1,0\nc,0,1,1\nd,0,nan,0\ne,0,1,\n"

    found = read(file(tmp_path, text), COLUMNS)

    assert found.ids == ("a", "e")
    assert found.notes == (
        "2 rows without an outcome are left out.",
        "1 rows marked 'contaminated' are left out.",
    )


def test_bytes_that_are_no_utf8_are_read_all_the_same(tmp_path: Path) -> None:
    found = read(file(tmp_path, GOOD.replace("Why", "é").encode("latin-1")), COLUMNS)

    assert found.prompts == ("é?", "How?")
    assert "Latin-1" in found.notes[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("item_id,w\na,1\n", "has no column 's'; it has 'item_id', 'w'"),
        ("item_id,w,s,s\na,1,1,1\n", "two columns called 's'"),
        ("item_id,w,s\na,1,80\nb,0,1\n", "holds 80 in row 1"),
        ("item_id,w,s\na,1,1\n", "has 1 rows with both outcomes"),
        ("item_id,w,s\na,x,1\nb,y,0\n", "has 0 rows with both outcomes"),
        ("item_id,w,s,strong_cost_usd\na,1,1,-1\nb,0,1,1\n", "negative cost"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_the_reason(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        read(file(tmp_path, text), COLUMNS)


def test_a_file_that_is_not_there_or_half_packed_is_refused(tmp_path: Path) -> None:
    half = file(tmp_path, gzip.compress(GOOD.encode(), mtime=0)[:30])

    with pytest.raises(ConfigError, match="cannot be read"):
        read(half, COLUMNS)
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "none.csv", COLUMNS)


def test_a_signal_without_any_number_is_refused(tmp_path: Path) -> None:
    columns = Columns(weak="w", strong="s", signals=("prompt",))

    with pytest.raises(ConfigError, match="'prompt' holds no numbers"):
        read(file(tmp_path, GOOD), columns)
