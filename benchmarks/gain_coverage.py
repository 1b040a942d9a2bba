"""
How often each 95 % interval of the gain holds a truth that is known.

`python -m benchmarks.gain_coverage [--runs 4000] [--pair-runs 2000] [--write]` simulates hold-outs and
pairs, also with outcomes missing that speak against escalating, and counts. Sequences
are looked at after every task. What falls short is printed and goes to standard error
as WRONG only where a promise is broken: a confidence sequence, or the bounds for
unknown outcomes, that hold the truth too rarely.
"""

import argparse
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass

from benchmarks import results
from benchmarks.gain_runs import (
    FIXED_METHODS,
    WORTH_USD,
    Tally,
    simulated,
    simulated_missing,
    simulated_pairs,
)
from benchmarks.gain_worlds import CHANCES, World

GAINS = (0.30, 0.05, 0.0, -0.10)
SIZES = (100, 200, 500, 2000)
MISSING = (0.1, 0.2, 0.4)
PAIR_SIZES = (50, 100, 500)
PROMISED = 0.95
FIXED = (0.93, 0.97)
LARGE = 50


def span(tallies: Iterable[Tally], name: str) -> str:
    """Return the least and the most of a mean over the gains."""
    means = [mean for each in tallies if not math.isnan(mean := each.mean(name))]
    if not means:
        return "–"
    ends = [f"{end:.3f}" for end in (min(means), max(means))]
    low, high = ("1" if end == "1.000" else end[1:] for end in ends)
    return low if low == high else f"{low}–{high}"


ByGain = Mapping[float, Tally]
Cells = Mapping[tuple[str, int], ByGain]
"""By design and number of tasks, the counts of each gain."""

Missing = Mapping[tuple[str, int, float], ByGain]
"""The same, by the share that is missing as well."""


def table_one_look(cells: Cells) -> list[str]:
    names = [*FIXED_METHODS, "net benefit", "ICER", "Fieller set", "Wilson"]
    rows: list[list[object]] = [
        [
            design,
            size,
            f"{World(gain=0, design=design, tasks=size).fewer_per_arm:.0f}",
            span(by_gain.values(), "shown"),
            *(span(by_gain.values(), name) for name in names),
            span([by_gain[GAINS[0]]], "ICER defined"),
        ]
        for (design, size), by_gain in cells.items()
    ]
    head = ["propensity", "tasks", "smaller arm", "shown", *names, "ICER defined, .30"]
    return results.table(head, rows)


def table_every_look(cells: Cells) -> list[str]:
    names = ["betting", "Bernstein", "asymptotic", "Wald"]
    rows: list[list[object]] = [
        [
            design,
            size,
            *(span(by_gain.values(), name) for name in names),
            *(
                f"{by_gain[GAINS[0]].mean(f'{name} width'):.2f}".replace("nan", "–")
                for name in ("Hájek", "betting", "Bernstein", "asymptotic")
            ),
        ]
        for (design, size), by_gain in cells.items()
    ]
    widths = ["width: Hájek, one look", "betting", "Bernstein", "asymptotic"]
    return results.table(["propensity", "tasks", *names, *widths], rows)


def table_naive(by_gain: ByGain) -> list[str]:
    return results.table(
        ["true gain", "mean solved-after rate", "bias", "its interval holds the gain"],
        [
            [
                f"{gain:.2f}",
                f"{tally.mean('naive'):.3f}",
                f"{tally.mean('naive') - gain:+.3f}",
                f"{tally.mean('naive holds'):.3f}",
            ]
            for gain, tally in by_gain.items()
        ],
    )


def table_missing(found: Missing) -> list[str]:
    rows: list[list[object]] = [
        [
            design,
            size,
            f"{missing:.0%}",
            span(by_gain.values(), "known"),
            f"{max(tally.mean('bias') for tally in by_gain.values()):+.3f}",
            span(by_gain.values(), "betting"),
            span(by_gain.values(), "bounds"),
            f"{by_gain[GAINS[0]].mean('width'):.2f}",
            f"{by_gain[0.0].mean('known says more'):.3f}",
            f"{by_gain[0.0].mean('says more'):.3f}",
            f"{by_gain[GAINS[0]].mean('says more'):.3f}",
        ]
        for (design, size, missing), by_gain in found.items()
    ]
    head = [
        *(
            "propensity",
            "tasks",
            "missing",
            "known only",
            "bias",
            "betting, known only",
        ),
        *("bounds", "their width", "gain 0: known says more", "verdict says more"),
        "gain .30: verdict says more",
    ]
    return results.table(head, rows)


def table_pairs(found: Mapping[int, ByGain]) -> list[str]:
    names = ["bootstrap", "harm", "regret", "regret, same calls", "price", "price set"]
    rows: list[list[object]] = [
        [
            size,
            *(span(by_gain.values(), name) for name in names),
            f"{by_gain[GAINS[0]].mean('price defined'):.2f}",
            f"{by_gain[0.05].mean('price defined'):.2f}",
            f"{by_gain[0.0].mean('McNemar'):.3f}",
        ]
        for size, by_gain in found.items()
    ]
    head = ["tasks", *names, "price defined, .30", ".05", "McNemar, gain 0"]
    return results.table(head, rows)


