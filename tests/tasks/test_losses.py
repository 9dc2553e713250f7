"""Losses of each kind of task against cases worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tests._inputs import seeded
from unlearnable.data.targets import balanced
from unlearnable.tasks import (
    Classification,
    Depth,
    Grouping,
    Heatmap,
    Normals,
    Segmentation,
    Task,
    TaskLoss,
    ValueMap,
)
from unlearnable.tasks.grouping import pairs

NAN = float("nan")


def test_losses_are_means_over_images_of_means_over_valid_pixels() -> None:
    # Image 0 has one valid pixel with error 1, image 1 four with error 3, image 2 none: (1 + 3) / 2.
    target = torch.full((3, 1, 2, 2), NAN)
    target[0, 0, 0, 0], target[1] = 0.0, 0.0
    output = torch.cat([torch.ones(1, 1, 2, 2), 3 * torch.ones(1, 1, 2, 2), 9 * torch.ones(1, 1, 2, 2)])
    assert ValueMap("t", 1).loss(output, target).item() == 2.0


def test_depth_is_judged_by_its_logarithm() -> None:
    depth = torch.tensor([[[[1.0, math.e, NAN]]]])
    assert Depth("t", 1).loss(torch.zeros(1, 1, 1, 3), depth).item() == pytest.approx(0.5)  # |0 − 0|, |0 − 1|


def test_normal_loss_is_one_minus_cosine_whatever_the_length() -> None:
    true = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).repeat(1, 1, 1, 3)
    true[..., 2] = NAN
    predicted = torch.tensor([[5.0, 0, 0], [0, 0.1, 0], [1, 1, 1]]).T.view(1, 3, 1, 3)
    assert Normals("t", 3).loss(predicted, true).item() == pytest.approx(0.5)  # (0 + 1) / 2


def test_class_losses_ignore_what_has_no_label() -> None:
    scores = torch.tensor([[0.0, 0.0], [100.0, 0.0]])
    assert Classification("t", 2).loss(scores, torch.tensor([1, -1])).item() == pytest.approx(math.log(2))
    pixels = scores.T.view(1, 2, 1, 2)
    assert Segmentation("t", 2).loss(pixels, torch.tensor([[[0, -1]]])).item() == pytest.approx(math.log(2))


def test_class_weights_make_a_weighted_mean() -> None:
    # Pixels of class 0 (weight 1, entropy a), class 1 (weight 3, entropy b) and none: (a + 3 b) / 4.
    scores = torch.tensor([[[[2.0, 0.0, 5.0]], [[0.0, 1.0, 0.0]]]])
    labels = torch.tensor([[[0, 1, -1]]])
    a, b = math.log(1 + math.exp(-2)), math.log(1 + math.exp(-1))
    task = Segmentation("s", 2, class_weights=(1.0, 3.0))
    assert TaskLoss(task)({"s": scores}, {"s": labels}).item() == pytest.approx((a + 3 * b) / 4, rel=1e-6)
    assert Segmentation("t", 2).loss(scores, labels).item() == pytest.approx((a + b) / 2, rel=1e-6)


def test_weights_of_balanced_classes_are_enets() -> None:
    target = torch.tensor([[[0, 0, 0, 1]], [[-1, -1, 0, 0]]])
    weights = balanced(Segmentation("s", 3), target).class_weights
    assert weights == pytest.approx([1 / math.log(1.02 + share) for share in (5 / 6, 1 / 6, 0)])


def test_heatmap_loss_is_smallest_at_the_target() -> None:
    target = torch.tensor([[[[0.2, 0.9]]]])
    best = Heatmap("t", 1).loss(target.logit(), target).item()
    entropy = -sum(p * math.log(p) + (1 - p) * math.log(1 - p) for p in (0.2, 0.9)) / 2
    assert best == pytest.approx(entropy, abs=1e-6)
    assert Heatmap("t", 1).loss(target.logit() + 0.3, target).item() > best


def test_grouping_rewards_segments_held_together_and_apart() -> None:
    segments = torch.zeros(1, 12, 12, dtype=torch.int64)
    segments[..., 6:] = 1
    good = torch.zeros(1, 8, 12, 12)
    good[:, 0, :, 6:] = 3.0
    bad = torch.zeros(1, 8, 12, 12)
    bad[:, 0, ::2] = 3.0
    losses = [Grouping("t", 8).loss(embedding, segments).item() for embedding in (good, torch.zeros_like(good), bad)]
    assert losses[0] < losses[1] < losses[2]
    relabelled = torch.where(segments == 0, 7, 2)  # numbers of segments mean nothing
    assert Grouping("t", 8).loss(good, relabelled).item() == losses[0]


def test_grouping_probability_is_the_papers() -> None:
    # Two pixels beside each other with ‖e_p − e_q‖² = 1 (and the smallest distance added): s = 2 / (1 + exp 1.01).
    embedding = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    s = 2 / (1 + math.exp(1.01))
    same = Grouping("t", 8).loss(embedding, torch.tensor([[[4, 4]]])).item()
    other = Grouping("t", 8).loss(embedding, torch.tensor([[[4, 5]]])).item()
    assert same == pytest.approx(-math.log(s) / 2, rel=1e-5)
    assert other == pytest.approx(-math.log(1 - s) / 2, rel=1e-5)
    assert pairs(embedding, torch.tensor([[[4, -1]]]))[2].sum() == 0


@pytest.mark.parametrize(
    ("task", "output", "target"),
    [
        (Classification("t", 3), (2, 3), (2,)),
        (Segmentation("t", 3), (2, 3, 9, 9), (2, 9, 9)),
        (Grouping("t", 3), (2, 3, 9, 9), (2, 9, 9)),
        (Depth("t", 1), (2, 1, 9, 9), None),
        (Normals("t", 3), (2, 3, 9, 9), None),
        (Heatmap("t", 1), (2, 1, 9, 9), None),
        (ValueMap("t", 2), (2, 2, 9, 9), None),
    ],
    ids=lambda value: getattr(value, "kind", None),
)
def test_a_batch_without_any_value_has_loss_zero_and_a_finite_gradient(
    task: Task, output: tuple[int, ...], target: tuple[int, ...] | None
) -> None:
    predicted = torch.randn(output, generator=seeded(0), requires_grad=True)
    loss = task.loss(predicted, torch.full(output, NAN) if target is None else torch.full(target, -1))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(predicted.grad, torch.zeros(output))


def test_one_class_an_image_has_the_usual_cross_entropy_to_the_bit() -> None:
    scores, labels = torch.randn(37, 10, generator=seeded(0)), torch.arange(37) % 10
    assert torch.equal(Classification("t", 10).loss(scores, labels), nn.functional.cross_entropy(scores, labels))


@pytest.mark.parametrize("task", [Depth("d", 1), Normals("n", 3), Segmentation("s", 3), Classification("c", 3)])
def test_means_over_batches_do_not_depend_on_where_values_are_missing(task: Task) -> None:
    draws = torch.Generator().manual_seed(0)
    maps = torch.rand(40, 3, 4, 4, generator=draws)
    outputs = torch.rand(40, task.channels, *((4, 4) if task.dense else ()), generator=draws)
    targets = {
        "d": 1 + maps[:, :1],
        "n": torch.nn.functional.normalize(maps - 0.5, dim=1),
        "s": (3 * maps[:, 0]).long(),
        "c": (3 * maps[:, 0, 0, 0]).long(),
    }[task.name]
    missing = torch.rand(40, generator=draws) < 0.8
    targets[missing] = torch.nan if targets.is_floating_point() else -1
    whole, total, count = float(task.loss(outputs, targets)), 0.0, 0
    for output, target in zip(outputs.split(4), targets.split(4), strict=True):
        weight = int(task.weight(target))
        total, count = total + weight * float(task.loss(output, target)), count + weight
    assert count == int((~missing).sum())
    assert total / count == pytest.approx(whole, rel=1e-5)
