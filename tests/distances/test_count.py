"""The published UD: β, learnable layers and the spread against tables worked by hand, scikit-learn and SciPy."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from unlearnable.distances import (
    convergence_epoch,
    distance_report,
    distance_spread,
    learnability_threshold,
    learnable_layers,
    per_epoch,
    unlearnable_distance,
)

# Two epochs, four layers. Epoch 1 splits into {0.1, 0.3} and {1.0, 1.4}: centres 0.2 and 1.2, mid-point 0.7. Epoch 2 into
# {0.1, 0.1, 0.1} and {0.9}: centres 0.1 and 0.9, mid-point 0.5. β = 0.6.
CLEAN = [[0.1, 1.0, 0.3, 1.4], [0.1, 0.9, 0.1, 0.1]]
# Above 0.6: clean 2 and 1; poisoned 1 and 0. UD = 1/3; per epoch 1/2 and 0.
POISONED = [[0.1, 0.7, 0.2, 0.6], [0.0, 0.5, 0.1, 0.2]]


def test_hand_worked_table() -> None:
    assert learnability_threshold(CLEAN) == pytest.approx(0.6)
    assert learnable_layers(CLEAN, 0.6).tolist() == [2, 1]
    assert learnable_layers(POISONED, 0.6).tolist() == [1, 0]  # 0.6 is not above 0.6
    assert unlearnable_distance(POISONED, CLEAN) == pytest.approx(1 / 3)
    assert isinstance(unlearnable_distance(POISONED, CLEAN), float)
    assert unlearnable_distance(CLEAN, CLEAN) == 1.0


def test_report_holds_every_part() -> None:
    report = distance_report(POISONED, CLEAN, weights=[1, 10, 100, 1000], converged_epoch=0)
    assert report.value == pytest.approx(1 / 3)
    assert report.per_epoch.tolist() == [0.5, 0.0]
    assert (report.poisoned_layers, report.clean_layers) == (0.5, 1.5)
    # Parameters above β: poisoned layer 2 once (10); clean layers 2 and 4, then 2 (10 + 1000 + 10).
    assert report.weighted == pytest.approx(10 / 1020)
    assert report.until_convergence == pytest.approx(0.5)
    assert (report.left_out_poisoned, report.left_out_clean) == (0, 0)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["value"] == pytest.approx(1 / 3)


def test_one_epoch_is_that_of_the_report() -> None:
    report = distance_report(POISONED, CLEAN)
    for place, (poisoned, clean) in enumerate(zip(POISONED, CLEAN, strict=True)):
        found = per_epoch(poisoned, clean, report.beta)
        counts = (report.poisoned_counts[place], report.clean_counts[place])
        assert (found.learnable_layers, found.clean_learnable_layers) == counts
        assert found.value == report.per_epoch[place]
    # The first layer is compared in neither run, though the clean one has it above β.
    assert per_epoch([math.nan, 0.7], [0.9, 0.8], 0.6) == (1, 1, 1.0)
    assert math.isnan(per_epoch([0.7], [0.1], 0.6).value)
    with pytest.raises(ValueError, match="same epochs and layers"):
        per_epoch([0.7], [0.1, 0.2], 0.6)


def test_beta_of_another_run_can_be_given() -> None:
    assert unlearnable_distance(POISONED, CLEAN, beta=0.45) == pytest.approx(
        3 / 3
    )  # 0.7, 0.6, 0.5 against 1.0, 1.4, 0.9


def test_threshold_is_that_of_scikit_learn() -> None:
    cluster = pytest.importorskip("sklearn.cluster")
    sal = np.random.default_rng(0).gamma(0.5, size=(12, 21))
    expected = np.mean(
        [cluster.KMeans(2, n_init=30, random_state=0).fit(row[:, None]).cluster_centers_.mean() for row in sal]
    )
    assert learnability_threshold(sal) == pytest.approx(expected, rel=1e-9)


def test_entries_that_are_not_finite_are_left_out_and_counted() -> None:
    poisoned = np.array(POISONED)
    poisoned[0, 3] = np.nan
    clean = np.array(CLEAN)
    clean[1, 0] = np.nan
    # β stays 0.6: epoch 2 has centres 0.1 and 0.9 without its first layer too. Layer 4 of epoch 1 is compared in neither run:
    # poisoned 1 and 0 above β, clean 1 and 1.
    report = distance_report(poisoned, clean)
    assert report.beta == pytest.approx(0.6)
    assert report.value == pytest.approx(1 / 2)
    assert (report.left_out_poisoned, report.left_out_clean) == (1, 1)


@pytest.mark.parametrize(
    ("poisoned", "clean", "match"),
    [
        (POISONED, CLEAN[:1], "same epochs and layers"),
        ([row[:3] for row in POISONED], CLEAN, "same epochs and layers"),
        ([0.1, 0.2], [0.1, 0.2], r"array \[epochs, layers\]"),
        ([[0.1], [0.1, 0.2]], CLEAN, "rows of equal length"),
        ([["a", "b"]], [[0.1, 0.2]], "of numbers"),
        (POISONED, [[0.5] * 4] * 2, "at least two different finite values"),
        (POISONED, [[math.nan] * 4] * 2, "at least two different finite values"),
        (POISONED, np.array(CLEAN) - 1, "non-negative"),
        (np.zeros((0, 4)), np.zeros((0, 4)), "at least one of each"),
    ],
)
def test_unfit_arrays_are_refused(poisoned: object, clean: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        unlearnable_distance(poisoned, clean)  # type: ignore[arg-type]


def test_a_clean_run_without_learnable_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="no layer with SAL > β"):
        unlearnable_distance(POISONED, CLEAN, beta=5.0)


def test_convergence_is_the_best_that_is_not_beaten() -> None:
    assert convergence_epoch([0.1, 0.5, 0.7, 0.7, 0.6, 0.65, 0.9]) == 2  # three epochs without a new best
    assert convergence_epoch([0.1, 0.2, 0.3]) == 2
    with pytest.raises(ValueError, match="`patience`"):
        convergence_epoch([0.1], patience=0)


def run(*counts: int) -> list[list[float]]:
    """A SAL array with so many layers of five at about 1, the others at about 0, in each epoch."""
    return [[1.0 + 0.01 * layer if layer < count else 0.01 * layer for layer in range(5)] for count in counts]


def test_one_seed_gives_no_verdict() -> None:
    spread = distance_spread({0: run(1, 1)}, {0: run(4, 4)})
    assert spread.mean == pytest.approx(0.25)
    assert math.isnan(spread.std)
    assert spread.distinguishable is None
    assert spread.verdict.startswith("one seed: no verdict")


def test_spread_over_seeds_is_worked_by_hand() -> None:
    clean = {0: run(4, 4), 1: run(4, 2), 2: run(4, 3)}  # 4, 3 and 3.5 layers
    poisoned = {0: run(1, 1), 1: run(2, 1), 2: run(1, 2)}  # 1, 1.5 and 1.5
    spread = distance_spread(poisoned, clean)
    assert spread.by_seed == pytest.approx({0: 1 / 4, 1: 1.5 / 3, 2: 1.5 / 3.5})
    assert spread.mean == pytest.approx(np.mean([1 / 4, 1.5 / 3, 1.5 / 3.5]))
    assert spread.std == pytest.approx(np.std([1 / 4, 1.5 / 3, 1.5 / 3.5], ddof=1))
    assert spread.clean_pairs[0, 1] == pytest.approx(4 / 3)
    assert spread.clean_pairs[1, 0] == pytest.approx(3 / 4)
    assert len(spread.clean_pairs) == 6
    assert spread.p_value == pytest.approx(stats.ttest_ind([1, 1.5, 1.5], [4, 3, 3.5]).pvalue)
    assert spread.distinguishable is True
    # A difference of as many layers as the resolution says is just significant.
    error = math.sqrt((np.var([1, 1.5, 1.5], ddof=1) + np.var([4, 3, 3.5], ddof=1)) / 2 * (2 / 3))
    assert spread.resolution == pytest.approx(stats.t.isf(0.025, 4) * error / 3.5, rel=1e-6)


def test_clean_runs_are_not_told_from_clean_runs() -> None:
    clean = {0: run(4, 4), 1: run(4, 2)}
    spread = distance_spread({0: run(4, 2), 1: run(4, 4)}, clean)
    assert spread.distinguishable is False
    assert spread.verdict.startswith("not distinguishable from clean")


def test_runs_that_agree_exactly_are_no_proof_beyond_the_counts_own_resolution() -> None:
    # Two epochs: counts are multiples of 1/2, so the variance is taken as at least (1/2)²/12.
    spread = distance_spread({0: run(3, 4), 1: run(3, 4)}, {0: run(4, 4), 1: run(4, 4)})
    expected = stats.ttest_ind_from_stats(3.5, math.sqrt(1 / 48), 2, 4.0, math.sqrt(1 / 48), 2).pvalue
    assert spread.p_value == pytest.approx(expected)
    assert 0.05 < spread.p_value < 0.1
    assert spread.distinguishable is False


def test_missing_clean_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"seeds \[1\] are missing"):
        distance_spread({1: run(1)}, {0: run(4)})
