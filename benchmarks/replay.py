"""
Replay real outcomes of two models, and keep the table.

The rows are given by path: CSV files as `ask-expert replay` takes them, gzipped or
not, or a folder of such files.
"""

import argparse
import sys
import time
from pathlib import Path

from ask_expert.errors import ConfigError
from ask_expert.evaluation.replay import forms
from ask_expert.evaluation.replay.run import Replay, replay
from ask_expert.evaluation.replay.table import Columns, read
from benchmarks import results

SECTION = "## Replay on real outcomes"
_HEAD = [
    "table",
    "items",
    "local",
    "expert",
    "who is asked first",
    "APGR",
    "CPT50",
    "CPT80",
    "calls at 95 %",
    "ours ahead by (APGR)",
]


def files(path: Path) -> list[Path]:
    """Return the tables of a path, in order."""
    if path.is_dir():
        return sorted([*path.glob("*.csv"), *path.glob("*.csv.gz")])
    return [path]


def lines(name: str, found: Replay) -> list[list[object]]:
    """Return the table's lines of one replay: ours, then what stands beside it."""
    whole = [name, len(found.outcomes)]
    both = [f"{found.ours.curve.weak:.3f}", f"{found.ours.curve.strong:.3f}"]
    rows: list[list[object]] = []
    for row in forms.rows(found):
        head = [*whole, *both] if not rows else ["", "", "", ""]
        if row[1] != "no column":
            rows.append([*head, row[0], *row[1:5], row[6]])
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--weak", default="weak_correct")
    parser.add_argument("--strong", default="strong_correct")
    parser.add_argument("--group", default="group")
    parser.add_argument("--signals", default="")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="keep it in RESULTS.md")
    chosen = parser.parse_args()
    columns = Columns(
        weak=chosen.weak,
        strong=chosen.strong,
        group=chosen.group,
        signals=tuple(filter(None, chosen.signals.split(","))),
    )
    rows: list[list[object]] = []
    began = time.process_time()
    for path in [each for given in chosen.data for each in files(given)]:
        try:
            found = replay(read(path, columns), count=chosen.folds, seed=chosen.seed)
        except ConfigError as error:
            print(error, file=sys.stderr)
            return 1
        rows += lines(path.name, found)
    spent = time.process_time() - began
    section = "\n".join(
        [
            SECTION,
            "",
            f"{results.made_by('replay --data PATH --write')}; {chosen.folds} folds, "
            f"seed {chosen.seed}, 2,000 paired resamples, {spent:.0f} CPU s. The decision "
            "is made out of fold, from the prompt and, where the table has them, its "
            "group and signals.",
            "",
            *results.table(_HEAD, rows),
        ]
    )
    print(section)
    if chosen.write:
        results.keep(section)
    return 0


if __name__ == "__main__":
    sys.exit(main())
