"""Losses and metrics against hand-worked cases, weightings, the multi-head net, and SAL per task."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests._inputs import seeded
from unlearnable import models
from unlearnable.data import Task
from unlearnable.data.multitask import balanced
from unlearnable.data.samples import Batches, ImageSet
from unlearnable.measures.sal import measure_sal
from unlearnable.models import make_multi_task, make_single_task, resnet18, tiny_resnet
from unlearnable.models.heads import DenseHead, feature_map, make_encoder, make_multi_task_net
from unlearnable.models.multi_task import JOINT
from unlearnable.models.weighting import AGGREGATORS, DynamicWeightAverage, Uncertainty, make_aggregator
from unlearnable.tasks.losses import LOSSES, TaskLoss, pairs
from unlearnable.tasks.metrics import TaskMetrics

NAN = float("nan")
TASKS = {
    "class_scene": Task("class_scene", "class", 3),
    "depth_euclidean": Task("depth_euclidean", "depth", 1),
    "normal": Task("normal", "normal", 3),
}
sgd = partial(torch.optim.SGD, lr=0.1)
backbone = partial(tiny_resnet, width=4, stem_stride=2)


def data(count: int = 12, size: int = 16) -> ImageSet:
    generator = seeded(0)
    images = torch.randint(0, 256, (count, 3, size, size), generator=generator, dtype=torch.uint8)
    depth = 1 + torch.rand(count, 1, size, size, generator=generator)
    depth[0] = NAN
    normal = nn.functional.normalize(torch.randn(count, 3, size, size, generator=generator), dim=1)
    return ImageSet(images, {"class_scene": torch.arange(count) % 3, "depth_euclidean": depth, "normal": normal})


def module(seed: int = 0, **options: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make_multi_task(backbone, TASKS, optimizer=sgd, head_width=4, **options)


# --- losses ---


def test_losses_are_means_over_images_of_means_over_valid_pixels() -> None:
    # Image 0 has one valid pixel with error 1, image 1 four with error 3, image 2 none: (1 + 3) / 2.
    target = torch.full((3, 1, 2, 2), NAN)
    target[0, 0, 0, 0], target[1] = 0.0, 0.0
    output = torch.cat([torch.ones(1, 1, 2, 2), 3 * torch.ones(1, 1, 2, 2), 9 * torch.ones(1, 1, 2, 2)])
    assert LOSSES["map"](output, target).item() == 2.0


def test_depth_is_judged_by_its_logarithm() -> None:
    depth = torch.tensor([[[[1.0, math.e, NAN]]]])
    assert LOSSES["depth"](torch.zeros(1, 1, 1, 3), depth).item() == pytest.approx(0.5)  # |0 − 0|, |0 − 1|


def test_normal_loss_is_one_minus_cosine_whatever_the_length() -> None:
    true = torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).repeat(1, 1, 1, 3)
    true[..., 2] = NAN
    predicted = torch.tensor([[5.0, 0, 0], [0, 0.1, 0], [1, 1, 1]]).T.view(1, 3, 1, 3)
    assert LOSSES["normal"](predicted, true).item() == pytest.approx(0.5)  # (0 + 1) / 2


def test_class_losses_ignore_what_has_no_label() -> None:
    scores = torch.tensor([[0.0, 0.0], [100.0, 0.0]])
    assert LOSSES["class"](scores, torch.tensor([1, -1])).item() == pytest.approx(math.log(2))
    pixels = scores.T.view(1, 2, 1, 2)
    assert LOSSES["segmentation"](pixels, torch.tensor([[[0, -1]]])).item() == pytest.approx(math.log(2))


def test_class_weights_make_a_weighted_mean() -> None:
    # Pixels of class 0 (weight 1, entropy a), class 1 (weight 3, entropy b) and none: (a + 3 b) / 4.
    scores = torch.tensor([[[[2.0, 0.0, 5.0]], [[0.0, 1.0, 0.0]]]])
    labels = torch.tensor([[[0, 1, -1]]])
    a, b = math.log(1 + math.exp(-2)), math.log(1 + math.exp(-1))
    task = Task("s", "segmentation", 2, class_weights=(1.0, 3.0))
    assert TaskLoss(task)({"s": scores}, {"s": labels}).item() == pytest.approx((a + 3 * b) / 4, rel=1e-6)
    assert LOSSES["segmentation"](scores, labels).item() == pytest.approx((a + b) / 2, rel=1e-6)


def test_weights_of_balanced_classes_are_enets() -> None:
    target = torch.tensor([[[0, 0, 0, 1]], [[-1, -1, 0, 0]]])
    weights = balanced(Task("s", "segmentation", 3), target).class_weights
    assert weights == pytest.approx([1 / math.log(1.02 + share) for share in (5 / 6, 1 / 6, 0)])


def test_heatmap_loss_is_smallest_at_the_target() -> None:
    target = torch.tensor([[[[0.2, 0.9]]]])
    best = LOSSES["heatmap"](target.logit(), target).item()
    entropy = -sum(p * math.log(p) + (1 - p) * math.log(1 - p) for p in (0.2, 0.9)) / 2
    assert best == pytest.approx(entropy, abs=1e-6)
    assert LOSSES["heatmap"](target.logit() + 0.3, target).item() > best


def test_grouping_rewards_segments_held_together_and_apart() -> None:
    segments = torch.zeros(1, 12, 12, dtype=torch.int64)
    segments[..., 6:] = 1
    good = torch.zeros(1, 8, 12, 12)
    good[:, 0, :, 6:] = 3.0
    bad = torch.zeros(1, 8, 12, 12)
    bad[:, 0, ::2] = 3.0
    losses = [LOSSES["grouping"](embedding, segments).item() for embedding in (good, torch.zeros_like(good), bad)]
    assert losses[0] < losses[1] < losses[2]
    relabelled = torch.where(segments == 0, 7, 2)  # numbers of segments mean nothing
    assert LOSSES["grouping"](good, relabelled).item() == losses[0]


def test_grouping_probability_is_the_papers() -> None:
    # Two pixels beside each other with ‖e_p − e_q‖² = 1 (and the smallest distance added): s = 2 / (1 + exp 1.01).
    embedding = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    s = 2 / (1 + math.exp(1.01))
    same = LOSSES["grouping"](embedding, torch.tensor([[[4, 4]]])).item()
    other = LOSSES["grouping"](embedding, torch.tensor([[[4, 5]]])).item()
    assert same == pytest.approx(-math.log(s) / 2, rel=1e-5)
    assert other == pytest.approx(-math.log(1 - s) / 2, rel=1e-5)
    assert pairs(embedding, torch.tensor([[[4, -1]]]))[2].sum() == 0


@pytest.mark.parametrize("kind", sorted(LOSSES))
def test_a_batch_without_any_value_has_loss_zero_and_a_finite_gradient(kind: str) -> None:
    shapes = {"class": (2, 3), "segmentation": (2, 3, 9, 9), "grouping": (2, 3, 9, 9), "normal": (2, 3, 9, 9)}
    output = torch.randn(shapes.get(kind, (2, 1, 9, 9)), generator=seeded(0), requires_grad=True)
    labels = {"class": (2,), "segmentation": (2, 9, 9), "grouping": (2, 9, 9)}
    target = torch.full(labels[kind], -1) if kind in labels else torch.full_like(output, NAN).detach()
    loss = LOSSES[kind](output, target)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(output.grad, torch.zeros_like(output))


# --- metrics ---


def measured(task: Task, output: Tensor, target: Tensor) -> dict[str, float]:
    metrics = TaskMetrics(task)
    half = max(1, len(output) // 2)
    for part in (slice(0, half), slice(half, None)):  # batches must not matter
        metrics.update(output[part], target[part])
    return {name: value.item() for name, value in metrics.compute().items()}


def test_depth_metrics_by_hand() -> None:
    true = torch.tensor([1.0, 2.0, 4.0, NAN]).view(4, 1, 1, 1)
    predicted = torch.tensor([1.2, 2.0, 1.0, 9.0]).view(4, 1, 1, 1).log()
    values = measured(Task("d", "depth", 1), predicted, true)
    assert values["rmse"] == pytest.approx(math.sqrt((0.04 + 0 + 9) / 3), rel=1e-5)
    assert values["abs_rel"] == pytest.approx((0.2 + 0 + 0.75) / 3, rel=1e-5)
    assert values["delta1"] == pytest.approx(2 / 3)


def test_mean_iou_by_hand() -> None:
    true = torch.tensor([[[0, 0, 1, 1]], [[-1, 2, 2, 2]]])
    predicted = torch.tensor([[[0, 1, 1, 1]], [[0, 2, 2, 0]]])
    scores = nn.functional.one_hot(predicted, 4).movedim(-1, 1).float()
    values = measured(Task("s", "segmentation", 4), scores, true)
    # IoU: class 0: 1/3; class 1: 2/3; class 2: 2/3; class 3 does not occur.
    assert values["miou"] == pytest.approx((1 / 3 + 2 / 3 + 2 / 3) / 3)
    assert values["pixel_acc"] == pytest.approx(5 / 7)


def test_angles_by_hand() -> None:
    true = torch.tensor([[1.0, 0, 0]] * 3).view(3, 3, 1, 1)
    predicted = torch.tensor([[2.0, 0, 0], [0, 1.0, 0], [1.0, 1.0, 0]]).view(3, 3, 1, 1)
    values = measured(Task("n", "normal", 3), predicted, true)
    assert values["mean_angle"] == pytest.approx((0 + 90 + 45) / 3, abs=0.02)
    assert values["within_11"] == pytest.approx(1 / 3)


def test_average_precision_of_a_perfect_ranking_is_one() -> None:
    target = torch.tensor([0.0, 0.1, 0.6, 0.9]).view(4, 1, 1, 1)
    assert measured(Task("k", "heatmap", 1), target.logit(eps=1e-3), target)["ap"] == pytest.approx(1.0)
    # Reversed: the positives come third and fourth: (1/3 + 2/4) / 2.
    assert measured(Task("k", "heatmap", 1), -target.logit(eps=1e-3), target)["ap"] == pytest.approx(5 / 12, abs=1e-3)


def test_accuracy_and_pairs_by_hand() -> None:
    scores = torch.eye(3)[torch.tensor([0, 1, 2, 0])]
    assert measured(Task("c", "class", 3), scores, torch.tensor([0, 1, 0, -1]))["acc"] == pytest.approx(2 / 3)
    segments = torch.tensor([[[1, 1, 2, 2]]] * 2)
    apart = torch.tensor([0.0, 0.0, 0.0, 5.0]).view(1, 1, 1, 4).repeat(2, 1, 1, 1)
    # Pairs of neighbours: same, different, same; found: same, same, different.
    assert measured(Task("g", "grouping", 1), apart, segments)["pair_acc"] == pytest.approx((1 / 2 + 0) / 2)


def test_nothing_seen_is_no_number() -> None:
    assert math.isnan(TaskMetrics(TASKS["depth_euclidean"]).compute()["rmse"].item())


# --- weightings ---


def test_dynamic_weights_by_hand() -> None:
    weighting = DynamicWeightAverage(["a", "b"])
    losses = {"a": torch.tensor(1.0), "b": torch.tensor(10.0)}
    weighting.epoch_ended({"a": 2.0, "b": 4.0})
    assert weighting(losses).item() == 11.0
    weighting.epoch_ended({"a": 1.0, "b": 4.0})  # a halves, b stands still: b counts for more
    share = math.exp(1 / 2) / (math.exp(1 / 4) + math.exp(1 / 2))
    assert weighting(losses).item() == pytest.approx(2 * (1 - share) + 20 * share, rel=1e-5)


def test_uncertainty_starts_as_the_sum_and_settles_where_theory_says() -> None:
    weighting = Uncertainty(["a", "b"])
    losses = {"a": torch.tensor(0.5), "b": torch.tensor(3.0)}
    assert weighting(losses).item() == pytest.approx(3.5)
    optimizer = torch.optim.SGD(weighting.parameters(), lr=0.2)
    for _ in range(400):
        optimizer.zero_grad()
        weighting(losses).backward()
        optimizer.step()
    # d/ds (L exp(−s) + s/2) = 0 at exp(s) = 2L.
    torch.testing.assert_close(weighting.log_variance.exp(), torch.tensor([1.0, 6.0]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", AGGREGATORS)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of the solvers
def test_every_aggregator_makes_one_gradient_of_three(name: str) -> None:
    aggregate = make_aggregator(name, 3)
    assert aggregate(torch.randn(3, 7, generator=seeded(0))).shape == (7,)


def test_aggregation_reaches_the_encoder_and_leaves_heads_their_own_gradient() -> None:
    images, targets = next(iter(Batches(data(), 12)))
    mean, plain = module(aggregator="mean"), module()
    for one in (mean, plain):
        one.log = one.log_dict = lambda *_, **__: None
        one.backward(one.training_step((images, targets), 0))
    for (name, parameter), (_, summed) in zip(mean.net.named_parameters(), plain.net.named_parameters(), strict=True):
        factor = 3 if name.startswith("encoder.") else 1  # the mean of three tasks' gradients, not their sum
        torch.testing.assert_close(factor * parameter.grad, summed.grad, rtol=1e-4, atol=1e-6)


# --- the net ---


def test_layers_are_named_after_encoder_and_heads() -> None:
    net = module().net
    layers = {name.removesuffix(".weight") for name, p in net.named_parameters() if p.ndim > 1}
    assert {"encoder.conv1", "encoder.layer1.0.conv1", "heads.class_scene.fc", "heads.normal.predict"} <= layers
    assert not any(name.startswith("encoder.fc") for name in layers)


@pytest.mark.parametrize("size", [16, 18, 32])
def test_predictions_have_the_pictures_size(size: int) -> None:
    net = module().net.eval()
    outputs = net(torch.rand(2, 3, size, size))
    assert {name: tuple(output.shape) for name, output in outputs.items()} == {
        "class_scene": (2, 3),
        "depth_euclidean": (2, 1, size, size),
        "normal": (2, 3, size, size),
    }


def test_a_residual_network_of_torchvision_becomes_its_own_encoder() -> None:
    torch.manual_seed(0)
    net = resnet18(5).eval()
    images = torch.rand(2, 3, 32, 32, generator=seeded(0))
    with torch.no_grad():
        scores = net(images)
        encoder: Any = make_encoder(net).eval()
        features = encoder.forward_features(images)
        torch.testing.assert_close(net.fc(features.mean((2, 3))), scores)
    assert "layer1.0.conv1.weight" in dict(encoder.named_parameters())


@pytest.mark.parametrize(
    ("name", "layer"),
    [("resnet50", "layer4.0.conv1"), ("mobilenet_v2", "features.1"), ("densenet121", "features.conv0")],
)
def test_torchvisions_networks_are_encoders_under_their_own_names(name: str, layer: str) -> None:
    net = make_multi_task_net(getattr(models, name), {"normal": TASKS["normal"]}, width=4).eval()
    assert any(parameter.startswith(f"encoder.{layer}") for parameter, _ in net.named_parameters())
    with torch.no_grad():
        assert net(torch.rand(1, 3, 32, 32))["normal"].shape == (1, 3, 32, 32)


def test_a_transformers_tokens_go_back_to_their_places() -> None:
    class Tokens(nn.Module):
        num_prefix_tokens = 1

        def forward_features(self, images: Tensor) -> Tensor:
            patches = nn.functional.avg_pool2d(images, 16).flatten(2).transpose(1, 2)
            return torch.cat([torch.full_like(patches[:, :1], 9.0), patches], dim=1)

    images = torch.rand(2, 3, 64, 64, generator=seeded(0))
    torch.testing.assert_close(feature_map(Tokens(), images), nn.functional.avg_pool2d(images, 16))


def test_networks_without_a_feature_map_are_refused() -> None:
    with pytest.raises(ValueError, match="forward_features"):
        make_encoder(nn.Sequential(nn.Flatten(), nn.Linear(3, 3)))


def test_dense_heads_double_the_resolution_in_each_stage() -> None:
    head = DenseHead(6, 5, stages=3, width=4)
    assert head(torch.rand(1, 6, 2, 3)).shape == (1, 5, 16, 24)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ["class_scene", "sofa"]}, "`task.tasks` names sofa; the data have class_scene"),
        ({"tasks": []}, "at least one task"),
        ({"weighting": "gradnorm"}, "one of equal, uncertainty, dwa"),
        ({"aggregator": "sumgrad"}, "one of upgrad"),
        ({"aggregator": "mean", "weighting": "dwa"}, "needs task.weighting=equal"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module(**options)


def test_single_task_refuses_several_tasks_and_says_what_does() -> None:
    with pytest.raises(ValueError, match=r"Use task=multi, with task.tasks=\[class_scene\]"):
        make_single_task(backbone, TASKS, optimizer=sgd)


# --- SAL per task ---


def sal_of(net: nn.Module, loss: Any, batches: Any) -> Mapping[str, float]:
    sal = measure_sal(net, loss, batches, eps=0.05, steps=4)
    return dict(zip(sal.names, sal.values.tolist(), strict=True))


def test_sal_of_a_task_equals_measure_sal_of_the_whole_net_with_its_loss() -> None:
    one = module()
    batches = Batches(data(), 6)
    for task, part in one.task_nets.items():
        whole = sal_of(one.net, one.loss_functions[task], batches)
        own = sal_of(part, one.loss_functions[task], batches)
        assert own.keys() == {name for name in whole if f"heads.{task}" in name or name.startswith("encoder.")}
        np.testing.assert_allclose([own[name] for name in own], [whole[name] for name in own], rtol=1e-4, atol=1e-7)
        others = [value for name, value in whole.items() if name not in own]
        np.testing.assert_allclose(others, 0, atol=1e-6)  # another task's head cannot change this loss


def test_a_heads_sal_does_not_depend_on_other_heads() -> None:
    one = module()
    batches = Batches(data(), 6)
    before = sal_of(one.task_nets["normal"], one.loss_functions["normal"], batches)
    with torch.no_grad():
        for parameter in one.net.heads["depth_euclidean"].parameters():
            parameter.mul_(3)
    assert sal_of(one.task_nets["normal"], one.loss_functions["normal"], batches) == before


def test_the_joint_loss_is_the_sum() -> None:
    one = module().eval()
    images, targets = next(iter(Batches(data(), 12)))
    outputs = one.net(images)
    parts = [loss(outputs, targets) for task, loss in one.loss_functions.items() if task != JOINT]
    torch.testing.assert_close(one.loss_functions[JOINT](outputs, targets), sum(parts))
    assert JOINT not in module(tasks=["normal"]).loss_functions


def test_the_widths_of_heads_are_checked() -> None:
    with pytest.raises(ValueError, match="head_width"):
        make_multi_task_net(backbone, TASKS, width=0)
