"""Noise against all tasks: its budget, what it does to every task's loss, determinism, resuming, bad input."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.poisons._asserts import assert_in_budget
from tests.poisons._inputs import RADIUS, image_set
from unlearnable.data import Task
from unlearnable.models import tiny_resnet
from unlearnable.poisons import EMMulti
from unlearnable.poisons import em_multi as module

TASKS = {
    "class_scene": Task("class_scene", "class", 4),
    "depth": Task("depth", "depth", 1),
    "normal": Task("normal", "normal", 3),
}


def inputs(count: int = 24) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    images, labels = image_set(count)
    generator = torch.Generator().manual_seed(1)
    depth = 1 + torch.rand(count, 1, 16, 16, generator=generator)
    normal = torch.nn.functional.normalize(torch.randn(count, 3, 16, 16, generator=generator), dim=1)
    return images, labels, {"class_scene": labels, "depth": depth, "normal": normal}


def poison(**options: Any) -> EMMulti:
    settings: dict[str, Any] = {
        "surrogate_steps": 3,
        "noise_steps": 3,
        "max_rounds": 2,
        "train_batch_size": 12,
        "batch_size": 10,
    }
    settings |= {"surrogate": partial(tiny_resnet, width=4, stem_stride=2), "radius": RADIUS}
    return EMMulti(**{**settings, **options})


def applied(work_dir: Path | None = None, **options: Any) -> tuple[Tensor, Tensor]:
    images, labels, targets = inputs()
    made = poison(**options).for_targets(targets, TASKS)
    return images, made.apply(images, labels, num_classes=4, seed=0, work_dir=work_dir)


@pytest.mark.parametrize("options", [{}, {"norm": "l2", "radius": 0.7}, {"aggregator": "mean"}, {"tasks": ["depth"]}])
def test_keeps_its_budget_and_changes_every_image(options: dict[str, Any]) -> None:
    images, poisoned = applied(**options)
    assert_in_budget(images, poisoned, options.get("radius", RADIUS), options.get("norm", "linf"))
    assert (images != poisoned).flatten(1).any(1).all()


def test_the_same_seed_makes_the_same_noise() -> None:
    assert torch.equal(applied()[1], applied()[1])


def test_the_mean_aggregator_is_the_sum_of_gradients() -> None:
    # A step goes by the sign of the gradient, which no positive factor changes; ties at ±0 aside.
    _, summed = applied(max_rounds=1, noise_steps=1)
    _, averaged = applied(max_rounds=1, noise_steps=1, aggregator="mean")
    assert (summed == averaged).float().mean() > 0.999


def test_descending_lowers_the_mean_normalised_loss() -> None:
    images, labels, targets = inputs()
    made: Any = poison(noise_steps=8).for_targets(targets, TASKS)
    torch.manual_seed(0)
    net = module.make_multi_task_net(poison().surrogate, TASKS).eval().requires_grad_(False)
    batch = module.Batch(images, labels, torch.arange(len(images)))
    scale = made._losses(net(batch.images), batch)
    noise = made._descend(net, batch, torch.zeros_like(batch.images), scale)
    after = made._losses(net(batch.images + noise), batch) / scale
    assert noise.abs().max() <= RADIUS + 1e-6
    assert after.mean() < 1


def test_an_interrupted_generation_goes_on_to_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = applied()
    saved = module.save_atomically

    def stop(value: Any, path: Path) -> None:
        saved(value, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "save_atomically", stop)
    with pytest.raises(KeyboardInterrupt):
        applied(tmp_path)
    monkeypatch.setattr(module, "save_atomically", saved)
    assert torch.equal(applied(tmp_path)[1], whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stop_ratio": 1.0}, r"`stop_ratio` must lie in \(0, 1\)"),
        ({"aggregator": "sumgrad"}, "`poison.aggregator` must be null or one of upgrad"),
        ({"noise_steps": 0}, "noise_steps"),
    ],
)
def test_bad_options_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        poison(**options)


def test_an_unknown_task_is_refused_and_targets_are_needed() -> None:
    images, labels, targets = inputs()
    with pytest.raises(ValueError, match=r"`poison\.tasks` names sofa"):
        poison(tasks=["sofa"]).for_targets(targets, TASKS)
    with pytest.raises(TypeError, match="targets of all tasks"):
        poison().apply(images, labels, num_classes=4, seed=0)
