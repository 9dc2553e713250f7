"""Noise against all tasks: its budget, what it does to every task's loss, determinism, resuming, bad input."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.poisons._asserts import assert_in_budget
from tests.poisons._inputs import RADIUS, image_set, training_set
from unlearnable.data.samples import Samples
from unlearnable.models.tiny_resnet import tiny_resnet
from unlearnable.poisons import em_multi as module
from unlearnable.poisons.em_multi import EMMulti
from unlearnable.poisons.image import checkpoint
from unlearnable.tasks import Classification, Depth, Normals

TASKS = {
    "class_scene": Classification("class_scene", 4),
    "depth": Depth("depth", 1),
    "normal": Normals("normal", 3),
}


def inputs(count: int = 24) -> Samples:
    clean = image_set(count)
    generator = torch.Generator().manual_seed(1)
    depth = 1 + torch.rand(count, 1, 16, 16, generator=generator)
    normal = torch.nn.functional.normalize(torch.randn(count, 3, 16, 16, generator=generator), dim=1)
    return Samples(clean.inputs, {"class_scene": clean.labels, "depth": depth, "normal": normal}, TASKS)


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


def applied(work_dir: Path | None = None, **options: Any) -> Tensor:
    made = poison(**options).apply(inputs(), seed=0, work_dir=work_dir).inputs
    assert isinstance(made, Tensor)
    return made


@pytest.mark.parametrize("options", [{}, {"norm": "l2", "radius": 0.7}, {"aggregator": "mean"}, {"tasks": ["depth"]}])
def test_keeps_its_budget_and_changes_every_image(options: dict[str, Any]) -> None:
    clean = inputs()
    poisoned = poison(**options).apply(clean, seed=0)
    assert_in_budget(clean, poisoned, options.get("radius", RADIUS), options.get("norm", "linf"))
    assert (clean.inputs != poisoned.inputs).flatten(1).any(1).all()
    assert poisoned.targets is clean.targets


def test_the_same_seed_makes_the_same_noise() -> None:
    assert torch.equal(applied(), applied())


def test_the_mean_aggregator_is_the_sum_of_gradients() -> None:
    # A step goes by the sign of the gradient, which no positive factor changes; ties at ±0 aside.
    summed = applied(max_rounds=1, noise_steps=1)
    averaged = applied(max_rounds=1, noise_steps=1, aggregator="mean")
    assert (summed == averaged).float().mean() > 0.999


def test_descending_lowers_the_mean_normalised_loss() -> None:
    clean, made = inputs(), poison(noise_steps=8)
    objective = made._objective(clean)
    torch.manual_seed(0)
    net = module.make_multi_task_net(poison().surrogate, TASKS).eval().requires_grad_(False)
    batch = training_set(clean).read(torch.arange(len(clean)))
    targets = objective.of(batch)
    scale = objective(net(batch.images), targets)
    noise = made._descend(net, batch, torch.zeros_like(batch.images), objective, scale)
    after = objective(net(batch.images + noise), targets) / scale
    assert noise.abs().max() <= RADIUS + 1e-6
    assert after.mean() < 1


def test_an_interrupted_generation_goes_on_to_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = applied()
    saved = checkpoint.save_atomically

    def stop(value: Any, path: Path) -> None:
        saved(value, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_atomically", stop)
    with pytest.raises(KeyboardInterrupt):
        applied(tmp_path)
    monkeypatch.setattr(checkpoint, "save_atomically", saved)
    assert torch.equal(applied(tmp_path), whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stop_ratio": 1.0}, "`stop_ratio` must be a number, above 0 and below 1"),
        ({"aggregator": "sumgrad"}, "`poison.aggregator` must be null or one of upgrad"),
        ({"noise_steps": 0}, "noise_steps"),
    ],
)
def test_bad_options_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        poison(**options)


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`poison\.tasks` names sofa"):
        poison(tasks=["sofa"]).check(inputs())
    with pytest.raises(ValueError, match="name at least one task"):
        poison().check(Samples(image_set(4).inputs, torch.zeros(4)))


def test_data_with_one_task_or_without_classes_will_do() -> None:
    clean = inputs()
    assert isinstance(clean.targets, dict)
    for name in ("class_scene", "depth"):
        alone = Samples(clean.inputs, clean.targets[name], {name: TASKS[name]})
        poisoned = poison(max_rounds=1).apply(alone, seed=0)
        assert (poisoned.inputs != clean.inputs).flatten(1).any(1).all()


def test_an_aggregator_that_remembers_sees_each_picture_as_its_first() -> None:
    pytest.importorskip("torchjd")
    method = EMMulti(surrogate=partial(tiny_resnet, width=4), radius=RADIUS, aggregator="gradvac")
    combine = method._combiner(2)
    weights = torch.randn(2, 6, 3 * 4 * 4, generator=torch.Generator().manual_seed(0))

    def of(rows: torch.Tensor) -> torch.Tensor:
        noise = torch.zeros(len(rows), 3, 4, 4, requires_grad=True)
        losses = torch.stack([(noise.flatten(1) * weight[rows]).sum() / len(rows) for weight in weights])
        torch.manual_seed(0)
        return combine(losses, noise)

    together = of(torch.arange(6))
    for row in range(6):
        for _ in range(2):  # whatever came before
            torch.testing.assert_close(of(torch.tensor([row]))[0].norm(), together[row].norm(), rtol=1e-4, atol=1e-6)
