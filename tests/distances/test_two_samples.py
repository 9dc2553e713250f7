"""The test behind the verdicts against SciPy, and its level and power by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.distances._runs import DRAWS
from unlearnable.distances.two_samples import compare, seeds_needed


def groups(seed: int, poisoned: int, clean: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0.5, 2.0, size=poisoned), rng.normal(size=clean)


def test_all_pairs_is_the_paired_t_test() -> None:
    poisoned, clean = groups(0, 6, 6)
    poisoned += clean
    found, expected = compare(poisoned, clean, shared=6), stats.ttest_rel(poisoned, clean)
    assert found.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (found.difference - found.margin, found.difference + found.margin) == pytest.approx(tuple(interval))
    assert found.correlation == pytest.approx(np.corrcoef(poisoned, clean)[0, 1])


def test_no_pairs_is_welchs_t_test() -> None:
    poisoned, clean = groups(1, 5, 5)
    found, expected = compare(poisoned, clean), stats.ttest_ind(poisoned, clean, equal_var=False)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.margin == pytest.approx(expected.confidence_interval(0.95).high - found.difference)
    assert compare(poisoned, clean, shared=1).p_value == found.p_value  # one pair has no correlation


def test_some_pairs_are_worked_by_hand() -> None:
    # Three pairs, one clean run more. Poisoned 1, 2, 3: variance 1. Clean 0, 2, 1 | 5: mean 2, variance 14/3.
    # r of the pairs 1/2. Variance of the difference: 1/3 + 14/12 − 2 · ½ · √(14/3) · 3/12.
    found = compare(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 1.0, 5.0]), shared=3)
    variance = 1 / 3 + 14 / 12 - np.sqrt(14 / 3) / 4
    welch = (1 / 3 + 14 / 12) ** 2 / ((1 / 3) ** 2 / 2 + (14 / 12) ** 2 / 3)
    equal = (1 / 3 + 1 / 4) ** 2 / ((1 / 3) ** 2 / 2 + (1 / 4) ** 2 / 3)
    degrees = 2 + (min(welch, equal) - 2) / 7
    assert found.correlation == pytest.approx(0.5)
    assert found.difference == 0.0
    assert found.margin == pytest.approx(stats.t.isf(0.025, degrees) * np.sqrt(variance))


def test_a_single_run_and_runs_without_scatter_have_no_p_value() -> None:
    alone = compare(np.array([1.0]), np.array([1.0, 2.0]), shared=1)
    assert np.isnan(alone.p_value)
    assert np.isnan(alone.std_poisoned)
    assert alone.difference == -0.5
    same = np.array([0.3, 0.1, 0.7])
    assert np.isnan(compare(same, same, shared=3).p_value)
    assert np.isnan(compare(np.ones(3), np.zeros(3)).p_value)


def test_rounding_is_the_least_scatter() -> None:
    found = compare(np.ones(2), np.zeros(2), shared=2, rounding_poisoned=0.5, rounding_clean=0.3)
    assert found.p_value == pytest.approx(2 * stats.t.sf(1 / np.sqrt(0.4), 1))


LEVELS = [(2, 2, 0), (3, 3, 0), (5, 5, 0), (2, 10, 0), (3, 10, 0), (5, 10, 0), (3, 3, 3), (5, 5, 5), (2, 10, 2)]
LEVELS += [(3, 10, 3), (5, 10, 5), (3, 4, 3), (5, 6, 4), (5, 10, 2)]


@pytest.mark.parametrize(("poisoned", "clean", "shared"), LEVELS)
@pytest.mark.parametrize("draw", DRAWS)
def test_it_holds_its_level(poisoned: int, clean: int, shared: int, draw: str) -> None:
    rng = np.random.default_rng(0)
    for correlation in (0.0, 0.5, 0.9) if shared else (0.0,):
        for ratio in (1.0, 3.0):
            one, other = (DRAWS[draw](rng, (runs, 8000)) for runs in (poisoned, clean))
            both = np.sqrt(correlation) * DRAWS[draw](rng, (shared, 8000))
            for group in (one, other):  # what a pair shares, and what is each run's own
                group[:shared] = both + np.sqrt(1 - correlation) * group[:shared]
            if draw == "skewed" and ratio != 1:
                continue  # different distributions of equal mean: no test of so few runs can tell them from a shift
            share = (compare(ratio * one, other, shared=shared).p_value < 0.05).mean()
            assert share < 0.07, f"correlation {correlation}, scatter ratio {ratio}"


def test_intervals_cover() -> None:
    rng = np.random.default_rng(1)
    clean = rng.normal(size=(10, 8000))
    poisoned = 1.0 + 0.6 * clean[:5] + 0.8 * rng.normal(size=(5, 8000))
    found = compare(poisoned, clean, shared=5)
    assert 0.94 < (np.abs(found.difference - 1.0) < found.margin).mean() < 0.98


@pytest.mark.parametrize("correlation", [0.0, 0.8])
@pytest.mark.parametrize("paired", [True, False])
def test_as_many_seeds_as_needed_have_the_power(correlation: float, paired: bool) -> None:
    if not paired:
        correlation = 0.0
    rng = np.random.default_rng(2)
    seeds = seeds_needed(1.0, 1.2, 0.8, correlation, paired=paired)
    assert seeds is not None

    def power(runs: int) -> float:
        clean = rng.normal(size=(runs, 20000))
        poisoned = correlation * clean + np.sqrt(1 - correlation**2) * rng.normal(size=clean.shape)
        return float((compare(1.0 + 1.2 * poisoned, 0.8 * clean, shared=runs * paired).p_value < 0.05).mean())

    assert power(seeds) > 0.79
    assert power(seeds - 1) < 0.81


def test_seeds_needed_at_the_ends() -> None:
    assert seeds_needed(100.0, 1.0, 1.0) == 2
    assert seeds_needed(0.0, 1.0, 1.0) is None
    assert seeds_needed(0.001, 1.0, 1.0) is None  # more than 10 000
    assert seeds_needed(float("nan"), 1.0, 1.0) is None
    assert seeds_needed(1.0, 1.0, 1.0, 1.0) is None  # no scatter: a formula for nothing
    assert seeds_needed(0.05, 1.0, 1.0) == pytest.approx(2 * (1.96 + 0.8416) ** 2 / 0.05**2, rel=0.001)  # normal limit
