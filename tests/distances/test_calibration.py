"""Clean against clean in all halves."""

from __future__ import annotations

import json
import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from tests.distances._runs import DRAWS, log_sal, simulated
from unlearnable.distances import DISTANCES, all_calibrations, calibration_of
from unlearnable.distances.calibration import RATIOS
from unlearnable.distances.count_spread import count_test

WITH_SPREAD = [name for name, distance in DISTANCES.items() if distance.observe is not None]


def test_shares_are_those_of_all_splits() -> None:
    clean = simulated(np.random.default_rng(0), 10, epochs=1, layers=5)
    splits = [(list(half), [seed for seed in clean if seed not in half]) for half in combinations(clean, 5)]
    found = calibration_of("geometric", clean)
    assert (found.distance, found.seeds, found.splits) == ("geometric", 10, 252)
    means = np.array([np.log(sal + 1e-3).mean() for sal in clean.values()])
    # Welch's test: for halves of equal size its degrees of freedom are never above those of equal variances.
    told = [stats.ttest_ind(means[half], means[rest], equal_var=False).pvalue < 0.05 for half, rest in splits]
    assert found.false_positives == np.mean(told)
    shifted = [stats.ttest_ind(means[a] + np.log(0.8), means[b], equal_var=False).pvalue < 0.05 for a, b in splits]
    assert found.power[0.8] == np.mean(shifted)
    published = calibration_of("ud", clean)
    told = [count_test([clean[s] for s in half], [clean[s] for s in rest])[0] < 0.05 for half, rest in splits]
    assert published.false_positives == np.mean(told)
    assert math.isnan(published.false_positives_paired)
    assert json.loads(json.dumps(published.to_dict(), allow_nan=False))["false_positives_paired"] is None


def test_all_distances_with_their_inputs_are_calibrated() -> None:
    clean = simulated(np.random.default_rng(1), 10, epochs=1, layers=5)
    losses = {seed: sal.mean(axis=1) for seed, sal in clean.items()}
    assert list(all_calibrations(clean, weights=np.arange(1, 6), clean_losses=losses)) == ["ud", *WITH_SPREAD]
    with pytest.raises(ValueError, match="needs an input that is missing"):
        calibration_of("loss_ratio", clean)
    with pytest.raises(ValueError, match="has a spread over seeds"):
        calibration_of("equal_loss", clean)


def test_power_grows_with_the_effect() -> None:
    power = calibration_of("geometric", simulated(np.random.default_rng(2), 10, epochs=3, layers=6)).power
    assert list(power) == list(RATIOS)
    assert list(power.values()) == sorted(power.values())
    assert power[0.33] > 0.9


@pytest.mark.parametrize("draw", DRAWS)
def test_the_level_is_held_on_the_average_over_experiments(draw: str) -> None:
    rng = np.random.default_rng(3)
    shares = []
    for _ in range(12):
        sal = np.exp(log_sal(rng, 10, draw=DRAWS[draw], epochs=2, layers=5))
        found = calibration_of("geometric", dict(enumerate(sal)))
        shares.append((found.false_positives, found.false_positives_paired))
    assert (np.mean(shares, axis=0) <= 0.07).all()


def test_an_uneven_number_is_split_as_evenly_as_it_goes() -> None:
    found = calibration_of("geometric", simulated(np.random.default_rng(5), 11, epochs=1, layers=4))
    assert found.splits == 462
    assert math.isnan(found.false_positives_paired)


def test_few_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 10 clean runs"):
        calibration_of("geometric", simulated(np.random.default_rng(0), 9))
