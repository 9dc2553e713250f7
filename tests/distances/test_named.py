"""All distances at once, by their names in `result.json`."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unlearnable.distances import (
    DISTANCES,
    all_distances,
    count_log_report,
    distance_report,
    equal_loss,
    geometric_report,
    loss_ratio,
    relative_sharpness,
    unlearnable_distance,
)
from unlearnable.distances.count_published import published_threshold

NEED_LOSSES = {"loss_ratio", "relative_sharpness", "equal_loss"}
NEED_WEIGHTS = {"count_weighted", "geometric_weighted"}

POISONED, CLEAN = np.exp(np.random.default_rng(0).normal(size=(2, 6, 9)))
LOSSES, CLEAN_LOSSES = np.linspace(2, 0.5, 6), np.linspace(2, 1, 6)
WEIGHTS = np.arange(1, 10)


def test_each_is_what_its_own_function_says() -> None:
    found = all_distances(POISONED, CLEAN, weights=WEIGHTS, converged_epoch=3, losses=LOSSES, clean_losses=CLEAN_LOSSES)
    counts = distance_report(POISONED, CLEAN, weights=WEIGHTS, converged_epoch=3)
    ratios = geometric_report(POISONED, CLEAN, weights=WEIGHTS, converged_epoch=3)
    assert found == {
        "count": unlearnable_distance(POISONED, CLEAN),
        "count_weighted": counts.weighted,
        "count_until_convergence": counts.until_convergence,
        "count_published": unlearnable_distance(POISONED, CLEAN, beta=published_threshold(CLEAN)),
        "count_log": count_log_report(POISONED, CLEAN).value,
        "geometric": ratios.value,
        "geometric_weighted": ratios.weighted,
        "geometric_until_convergence": ratios.until_convergence,
        "geometric_late": ratios.late,
        "loss_ratio": loss_ratio(LOSSES, CLEAN_LOSSES),
        "relative_sharpness": relative_sharpness(POISONED, CLEAN, LOSSES, CLEAN_LOSSES),
        "equal_loss": equal_loss(POISONED, CLEAN, LOSSES, CLEAN_LOSSES).value,
    }
    assert list(found) == list(DISTANCES)
    assert not [name for name, value in found.items() if math.isnan(value)]


def test_all_names_are_there_and_nan_where_an_input_is_missing() -> None:
    found = all_distances(POISONED, CLEAN)
    assert list(found) == list(DISTANCES)
    assert {name for name, value in found.items() if math.isnan(value)} == NEED_LOSSES | NEED_WEIGHTS
    half = all_distances(POISONED, CLEAN, losses=LOSSES)
    assert math.isnan(half["loss_ratio"])


def test_equal_runs_are_neutral_on_every_distance() -> None:
    found = all_distances(CLEAN, CLEAN, weights=WEIGHTS, losses=LOSSES, clean_losses=LOSSES)
    assert found == pytest.approx({name: distance.neutral for name, distance in DISTANCES.items()})


def test_one_that_has_no_value_does_not_take_the_others_along() -> None:
    constant = np.full((3, 4), 0.5)  # no two clusters
    found = all_distances(2 * constant, constant)
    assert math.isnan(found["count"])
    assert math.isnan(found["count_log"])
    assert found["geometric"] == pytest.approx(2.0, rel=1e-2)


def test_arguments_that_do_not_fit_are_refused_not_hidden() -> None:
    for wrong in ({"weights": [1]}, {"losses": [1.0]}, {"clean_losses": [1.0]}, {"converged_epoch": 6}):
        with pytest.raises(ValueError, match="must"):
            all_distances(POISONED, CLEAN, **wrong)
    with pytest.raises(ValueError, match="non-negative"):
        all_distances(POISONED - 10, CLEAN)
