"""Which layers differ: tests layer by layer, false discoveries controlled."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from tests.distances._runs import log_sal, simulated
from unlearnable.distances import layer_differences


def test_each_layer_is_a_paired_test_over_the_seeds() -> None:
    rng = np.random.default_rng(0)
    poisoned, clean = simulated(rng, 4), simulated(rng, 4)
    found = layer_differences(poisoned, clean)
    own, reference = (
        np.stack([np.log(sal + 1e-3).mean(axis=0) for sal in runs.values()]) for runs in (poisoned, clean)
    )
    expected = stats.ttest_rel(own, reference)
    assert found.log_ratio == pytest.approx((own - reference).mean(axis=0))
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.q_value == pytest.approx(stats.false_discovery_control(expected.pvalue))
    interval = expected.confidence_interval(0.95)
    assert found.low == pytest.approx(interval.low)
    assert found.high == pytest.approx(interval.high)
    assert (found.differs == (found.q_value < 0.05)).all()
    assert (found.poisoned_runs, found.clean_runs) == (4, 4)
    assert len(json.loads(json.dumps(found.to_dict(), allow_nan=False))["log_ratio"]) == 12


def test_the_layers_that_differ_are_found_and_few_others() -> None:
    rng = np.random.default_rng(1)
    rates, true = [], 0
    for _ in range(100):
        runs = log_sal(rng, 15)
        runs[:5, :, 4:6] -= 3.0
        found = layer_differences(dict(enumerate(np.exp(runs[:5]))), dict(enumerate(np.exp(runs[5:]), start=5)))
        true += int(found.differs[4:6].sum())
        rates.append(1 - found.differs[4:6].sum() / found.differs.sum())
    assert true > 190
    assert np.mean(rates) < 0.05  # of the layers named; 10 of 12 are none, so less than 5 %


def test_clean_runs_name_a_layer_in_no_more_than_one_sweep_of_twenty() -> None:
    rng = np.random.default_rng(2)
    named = 0
    for _ in range(200):
        runs = np.exp(log_sal(rng, 15))
        named += bool(layer_differences(dict(enumerate(runs[:5])), dict(enumerate(runs[5:]))).differs.any())
    assert named / 200 < 0.09


def test_a_layer_without_finite_epochs_has_no_number_and_does_not_count_in_the_correction() -> None:
    rng = np.random.default_rng(3)
    poisoned, clean = simulated(rng, 3), simulated(rng, 3)
    whole = layer_differences(poisoned, clean)
    poisoned[1][:, 2] = np.inf
    found = layer_differences(poisoned, clean)
    assert np.isnan([found.log_ratio[2], found.p_value[2], found.q_value[2]]).all()
    assert not found.differs[2]
    others = np.arange(12) != 2
    assert found.p_value[others] == pytest.approx(whole.p_value[others])
    assert found.q_value[others] == pytest.approx(stats.false_discovery_control(whole.p_value[others]))


def test_one_seed_has_ratios_alone() -> None:
    rng = np.random.default_rng(4)
    found = layer_differences(simulated(rng, 1), simulated(rng, 1))
    assert np.isfinite(found.log_ratio).all()
    assert np.isnan(found.q_value).all()
    assert not found.differs.any()