def outside(cells: Cells) -> list[str]:
    """Return what is for one look, has large arms, and is not within `FIXED`."""
    found: list[str] = []
    for (design, size), by_gain in cells.items():
        for gain, tally in by_gain.items():
            world = World(gain=gain, design=design, tasks=size)
            if world.fewer_per_arm < LARGE:
                continue
            for name in (*FIXED_METHODS, "net benefit", "Fieller set", "Wilson"):
                mean = tally.mean(name)
                if not math.isnan(mean) and not FIXED[0] <= mean <= FIXED[1]:
                    found.append(f"{name} {mean:.3f} ({design}, {size}, gain {gain})")
    return found


def broken(
    cells: Cells,
    missing: Missing,
) -> list[str]:
    """Return each promise that is broken by more than chance explains."""
    found = [
        f"{name} holds {tally.mean(name):.3f} at {key}, gain {gain}"
        for key, by_gain in cells.items()
        for gain, tally in by_gain.items()
        for name in ("betting", "Bernstein")
        if tally.short_of(name, PROMISED)
    ]
    found += [
        f"bounds hold {tally.mean('bounds'):.3f} at {key}, gain {gain}"
        for key, by_gain in missing.items()
        for gain, tally in by_gain.items()
        if tally.short_of("bounds", PROMISED)
    ]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Everything that was counted."""

    cells: Cells
    missing: Missing
    pairs: Mapping[int, ByGain]


def measured(options: argparse.Namespace) -> Found:
    """Run everything, in several processes; each truth has chance of its own."""
    runs: int = options.runs
    sizes: list[int] = options.sizes
    missing_sizes: list[int] = options.missing_sizes
    pair_sizes: list[int] = options.pair_sizes
    with ProcessPoolExecutor(options.processes) as pool:
        cells = {
            (design, size): {
                gain: pool.submit(
                    simulated,
                    World(gain=gain, design=design, tasks=size),
                    runs,
                    widths=100 if gain == GAINS[0] else 0,
                )
                for gain in GAINS
            }
            for design in CHANCES
            for size in sizes
        }
        missing = {
            (design, size, share): {
                gain: pool.submit(
                    simulated_missing,
                    World(gain=gain, design=design, tasks=size, missing=share),
                    runs,
                )
                for gain in GAINS
            }
            for design in ("0.5", "0.9")
            for size in missing_sizes
            for share in MISSING
        }
        pairs = {
            size: {
                gain: pool.submit(simulated_pairs, gain, size, options.pair_runs)
                for gain in GAINS
            }
            for size in pair_sizes
        }
        return Found(
            cells={key: _results(by_gain) for key, by_gain in cells.items()},
            missing={key: _results(by_gain) for key, by_gain in missing.items()},
            pairs={key: _results(by_gain) for key, by_gain in pairs.items()},
        )


def _results(by_gain: Mapping[float, Future[Tally]]) -> ByGain:
    return {gain: future.result() for gain, future in by_gain.items()}


def section(found: Found, options: argparse.Namespace) -> str:
    """Return the tables."""
    command = "gain_coverage --write"
    largest = max(size for _, size in found.cells)
    text = [
        "## Coverage of the gain's intervals",
        "",
        f"{results.made_by(command)}; {options.runs} runs a row and gain (pairs: "
        f"{options.pair_runs}), true gains {', '.join(f'{gain:g}' for gain in GAINS)}; "
        "the local model solves 30 % or 60 % of a stratum's tasks.",
        "Where two figures stand, they are the least and the most over the gains. "
        "`0.9 / 0.5` are the propensities of the two strata.",
        "",
        "One look, 95 % intervals; `shown` is how often both arms had ten outcomes. "
        f"The net benefit is at ${WORTH_USD:.2f} a solution. `ICER` counts only runs in "
        "which it is defined, `Fieller set` the others as holding the truth.",
        "",
        *table_one_look(found.cells),
        "",
        f"With {LARGE} and more in each arm, outside {FIXED[0]} to {FIXED[1]}: "
        f"{'; '.join(outside(found.cells)) or 'none'}.",
        "",
        "A look after every task: how often no look ever missed the truth. `Wald` is the "
        "usual interval (mean ± 1.96 errors) looked at in the same way. Widths are at "
        f"gain {GAINS[0]:g} after the last task.",
        "",
        *table_every_look(found.cells),
        "",
        "The share solved after an escalation is not the gain (propensity 0.9, "
        f"{largest} tasks):",
        "",
        *table_naive(found.cells["0.9", largest]),
        "",
        "Outcomes missing, three times as often where they speak against escalating. "
        "`bounds` counts every unknown outcome against escalating and for it.",
        "",
        *table_missing(found.missing),
        "",
        "Pairs, in tasks of one to three alike questions; McNemar (one pair a task) is "
        "how often it says `different` at 5 % where nothing is.",
        "",
        *table_pairs(found.pairs),
    ]
    return "\n".join(text)


def main(argv: Sequence[str] | None = None) -> int:
    """Run it and print the tables; `--write` keeps them in RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--pair-runs", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--missing-sizes", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--pair-sizes", type=int, nargs="+", default=list(PAIR_SIZES))
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(argv)
    found = measured(options)
    text = section(found, options)
    print(text)
    wrong = broken(found.cells, found.missing)
    for each in wrong:
        print(f"WRONG {each}", file=sys.stderr)
    if options.write:
        results.keep(text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
