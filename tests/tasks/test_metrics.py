"""Metrics of each kind of task against cases worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.classification import BinaryAveragePrecision, MulticlassJaccardIndex

from unlearnable.models.judging import TaskMetrics
from unlearnable.tasks import Classification, Depth, Grouping, Heatmap, Normals, Segmentation, Task
from unlearnable.tasks.heatmap import BinnedAveragePrecision

NAN = float("nan")


def measured(task: Task, output: Tensor, target: Tensor) -> dict[str, float]:
    metrics = TaskMetrics(task)
    half = max(1, len(output) // 2)
    for part in (slice(0, half), slice(half, None)):  # batches must not matter
        metrics.update(output[part], target[part])
    return {name: value.item() for name, value in metrics.compute().items()}


def test_depth_metrics_by_hand() -> None:
    true = torch.tensor([1.0, 2.0, 4.0, NAN]).view(4, 1, 1, 1)
    predicted = torch.tensor([1.2, 2.0, 1.0, 9.0]).view(4, 1, 1, 1).log()
    values = measured(Depth("d", 1), predicted, true)
    assert values["rmse"] == pytest.approx(math.sqrt((0.04 + 0 + 9) / 3), rel=1e-5)
    assert values["abs_rel"] == pytest.approx((0.2 + 0 + 0.75) / 3, rel=1e-5)
    assert values["delta1"] == pytest.approx(2 / 3)


def test_mean_iou_by_hand() -> None:
    true = torch.tensor([[[0, 0, 1, 1]], [[-1, 2, 2, 2]]])
    predicted = torch.tensor([[[0, 1, 1, 1]], [[0, 2, 2, 0]]])
    scores = nn.functional.one_hot(predicted, 4).movedim(-1, 1).float()
    values = measured(Segmentation("s", 4), scores, true)
    # IoU: class 0: 1/3; class 1: 2/3; class 2: 2/3; class 3 does not occur.
    assert values["miou"] == pytest.approx((1 / 3 + 2 / 3 + 2 / 3) / 3)
    assert values["pixel_acc"] == pytest.approx(5 / 7)


@pytest.mark.parametrize("deterministic", [False, True])
def test_mean_iou_is_that_of_torchmetrics(deterministic: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    true, scores = torch.randint(-1, 4, (6, 5, 5), generator=generator), torch.randn(6, 5, 5, 5, generator=generator)
    scores[:, 2] = -9  # a class that is never predicted; 4 never is the true one
    theirs = MulticlassJaccardIndex(5, ignore_index=-1)(scores, true)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(deterministic)
    try:
        assert measured(Segmentation("s", 5), scores, true)["miou"] == pytest.approx(theirs.item())
    finally:
        torch.use_deterministic_algorithms(before)


def test_angles_by_hand() -> None:
    true = torch.tensor([[1.0, 0, 0]] * 3).view(3, 3, 1, 1)
    predicted = torch.tensor([[2.0, 0, 0], [0, 1.0, 0], [1.0, 1.0, 0]]).view(3, 3, 1, 1)
    values = measured(Normals("n", 3), predicted, true)
    assert values["mean_angle"] == pytest.approx((0 + 90 + 45) / 3, abs=0.02)
    assert values["within_11"] == pytest.approx(1 / 3)


def test_average_precision_of_a_perfect_ranking_is_one() -> None:
    target = torch.tensor([0.0, 0.1, 0.6, 0.9]).view(4, 1, 1, 1)
    assert measured(Heatmap("k", 1), target.logit(eps=1e-3), target)["ap"] == pytest.approx(1.0)
    # Reversed: the positives come third and fourth: (1/3 + 2/4) / 2.
    assert measured(Heatmap("k", 1), -target.logit(eps=1e-3), target)["ap"] == pytest.approx(5 / 12, abs=1e-3)


def test_average_precision_counts_as_torchmetrics_does_at_each_threshold() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(3000, generator=generator)
    scores[:4] = torch.tensor([0.0, 1.0, 1 / 199, 100 / 199])  # at thresholds exactly
    target = (torch.rand(3000, generator=generator) < scores).long()
    ours, theirs = BinnedAveragePrecision(thresholds=200), BinaryAveragePrecision(thresholds=200)
    for part in (slice(0, 7), slice(7, None)):
        ours.update(scores[part], target[part])
        theirs.update(scores[part], target[part])
    assert torch.equal(ours.confmat, theirs.confmat)
    assert ours.compute() == theirs.compute()


def test_accuracy_and_pairs_by_hand() -> None:
    scores = torch.eye(3)[torch.tensor([0, 1, 2, 0])]
    assert measured(Classification("c", 3), scores, torch.tensor([0, 1, 0, -1]))["acc"] == pytest.approx(2 / 3)
    segments = torch.tensor([[[1, 1, 2, 2]]] * 2)
    apart = torch.tensor([0.0, 0.0, 0.0, 5.0]).view(1, 1, 1, 4).repeat(2, 1, 1, 1)
    # Pairs of neighbours: same, different, same; found: same, same, different.
    assert measured(Grouping("g", 1), apart, segments)["pair_acc"] == pytest.approx((1 / 2 + 0) / 2)


def test_nothing_seen_is_no_number() -> None:
    assert math.isnan(TaskMetrics(Depth("d", 1)).compute()["rmse"].item())


def test_accuracy_leaves_out_unknown_classes_and_is_nan_without_any() -> None:
    scores = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
    # Right, wrong, unknown, right: two of three.
    assert measured(Classification("c", 2), scores, torch.tensor([0, 0, -1, 0]))["acc"] == pytest.approx(2 / 3)
    assert math.isnan(measured(Classification("c", 2), scores, torch.full((4,), -1))["acc"])
