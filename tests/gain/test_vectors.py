"""The estimators in numpy, with which coverage is measured, are the ones we ship."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ask_expert.gain.aipw import aipw
from ask_expert.gain.asymptotic import asymptotic
from ask_expert.gain.betting import betting, wealth
from ask_expert.gain.bounds import bounds
from ask_expert.gain.contrast import contrast
from ask_expert.gain.empirical_bernstein import bernstein_interval, bernstein_steps
from ask_expert.gain.estimate import Share
from ask_expert.gain.fieller import fieller
from ask_expert.gain.hajek import hajek
from ask_expert.gain.ipw import ipw
from ask_expert.gain.mcnemar import mcnemar
from ask_expert.gain.newcombe import newcombe
from ask_expert.gain.observations import Observation, pairs, units
from ask_expert.gain.paired import paired
from ask_expert.gain.rates import harm_rate
from ask_expert.gain.recovered import price_per_recovered
from ask_expert.gain.regret import regret
from ask_expert.gain.sequence import bets, running_scores
from benchmarks import gain_coverage, gain_pairs, gain_vectors
from benchmarks.gain_vectors import Ends, Log
from benchmarks.gain_worlds import Graded, World, drawn, graded
from tests.gain.rows import rng

RUNS = 3
WORLDS = [
    World(gain=0.3, design="0.5", tasks=60),
    World(gain=-0.1, design="0.9 / 0.5", tasks=120, missing=0.2),
    World(gain=0.05, design="0.9", tasks=260, missing=0.4),
]


def logs(world: World) -> Log:
    return drawn(world, RUNS, np.random.default_rng(4))


def rows(log: Log, run: int) -> list[Observation]:
    return [
        Observation(
            task=str(n),
            treated=bool(log.treated[run, n]),
            propensity=float(log.chance[run, n]),
            solved=bool(log.solved[run, n]) if log.known[run, n] else None,
            cost_nusd=round(float(log.cost[run, n]) * 1e9),
            stratum=str(log.stratum[run, n]),
        )
        for n in range(log.treated.shape[1])
    ]


def of_run(found: Ends, run: int) -> tuple[float, float, float]:
    return float(found.value[run]), float(found.low[run]), float(found.high[run])


def ends(found: Share) -> tuple[Any, ...]:
    return found.value, found.low, found.high


@pytest.mark.parametrize("world", WORLDS, ids=str)
@pytest.mark.parametrize(
    ("pure", "vector"),
    [
        (newcombe, gain_vectors.newcombe),
        (ipw, gain_vectors.ipw),
        (hajek, gain_vectors.hajek),
        (aipw, gain_vectors.aipw),
    ],
)
def test_the_fixed_estimators_are_the_same_numbers(
    world: World,
    pure: Callable[[list[Observation]], Share],
    vector: Callable[[Log], Ends],
) -> None:
    log = logs(world)
    compared = 0

    found = vector(log)

    for run in range(RUNS):
        one = pure(rows(log, run))
        if one.value is not None:
            assert of_run(found, run) == pytest.approx(ends(one), abs=1e-9)
            assert log.shown()[run]
            compared += 1
    assert compared or (pure is newcombe and "/" in world.design)


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_the_bounds_are_the_same_numbers(world: World) -> None:
    log = logs(world)
    method = gain_vectors.hajek if "/" in world.design else gain_vectors.newcombe

    least = method(log.assumed(treated=0.0, control=1.0))
    most = method(log.assumed(treated=1.0, control=0.0))

    for run in range(RUNS):
        one = bounds(rows(log, run))
        assert of_run(least, run) == pytest.approx(ends(one.least), abs=1e-9)
        assert of_run(most, run) == pytest.approx(ends(one.most), abs=1e-9)


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_the_sequences_are_the_same_numbers_after_every_task(world: World) -> None:
    log = logs(world)
    walk = gain_vectors.walk(log)

    found = gain_vectors.betting(walk)
    middle, half = gain_vectors.bernstein(walk)
    rich = gain_vectors.wealth(walk, np.full(RUNS, world.gain), upwards=True)
    holds = gain_vectors.betting_holds(walk, world.gain)

    for run in range(RUNS):
        own = rows(log, run)
        known = units(own)
        scores = running_scores(known)
        steps = list(bernstein_steps(scores))
        assert (found.low[run], found.high[run]) == pytest.approx(
            (betting(own).low, betting(own).high), abs=1e-9
        )
        assert rich[run] == pytest.approx(
            wealth(bets(scores, start=0.0), world.gain, upwards=True)
        )
        assert middle[run, : len(known)] == pytest.approx([a for a, _ in steps])
        assert half[run, : len(known)] == pytest.approx([b for _, b in steps])
        _, low, high = bernstein_interval(scores)
        assert low <= world.gain <= high
        assert holds[run] == (found.low[run] <= world.gain <= found.high[run])


def test_the_asymptotic_sequence_is_the_same_number() -> None:
    world = World(gain=0.3, design="0.5", tasks=400)
    log = logs(world)
    walk = gain_vectors.walk(log)

    middle, spread, few = gain_vectors.normal_walk(walk)
    half = spread * gain_vectors.asymptotic_factor(gain_vectors.times(walk.live))

    for run in range(RUNS):
        one = asymptotic(rows(log, run))
        assert middle[run, -1] == pytest.approx(one.value)
        assert middle[run, -1] - half[run, -1] == pytest.approx(one.low)
        assert few[run, -1] == min(one.n_treated, one.n_control)


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_money_is_the_same_to_a_nano_dollar(world: World) -> None:
    log = logs(world)

    found = gain_vectors.money(log, 2.0)

    for run in range(RUNS):
        means = contrast(units(rows(log, run)))
        both = fieller(means)
        defined = both is not None and means.effect > 0
        assert found.defined[run] == defined
        if both is not None:
            assert found.price.low[run] == pytest.approx(float(both[0]), rel=1e-6)
            assert found.price.high[run] == pytest.approx(float(both[1]), rel=1e-6)
        net = 2 * means.effect - means.cost
        assert found.benefit.value[run] == pytest.approx(float(net), abs=1e-8)


def graded_rows(found: Graded, run: int) -> list[Observation]:
    return [
        Observation(
            task=str(task),
            treated=bool(found.treated[run, task, place]),
            solved=bool((found.expert if treated else found.local)[run, task, place]),
            local_solved=bool(found.local[run, task, place]) if treated else None,
            expert_solved=None if treated else bool(found.expert[run, task, place]),
            cost_nusd=round(float(found.cost[run, task, place]) * 1e9),
        )
        for task in range(found.present.shape[1])
        for place in range(3)
        if found.present[run, task, place]
        for treated in (bool(found.treated[run, task, place]),)
    ]


def test_what_is_read_from_pairs_is_the_same_numbers() -> None:
    found = graded(0.3, 40, RUNS, np.random.default_rng(6))
    totals = gain_pairs.totals(found).sum(1)
    harm = gain_pairs.harm(found)
    treated = Graded(
        present=found.treated,
        expert=found.expert & found.treated,
        local=found.local & found.treated,
        cost=found.cost * found.treated,
        treated=found.treated,
    )
    price, defined = gain_pairs.recovered(treated)

    for run in range(RUNS):
        own = graded_rows(found, run)
        assert gain_pairs.gained(totals)[run] == pytest.approx(
            paired(own, rng(), draws=50).value
        )
        one = regret(own, rng(), draws=50)
        assert gain_pairs.regretted(totals)[run] == pytest.approx(one.solved.value)
        assert gain_pairs.regretted_at_same_calls(totals)[run] == pytest.approx(
            one.same_calls.value
        )
        assert of_run(harm, run) == pytest.approx(ends(harm_rate(own)))
        asked = price_per_recovered(own)
        assert (asked.value is not None) == defined[run]
        if asked.value is not None and treated.present[run].any(1).all():
            assert of_run(price, run) == pytest.approx(
                [float(each or 0) for each in (asked.value, asked.low, asked.high)],
                rel=1e-6,
            )


def test_resampling_by_kind_has_the_same_interval_up_to_chance() -> None:
    found = graded(0.3, 60, 1, np.random.default_rng(8))
    many = 4000

    (fast,) = gain_pairs.bootstrap(
        gain_pairs.totals(found), [gain_pairs.gained], many, np.random.default_rng(1)
    )
    one = paired(graded_rows(found, 0), rng(), draws=many)

    assert of_run(fast, 0) == pytest.approx(ends(one), abs=0.02)


def test_mcnemar_is_counted_on_one_pair_a_task() -> None:
    found = graded(0.3, 60, 1, np.random.default_rng(9))
    first = {row.task: row for row in reversed(graded_rows(found, 0))}

    table = mcnemar(pairs(first.values()))

    assert gain_pairs.surprised(found) == float(table.p_value < 0.05)


def test_a_small_run_keeps_its_promises_and_shows_the_naive_rate_biased(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sizes = ["--sizes", "100", "--missing-sizes", "100", "--pair-sizes", "50"]

    code = gain_coverage.main(["--runs", "60", "--pair-runs", "8", *sizes])

    printed = capsys.readouterr()
    naive = [line for line in printed.out.splitlines() if line.startswith("| 0.00 |")]
    assert (code, printed.err) == (0, "")
    assert [float(cell) for cell in naive[0].split("|")[2:5]] == pytest.approx(
        [0.45, 0.45, 0.0], abs=0.03
    )


def test_a_broken_promise_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    world = World(gain=0.3, design="0.5", tasks=100)
    tally = gain_coverage.Tally()
    for name in ("betting", "Bernstein"):
        tally.add(name, np.zeros(100, dtype=bool))

    found = gain_coverage.broken({(world.design, world.tasks): {0.3: tally}}, {})

    assert len(found) == 2
    assert "betting holds 0.000" in found[0]
