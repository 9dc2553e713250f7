"""UD at foreign thresholds, counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unlearnable.results.thresholds import SettingRuns, transfer_thresholds

# Centres 1 and 9 in the only epoch: β = 5. Layers above 5: clean 2.
SMALL_CLEAN = np.array([[1.0, 1.0, 8.0, 10.0]])
# Centres 10 and 90: β = 50.
LARGE_CLEAN = np.array([[10.0, 10.0, 80.0, 100.0]])


def test_ud_at_a_foreign_threshold_counts_the_targets_own_runs() -> None:
    measured = {
        "small": SettingRuns({0: SMALL_CLEAN}, {"em": {0: np.array([[1.0, 6.0, 1.0, 1.0]])}}),
        "large": SettingRuns({0: LARGE_CLEAN}, {"em": {0: np.array([[1.0, 60.0, 60.0, 7.0]])}}),
    }
    found = transfer_thresholds(measured)
    assert found.beta.tolist() == [5.0, 50.0]
    assert found.ud[0, 0, 0] == 0.5  # own: 1 of 2
    assert found.ud[1, 1, 0] == 1.0  # own: 2 of 2
    assert found.ud[0, 1, 0] == 0.75  # β = 5 on large: poisoned 3, clean 4
    assert math.isnan(found.ud[1, 0, 0])  # β = 50 on small: no clean layer above
    assert found.largest_change[0, 1] == 0.25


def test_order_is_compared_from_three_methods_on() -> None:
    poisoned = {
        "a": {0: np.array([[0.0, 0.0, 0.0, 0.0]])},
        "b": {0: np.array([[60.0, 0.0, 0.0, 0.0]])},
        "c": {0: np.array([[6.0, 6.0, 6.0, 0.0]])},
    }
    measured = {"large": SettingRuns({0: LARGE_CLEAN}, poisoned), "small": SettingRuns({0: SMALL_CLEAN}, {})}
    found = transfer_thresholds(measured)
    # At the own β = 50: 0, 1, 0 of 2; at β = 5: 0, 1, 3 of 4.
    assert found.ud[0, 0].tolist() == [0.0, 0.5, 0.0]
    assert found.ud[1, 0].tolist() == [0.0, 0.25, 0.75]
    assert found.tau[0, 0] == pytest.approx(1)
    # Pairs that are no tie at the own β: (a, b) agrees, (b, c) does not.
    assert found.tau[1, 0] == pytest.approx(0)


def test_one_setting_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two settings"):
        transfer_thresholds({"digits": SettingRuns({0: SMALL_CLEAN}, {})})


def test_layers_that_are_finite_in_one_run_alone_are_counted_in_neither() -> None:
    alone = np.array([[math.nan, 60.0, 7.0, 7.0]])  # of the clean run's layers above 90, the first, nothing is known
    clean = np.array([[100.0, 7.0, 7.0, 7.0]])
    measured = {
        "small": SettingRuns({0: SMALL_CLEAN}, {"em": {0: SMALL_CLEAN}}),
        "large": SettingRuns({0: clean}, {"em": {0: alone}}),
    }
    found = transfer_thresholds(measured)
    assert found.beta[1] == pytest.approx(53.5)
    assert math.isnan(found.ud[1, 1, 0])
