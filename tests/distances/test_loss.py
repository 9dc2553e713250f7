"""Distances that know the loss, against tables worked by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from unlearnable.distances import UndefinedDistanceError, equal_loss, geometric_distance, loss_ratio, relative_sharpness

# τ = 1 throughout: losses + 1 are 8, 4, 2 (clean) and 4, 2, 1 (poisoned).
CLEAN_LOSS, LOSS = [7.0, 3.0, 1.0], [3.0, 1.0, 0.0]
CLEAN = [[15.0, 1.0], [7.0, 1.0], [3.0, 1.0]]  # + 1: 16, 8, 4 and 2
POISONED = [[15.0, 0.0], [7.0, 0.0], [3.0, 0.0]]  # the same, and 1


def test_loss_ratio_is_worked_by_hand() -> None:
    assert loss_ratio(LOSS, CLEAN_LOSS, tau=1) == pytest.approx(0.5)
    assert loss_ratio(CLEAN_LOSS, CLEAN_LOSS) == 1.0
    assert loss_ratio([3.0, math.nan, 0.0], CLEAN_LOSS, tau=1) == pytest.approx(0.5)


def test_relative_sharpness_is_the_geometric_distance_less_what_the_loss_says() -> None:
    # Layers: log 1 and log 1/2, losses log 1/2: (log 2 + 0) / 2.
    found = relative_sharpness(POISONED, CLEAN, LOSS, CLEAN_LOSS, tau=1)
    assert found == pytest.approx(math.log(2) / 2)
    whole = math.log(geometric_distance(POISONED, CLEAN, tau=1) / loss_ratio(LOSS, CLEAN_LOSS, tau=1))
    assert found == pytest.approx(whole)
    assert relative_sharpness(CLEAN, CLEAN, CLEAN_LOSS, CLEAN_LOSS) == 0.0


def test_equal_loss_reads_the_clean_run_at_the_poisoned_loss() -> None:
    # Poisoned losses + 1 of 4 and 2 are the clean run's second and third; 1 is below all of them. First layer: 16 / 8,
    # 8 / 4; second: 1 / 2 twice.
    found = equal_loss(POISONED, CLEAN, LOSS, CLEAN_LOSS, tau=1)
    assert found.value == pytest.approx(1.0)
    assert found.per_epoch[:2] == pytest.approx([1.0, 1.0])
    assert math.isnan(found.per_epoch[2])
    assert (found.compared, found.outside, found.left_out) == (2, 1, 0)
    # Half way between 4 and 2 on the logarithmic scale, √8: clean + 1 is √(8 · 4) and 2.
    between = equal_loss([[31.0, 1.0]] * 3, CLEAN, [math.sqrt(8) - 1] * 3, CLEAN_LOSS, tau=1)
    assert between.value == pytest.approx(math.sqrt(32 / math.sqrt(32)))


def test_equal_loss_of_a_clean_run_with_itself_is_one_also_where_its_loss_rises_again() -> None:
    rng = np.random.default_rng(0)
    clean = np.exp(rng.normal(size=(5, 3)))
    losses = [2.0, 1.0, 1.5, 0.5, 0.7]
    found = equal_loss(clean, clean, losses, losses)
    assert found.value == pytest.approx(1.0)
    assert found.per_epoch == pytest.approx(np.ones(5))
    # Epochs of equal loss count as their mean.
    same = equal_loss([[4.0]] * 2, [[1.0], [7.0]], [1.0, 1.0], [1.0, 1.0], tau=1)
    assert same.value == pytest.approx(5 / 4)  # √(2 · 8) = 4


def test_nothing_is_extrapolated() -> None:
    found = equal_loss(POISONED, CLEAN, [0.5, 0.1, math.nan], CLEAN_LOSS, tau=1)
    assert math.isnan(found.value)
    assert (found.compared, found.outside, found.left_out) == (0, 2, 1)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["value"] is None
    unknown = equal_loss(POISONED, CLEAN, LOSS, [math.nan] * 3, tau=1)
    assert (unknown.compared, unknown.outside) == (0, 3)


def test_losses_without_a_logarithm_are_left_out() -> None:
    # Joint losses with learnt weights can be negative.
    assert loss_ratio([-1.0, 1.0, 0.0], CLEAN_LOSS, tau=1) == pytest.approx(0.5)
    with pytest.raises(UndefinedDistanceError, match="finite loss"):
        loss_ratio([-1.0] * 3, CLEAN_LOSS)


def test_unfit_losses_are_refused() -> None:
    with pytest.raises(ValueError, match="`losses` must be 3 numbers"):
        relative_sharpness(POISONED, CLEAN, LOSS[:2], CLEAN_LOSS)
    with pytest.raises(ValueError, match="`losses` must be 3 numbers"):
        loss_ratio(LOSS[:2], CLEAN_LOSS)
    with pytest.raises(ValueError, match="`clean_losses` must be numbers"):
        equal_loss(POISONED, CLEAN, LOSS, ["a", "b", "c"])
