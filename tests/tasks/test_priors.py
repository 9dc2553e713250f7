"""What can be predicted without looking at an input: priors of each kind of task, worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tests._inputs import seeded
from unlearnable.models.judging import judge_priors
from unlearnable.models.module import TaskModule
from unlearnable.tasks import Classification, Depth, Grouping, Heatmap, Normals, Segmentation, Task, ValueMap

NAN = float("nan")


def rows(*images: list[float]) -> Tensor:
    """Images of one row and one channel, `[n, 1, 1, w]`."""
    return torch.tensor(images)[:, None, None]


def test_the_class_that_most_training_images_have_is_predicted() -> None:
    # Training: class 2 three times of five, one without a label. Test: two of four have it.
    train, test = torch.tensor([2, 2, 0, 1, 2, -1]), torch.tensor([2, 0, 1, 2, -1])
    assert Classification("c", 3).priors(train)["constant"].exp().tolist() == [pytest.approx([0.2, 0.2, 0.6])]
    assert judge_priors(Classification("c", 3), train, test) == {"constant": {"acc": 0.5}}


def test_each_pixels_most_frequent_class_is_predicted() -> None:
    train = torch.tensor([[[0, 1, -1, 2]], [[0, 1, -1, 0]], [[1, 0, -1, 2]]])
    found = Segmentation("s", 3).priors(train)
    assert found["pixel"].argmax(1).tolist() == [[[0, 1, 0, 2]]]  # the third has no label: the constant, class 0
    assert found["constant"].argmax(1).tolist() == [[[0, 0, 0, 0]]]  # 4 of 9
    # On [0, 1, 0, −1] all three known pixels are right; the constant finds class 0 in two of three, IoU 2/3, class 1 never.
    judged = judge_priors(Segmentation("s", 3), train, torch.tensor([[[0, 1, 0, -1]]]))
    assert judged["pixel"] == {"miou": 1, "pixel_acc": 1}
    assert judged["constant"] == {"miou": pytest.approx(1 / 3), "pixel_acc": pytest.approx(2 / 3)}


def test_depth_is_the_median_of_what_is_known() -> None:
    train = rows([1, 8, NAN], [2, NAN, NAN], [9, NAN, NAN])
    found = Depth("d", 1).priors(train)
    assert found["pixel"].exp().flatten().tolist() == pytest.approx(
        [2, 8, 2], rel=1e-6
    )  # of 1, 2, 8, 9 the lower median
    assert found["constant"].exp().flatten().tolist() == pytest.approx([2, 2, 2])
    judged = judge_priors(Depth("d", 1), train, rows([3, 5, NAN]))
    assert judged["pixel"]["rmse"] == pytest.approx(math.sqrt((1 + 9) / 2), rel=1e-5)
    assert judged["constant"]["rmse"] == pytest.approx(math.sqrt((1 + 9) / 2), rel=1e-5)
    assert judged["pixel"]["abs_rel"] == pytest.approx((1 / 3 + 3 / 5) / 2, rel=1e-5)


def test_a_normals_mean_direction_has_unit_length() -> None:
    # First pixel: x and y in equal parts; second: z twice, one of three components unknown the third time.
    train = torch.tensor([[[1.0, 0, 0], [0, 0, 1]], [[0, 1, 0], [0, 0, 1]], [[NAN, NAN, NAN], [1, NAN, 0]]])
    found = Normals("n", 3).priors(train.movedim(-1, 1)[:, :, None])
    half = math.sqrt(0.5)
    expected = torch.tensor([[half, half, 0], [0, 0, 1]]).T[None, :, None]
    torch.testing.assert_close(found["pixel"], expected)
    torch.testing.assert_close(
        found["constant"], torch.tensor([1.0, 1, 2]).div(math.sqrt(6)).view(1, 3, 1, 1).expand(1, 3, 1, 2)
    )
    test = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).T[None, :, None]
    judged = judge_priors(Normals("n", 3), train.movedim(-1, 1)[:, :, None], test)
    assert judged["pixel"]["mean_angle"] == pytest.approx((45 + 90) / 2, abs=0.02)


def test_maps_are_averages_of_what_is_known() -> None:
    train = rows([0.2, 0.8, NAN], [0.4, NAN, NAN])
    values, heat = ValueMap("v", 1).priors(train), Heatmap("h", 1).priors(train)
    average, mean = [0.3, 0.8, 1.4 / 3], [1.4 / 3] * 3
    for found in (values, {name: value.sigmoid() for name, value in heat.items()}):
        assert found["pixel"].flatten().tolist() == pytest.approx(average, rel=1e-6)
        assert found["constant"].flatten().tolist() == pytest.approx(mean, rel=1e-6)
    # Each channel has its own mean.
    both = ValueMap("v", 2).priors(torch.cat([train, 10 * train], 1))["constant"]
    assert both[0, :, 0, 0].tolist() == pytest.approx([1.4 / 3, 14 / 3])


def test_a_constant_map_has_the_average_precision_of_chance() -> None:
    # Three of eight pixels are key points; the average map ranks two of them first and one last.
    train = rows([0.9, 0.8, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1])
    test = rows([0.3, 0.9, 0, 0, 0, 0, 0, 0.5])
    judged = judge_priors(Heatmap("h", 1), train, test)
    assert judged["constant"]["ap"] == pytest.approx(3 / 8)
    assert judged["pixel"]["ap"] == pytest.approx((1 + 1 + 3 / 8) / 3)


def test_neighbours_are_one_segment_without_looking() -> None:
    # Stripes five pixels wide: pairs four apart are of two stripes more often than of one, those one apart are not.
    stripes = (torch.arange(20) // 5).expand(3, 20, 20)
    train, test = stripes.mT.clone(), stripes.clone()
    train[:, 0] = -1
    judged = judge_priors(Grouping("g", 2), train, test)
    assert judged["constant"]["pair_acc"] == 0.5
    # Test, counted with numpy: across, pairs of length k are one segment as far as the columns are of one stripe.
    labels = np.arange(20) // 5
    same, apart = {}, {}
    for length in (1, 4, 8):
        together = int((labels[:-length] == labels[length:]).sum()) * 20
        same[length], apart[length] = together + (20 - length) * 20, (20 - length) * 20 - together
    share = max(
        same_share / sum(same.values()) + apart_share / sum(apart.values())
        for same_share, apart_share in [(same[1], apart[4] + apart[8]), (same[1] + same[4], apart[8])]
    )
    assert judged["pixel"]["pair_acc"] == pytest.approx(share / 2)
    assert judged["pixel"]["pair_acc"] > 0.6


def test_nothing_known_has_no_prior() -> None:
    nothing = torch.full((2, 1, 3, 3), NAN)
    assert judge_priors(Depth("d", 1), nothing, torch.ones(1, 1, 3, 3)) == {}
    assert math.isnan(judge_priors(Depth("d", 1), torch.ones(1, 1, 3, 3), nothing)["pixel"]["rmse"])


class Fixed(nn.Module):
    """Predicts the same for every input."""

    def __init__(self, predictions: dict[str, Tensor]) -> None:
        super().__init__()
        self.predictions = predictions
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        return {name: value.expand(len(inputs), *value.shape[1:]) for name, value in self.predictions.items()}


def test_a_model_that_predicts_a_prior_is_judged_as_the_prior() -> None:
    def maps(channels: int, offset: int) -> Tensor:
        made = torch.rand(40, channels, 12, 12, generator=seeded(offset))
        return torch.where(torch.rand(40, 1, 12, 12, generator=seeded(offset + 9)) < 0.2, NAN, made)

    def labels(count: int, offset: int, *shape: int) -> Tensor:
        return torch.randint(-1, count, (40, *shape), generator=seeded(offset))

    def targets(offset: int) -> dict[str, Tensor]:
        return {
            "depth": 1 + maps(1, offset),
            "normal": maps(3, offset + 1) - 0.3,
            "points": maps(1, offset + 2) ** 3,
            "map": maps(2, offset + 3),
            "classes": labels(4, offset + 4, 12, 12),
            "segments": labels(3, offset + 5, 12, 12),
            "class": labels(3, offset + 6),
        }

    kinds: list[Task] = [Depth("depth", 1), Normals("normal", 3), Heatmap("points", 1), ValueMap("map", 2)]
    kinds += [Segmentation("classes", 4), Grouping("segments", 2), Classification("class", 3)]
    tasks = {task.name: task for task in kinds}
    train, test = targets(0), targets(100)
    for prior in ("constant", "pixel"):
        predictions = {
            name: (found := task.priors(train[name])).get(prior, found["constant"]) for name, task in tasks.items()
        }
        module = TaskModule(Fixed(predictions), tasks, optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1))
        batches = [
            (torch.zeros(20, 1), {name: target[part] for name, target in test.items()})
            for part in (slice(0, 20), slice(20, 40))
        ]
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
        (measured,) = trainer.validate(
            module, DataLoader(batches, batch_size=None, collate_fn=lambda batch: batch), verbose=False
        )
        for name, task in tasks.items():
            judged = judge_priors(task, train[name], test[name])
            for metric, value in judged.get(prior, judged["constant"]).items():
                assert measured[f"test/{name}/{metric}"] == pytest.approx(value, rel=1e-5), (name, metric)
