"""The count on the logarithmic scale: exact split, and whether there are two clusters at all."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from unlearnable.distances import UndefinedDistanceError, count_log_report, learnability_threshold, log_threshold

# On the raw scale 100 is cut off alone; on the logarithmic scale {0.01, 0.02} and {1, 2, 100} are.
CLEAN = [[0.01, 0.02, 1.0, 2.0, 100.0]]


def test_the_split_is_on_the_logarithmic_scale() -> None:
    low, high = np.log([0.011, 0.021]).mean(), np.log([1.001, 2.001, 100.001]).mean()
    assert log_threshold(CLEAN) == pytest.approx(math.exp((low + high) / 2) - 1e-3)
    report = count_log_report([[0.01, 0.02, 0.03, 2.0, 2.0]], CLEAN)
    assert report.value == pytest.approx(2 / 3)
    assert report.counts.beta == report.beta == log_threshold(CLEAN)
    assert learnability_threshold(CLEAN) > 50  # (100 + 0.7575) / 2: one layer alone is above


def test_the_split_is_the_best_of_all_cuts() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        row = np.exp(rng.normal(0, 2, size=9))
        logs = np.sort(np.log(row + 1e-3))
        cuts = [(logs[:k], logs[k:]) for k in range(1, 9)]
        low, high = min(cuts, key=lambda cut: sum(((part - part.mean()) ** 2).sum() for part in cut))
        assert log_threshold([row]) == pytest.approx(math.exp((low.mean() + high.mean()) / 2) - 1e-3)


def test_a_sal_of_zero_is_a_small_one() -> None:
    assert 0 < log_threshold([[0.0, 0.0, 1.0, 1.0]]) < 1
    with pytest.raises(UndefinedDistanceError, match="two different finite values"):
        log_threshold([[0.0, 0.0]])


def evidence(rows: np.ndarray) -> np.ndarray:
    return count_log_report(np.exp(rows), np.exp(rows), tau=1e-9).evidence


def test_evidence_is_that_of_the_two_likelihoods() -> None:
    # Four at 0 ± 1, four at 10 ± 1: sums of squares 8 within, 8 + 200 in all. One bell: variance 208 / 8. Two: 8 / 8.
    row = np.array([-1.0, -1.0, 1.0, 1.0, 9.0, 9.0, 11.0, 11.0])
    gain = 8 / 2 * math.log(208 / 8)
    assert evidence(row[None])[0] == pytest.approx(gain + 8 * math.log(0.5) - math.log(8), rel=1e-4)


@pytest.mark.parametrize(("layers", "wrong"), [(10, 0.22), (21, 0.08), (54, 0.02)])
def test_one_bell_is_seldom_taken_for_two_and_two_are_found(layers: int, wrong: float) -> None:
    rng = np.random.default_rng(layers)
    one = rng.normal(size=(400, layers))
    assert np.mean(evidence(one) > 0) < wrong
    two = one + np.where(np.arange(layers) < layers // 2, 0.0, 6.0)
    assert np.mean(evidence(two) > 0) > 0.9


def test_a_split_of_one_cluster_is_warned_of() -> None:
    single = np.exp(np.random.default_rng(0).normal(size=(6, 20)))
    report = count_log_report(single, single)
    assert report.clustered <= 0.5
    assert "one cluster fits" in str(report.warning)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["warning"] == report.warning
    apart = np.exp(np.random.default_rng(0).normal(size=(6, 20)) + np.repeat([0.0, 8.0], 10))
    assert count_log_report(apart, apart).warning is None


def test_few_layers_can_not_say() -> None:
    report = count_log_report([[0.1, 1.0, 2.0]], [[0.1, 1.0, 2.0]])
    assert math.isnan(report.evidence[0])
    assert math.isnan(report.clustered)
    assert report.warning is None
