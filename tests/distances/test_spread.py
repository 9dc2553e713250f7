"""The spread of any distance over seeds: by hand, and its level and power on simulated runs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from tests.distances._runs import DRAWS, log_sal, simulated
from unlearnable.distances import (
    DISTANCES,
    Distance,
    Runs,
    all_spreads,
    geometric_distance,
    spread_of,
    unlearnable_distance,
)
from unlearnable.distances import spread as spreads
from unlearnable.distances.two_samples import compare

WITH_SPREAD = [name for name, distance in DISTANCES.items() if distance.observe is not None]


def flat(levels: Mapping[int, float]) -> dict[int, np.ndarray]:
    """Runs whose SAL is the same everywhere, with logarithms (of SAL + τ) as given."""
    return {seed: np.full((2, 3), math.exp(level) - 1e-3) for seed, level in levels.items()}


def test_geometric_spread_is_worked_by_hand() -> None:
    poisoned, clean = {0: -2.0, 1: -1.0, 2: -2.2}, {0: 0.1, 1: 0.3, 2: -0.1}
    spread = spread_of("geometric", flat(poisoned), flat(clean))
    expected = stats.ttest_rel(list(poisoned.values()), list(clean.values()))
    interval = expected.confidence_interval(0.95)
    assert spread.value == pytest.approx(math.exp(-5.5 / 3))
    assert (spread.low, spread.high) == pytest.approx((math.exp(interval.low), math.exp(interval.high)))
    assert spread.p_value == pytest.approx(expected.pvalue)
    assert spread.by_seed == pytest.approx({0: math.exp(-2.1), 1: math.exp(-1.3), 2: math.exp(-2.1)})
    assert spread.clean_pairs[0, 1] == pytest.approx(math.exp(-0.2))
    assert len(spread.clean_pairs) == 6
    # Two clean runs differ by a normal number of variance 2 · 0.2².
    assert spread.clean_high == pytest.approx(math.exp(stats.t.isf(0.025, 2) * 0.2 * math.sqrt(2)))
    assert spread.clean_low == pytest.approx(1 / spread.clean_high)
    assert spread.resolution == pytest.approx(math.exp((interval.high - interval.low) / 2))
    assert spread.distinguishable is True
    assert "3 against 3 runs, 3 of them pairs" in spread.verdict
    assert json.loads(json.dumps(spread.to_dict(), allow_nan=False))["by_seed"]["0"] == pytest.approx(math.exp(-2.1))


def test_further_clean_runs_are_used_without_a_partner_and_order_does_not_matter() -> None:
    clean = flat({0: 0.1, 1: 0.3, 2: -0.1, 7: 0.5})
    poisoned = flat({2: -2.2, 0: -2.0, 1: -1.0})
    spread = spread_of("geometric", poisoned, clean)
    assert spread.value == pytest.approx(math.exp(-5.2 / 3 - 0.2))
    assert list(spread.by_seed) == [2, 0, 1]
    mixed = spread_of("geometric", dict(sorted(poisoned.items())), {seed: clean[seed] for seed in (7, 2, 1, 0)})
    assert mixed.p_value == pytest.approx(spread.p_value)
    apart = spread_of("geometric", flat({5: -2.0, 6: -1.0}), clean)
    assert apart.by_seed == {}
    assert "0 of them pairs" in apart.verdict


def test_one_seed_gives_no_verdict() -> None:
    spread = spread_of("geometric", flat({0: -1.0}), flat({0: 0.0}))
    assert spread.value == pytest.approx(math.exp(-1))
    assert math.isnan(spread.low)
    assert math.isnan(spread.clean_high)
    assert spread.distinguishable is None
    assert spread.seeds_needed is None
    assert spread.verdict.startswith("one seed: no verdict")
    more = spread_of("geometric", flat({0: -1.0}), flat({0: 0.0, 1: 0.1}))
    assert more.verdict.startswith("1 poisoned and 2 clean run(s): no verdict")


def test_clean_runs_against_themselves_give_no_verdict() -> None:
    clean = simulated(np.random.default_rng(0), 4)
    spread = spread_of("geometric", clean, clean)
    assert spread.value == pytest.approx(1.0)
    assert spread.distinguishable is None


def test_what_one_run_lacks_is_left_out_of_all() -> None:
    clean, poisoned = flat({0: 0.0, 1: 0.1}), flat({0: 0.05, 1: 0.12})
    for sal in (*clean.values(), *poisoned.values()):
        sal[0, 0] = 1e4  # a layer far above the others
    whole = spread_of("geometric", poisoned, clean)
    poisoned[1][0, 0] = np.nan
    spread = spread_of("geometric", poisoned, clean)
    assert spread.left_out == 1
    assert spread.value == pytest.approx(math.exp(0.085 - 0.05))
    assert whole.left_out == 0
    poisoned[1][:] = np.nan
    nothing = spread_of("geometric", poisoned, clean)
    assert nothing.distinguishable is None
    assert math.isnan(nothing.value)
    assert math.isnan(nothing.by_seed[1])


def test_counts_keep_the_scatter_that_rounding_hides() -> None:
    # One layer of three above β in the poisoned runs, two in the clean ones, whatever the seed: 2 and 4 in two epochs.
    low, high = np.tile([0.01, 0.02, 1.0], (2, 1)), np.tile([0.01, 1.0, 1.0], (2, 1))
    spread = spread_of("count", {0: low, 1: low}, {0: high, 1: high})
    assert spread.by_seed == {0: 0.5, 1: 0.5}
    assert spread.value == pytest.approx(2.5 / 4.5)
    error = math.sqrt((1 / 2.5**2 + 1 / 4.5**2) / 12 / 2)
    assert spread.p_value == pytest.approx(2 * stats.t.sf(math.log(4.5 / 2.5) / error, 1))
    nothing = spread_of("count", {0: 0 * low, 1: 0 * low}, {0: high, 1: high})
    assert nothing.by_seed == {0: 0.0, 1: 0.0}
    assert nothing.value == pytest.approx(0.5 / 4.5)


def test_all_spreads_are_those_whose_inputs_are_there() -> None:
    rng = np.random.default_rng(0)
    poisoned, clean = simulated(rng, 3), simulated(rng, 4)
    losses = {seed: sal.mean(axis=1) for seed, sal in clean.items()}
    everything = all_spreads(poisoned, clean, weights=np.arange(1, 13), losses=losses, clean_losses=losses)
    assert list(everything) == WITH_SPREAD
    assert list(all_spreads(poisoned, clean)) == ["count", "count_log", "geometric", "geometric_late"]
    known = {0: losses[0]}  # not of all the runs
    assert "loss_ratio" not in all_spreads(poisoned, clean, losses=known, clean_losses=losses)
    assert everything["geometric"].by_seed[1] == geometric_distance(poisoned[1], clean[1])
    assert everything["count"].clean_pairs[0, 3] == unlearnable_distance(clean[0], clean[3])
    assert everything["relative_sharpness"].neutral == 0
    assert everything["relative_sharpness"].clean_low == -everything["relative_sharpness"].clean_high
    constant = {seed: np.ones((8, 12)) for seed in clean}
    assert list(all_spreads(poisoned, constant)) == ["geometric", "geometric_late"]


def test_unfit_arguments_are_refused() -> None:
    clean = flat({0: 0.0, 1: 0.1})
    for name in ("geometrical", "equal_loss"):
        with pytest.raises(ValueError, match="has a spread over seeds"):
            spread_of(name, clean, clean)
    with pytest.raises(ValueError, match="needs an input that is missing"):
        spread_of("loss_ratio", clean, clean)
    with pytest.raises(ValueError, match="`poisoned_sal` must hold at least one"):
        spread_of("geometric", {}, clean)
    with pytest.raises(ValueError, match="must have the same epochs and layers"):
        spread_of("geometric", {0: np.ones((1, 3))}, clean)
    with pytest.raises(ValueError, match="`clean_sal` must hold runs with the same"):
        spread_of("geometric", clean, {0: clean[0], 1: clean[1][:1]})


def told(name: str, rng: np.random.Generator, draw: str, *, shift: float, repeats: int) -> float:
    """Share of simulated sweeps (5 poisoned seeds, 10 clean) in which a distance tells the poison."""
    calls = 0
    for _ in range(repeats):
        runs = np.exp(log_sal(rng, 15, draw=DRAWS[draw]))
        losses = runs.mean(axis=2)
        runs[:5] *= math.exp(shift)
        weights = np.arange(1.0, 13.0)
        poisoned = Runs(tuple(range(5)), runs[:5], losses[:5] * math.exp(shift), weights)
        clean = Runs(tuple(range(5, 15)), runs[5:], losses[5:], weights)
        observe = DISTANCES[name].observe
        assert observe is not None
        seen = observe(poisoned, clean)
        assert seen is not None
        rounding = {"rounding_poisoned": seen.rounding_poisoned, "rounding_clean": seen.rounding_clean}
        calls += bool(compare(seen.poisoned, seen.clean, **rounding).p_value < 0.05)  # type: ignore[arg-type]
    return calls / repeats


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("name", WITH_SPREAD)
def test_verdicts_hold_their_level_on_runs_with_correlated_epochs_and_layers(name: str, draw: str) -> None:
    # 5 % ± 1.3 % in 300 sweeps, ± 2.2 % in 100 of the counts, which take longer: three standard errors above 5 %.
    repeats, most = (100, 0.12) if name.startswith("count") else (300, 0.09)
    assert told(name, np.random.default_rng(3), draw, shift=0.0, repeats=repeats) < most


def test_a_halved_sal_is_told_and_a_slightly_smaller_one_sometimes() -> None:
    rng = np.random.default_rng(4)
    assert told("geometric", rng, "normal", shift=math.log(0.4), repeats=100) > 0.8
    assert 0.1 < told("geometric", rng, "normal", shift=math.log(0.75), repeats=100) < 0.8


def test_clean_runs_are_compared_once_for_all_methods_of_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(11)
    runs = {seed: np.exp(rng.normal(size=(3, 8))) for seed in range(5)}
    found: list[tuple[int, int]] = []
    between = spreads._between

    def counted(distance: Distance, one: Runs, seed: int, other: Runs, of: int) -> float:
        found.append((seed, of))
        return between(distance, one, seed, other, of)

    monkeypatch.setattr(spreads, "_between", counted)
    # Other seeds of the poison bring the clean runs into another order.
    for poisoned in ({0: runs[0]}, {3: 2 * runs[3], 1: 2 * runs[1]}):
        pairs = spread_of("geometric", poisoned, runs).clean_pairs
        assert pairs == {(i, j): geometric_distance(runs[i], runs[j]) for i, j in permutations(range(5), 2)}
    assert len(found) == 20 + 1 + 2  # the ordered pairs of five clean runs, and each poisoned run to its own
    spread_of("geometric", {0: runs[0]}, {**runs, 4: 2 * runs[4]})
    assert len(found) == 23 + 20 + 1  # other clean runs of the same seeds


def test_a_layer_that_overflows_in_one_run_counts_in_none_of_the_counts() -> None:
    from unlearnable.distances.count_spread import count_test

    runs = [np.array([[9.0, 9.0, 0.1, 0.1 + 0.01 * seed]]) for seed in range(6)]
    runs[1][0, 2] = 9.0  # some scatter
    overflowing = [np.where(np.arange(4) == 0, np.nan, run) for run in runs[:3]]
    p_value, resolution = count_test(overflowing, runs[3:])
    without = count_test([run[:, 1:] for run in runs[:3]], [run[:, 1:] for run in runs[3:]])
    assert (p_value, resolution) == pytest.approx(without, nan_ok=True)
    assert p_value > 0.3
