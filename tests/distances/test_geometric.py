"""The geometric distance against tables worked by hand and brute force."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import unlearnable
from unlearnable.distances import UndefinedDistanceError, geometric_distance, geometric_report

# With τ = 1 the logarithms are those of SAL + 1. Ratios: (4 / 1, 1 / 4) and (16 / 1, 4 / 4).
POISONED = [[3.0, 0.0], [15.0, 3.0]]
CLEAN = [[0.0, 3.0], [0.0, 3.0]]


def test_hand_worked_table() -> None:
    report = geometric_report(POISONED, CLEAN, tau=1, weights=[3, 1], converged_epoch=0)
    assert report.value == pytest.approx(2.0)  # (4 · 1/4 · 16 · 1)^(1/4) = 16^(1/4)
    assert geometric_distance(POISONED, CLEAN, tau=1) == report.value
    assert report.per_layer == pytest.approx([8.0, 0.5])  # √(4 · 16), √(1/4 · 1)
    assert report.per_epoch == pytest.approx([1.0, 4.0])
    assert report.weighted == pytest.approx(2 ** ((3 * 6 + 1 * -2) / 8))  # log₂: layers −2 … of weights 3, 3, 1, 1
    assert report.late == pytest.approx(4.0)
    assert report.until_convergence == pytest.approx(1.0)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["per_layer"] == pytest.approx([8.0, 0.5])


def test_it_is_the_brute_force_mean_of_log_ratios() -> None:
    rng = np.random.default_rng(0)
    poisoned, clean = np.exp(rng.normal(-2, 3, size=(2, 7, 5)))
    logs = [math.log(poisoned[at] + 1e-3) - math.log(clean[at] + 1e-3) for at in np.ndindex(7, 5)]
    report = geometric_report(poisoned, clean)
    assert report.value == pytest.approx(math.exp(sum(logs) / 35))
    assert report.late == pytest.approx(math.exp(sum(logs[15:]) / 20))  # epochs 3 to 6, the larger half of seven
    for tau, found in ((1e-4, report.with_tenth_of_tau), (1e-2, report.with_ten_tau)):
        assert found == pytest.approx(geometric_distance(poisoned, clean, tau=tau))


def test_it_is_one_for_equal_runs_and_inverts_when_they_are_exchanged() -> None:
    poisoned, clean = np.exp(np.random.default_rng(1).normal(size=(2, 4, 6)))
    assert unlearnable.geometric_distance(clean, clean) == 1.0
    assert geometric_distance(poisoned, clean) * geometric_distance(clean, poisoned) == pytest.approx(1.0)
    assert isinstance(geometric_distance(poisoned, clean), float)


def test_a_common_factor_is_the_distance_where_sal_is_far_above_tau() -> None:
    clean = np.full((3, 4), 50.0)
    assert geometric_distance(0.2 * clean, clean) == pytest.approx(0.2, rel=1e-3)
    # Far below τ nothing is told apart.
    assert geometric_distance(np.full((3, 4), 1e-8), np.full((3, 4), 1e-6)) == pytest.approx(1.0, abs=1e-2)


def test_entries_that_are_not_finite_are_left_out_of_both_and_counted() -> None:
    poisoned, clean = np.array(POISONED), np.array(CLEAN)
    poisoned[1, 0], clean[0, 1] = np.inf, np.nan
    report = geometric_report(poisoned, clean, tau=1, weights=[1, 1])
    assert report.value == pytest.approx(2.0)  # what is left: 4 / 1 and 4 / 4
    assert report.weighted == pytest.approx(2.0)
    assert report.per_layer == pytest.approx([4.0, 1.0])
    assert (report.left_out_poisoned, report.left_out_clean) == (1, 1)
    poisoned[:, 0] = np.nan
    assert math.isnan(geometric_report(poisoned, clean, tau=1).per_layer[0])


def test_unfit_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="same epochs and layers"):
        geometric_distance(POISONED, CLEAN[:1])
    with pytest.raises(ValueError, match="non-negative"):
        geometric_distance(np.array(POISONED) - 1, CLEAN)
    for tau in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="`tau` must be"):
            geometric_distance(POISONED, CLEAN, tau=tau)
    with pytest.raises(ValueError, match="`converged_epoch`"):
        geometric_report(POISONED, CLEAN, converged_epoch=2)
    with pytest.raises(ValueError, match="`weights`"):
        geometric_report(POISONED, CLEAN, weights=[1])
    with pytest.raises(UndefinedDistanceError, match="finite SAL in both"):
        geometric_distance(np.full((2, 2), np.nan), CLEAN)
