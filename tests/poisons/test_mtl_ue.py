"""MTL-UE: what its generator learns from, its regularisers, and what it does to the loss of each task."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests._inputs import seeded
from unlearnable.data.samples import Samples
from unlearnable.models.tiny_resnet import tiny_resnet
from unlearnable.poisons.image import checkpoint
from unlearnable.poisons.image.codes import ClassCodes, find_codes
from unlearnable.poisons.image.embeddings import EmbeddingGenerator
from unlearnable.poisons.image.multi_task import Objective
from unlearnable.poisons.mtl_ue import MTLUE, other_classes
from unlearnable.tasks import Classification, TaskLoss

from ._asserts import assert_in_budget, norms
from ._inputs import RADIUS, image_set
from ._tasks import TASKS, many_tasks

CLASSES = {"a": Classification("a", 4), "b": Classification("b", 3)}


def two_classes(count: int = 24) -> Samples:
    clean = image_set(count)
    return Samples(clean.inputs, {"a": clean.labels, "b": torch.arange(count) // 4 % 3}, CLASSES)


def poison(**options: Any) -> MTLUE:
    settings: dict[str, Any] = {"epochs": 2, "surrogate_epochs": 2, "width": 4, "codes": 4, "train_batch_size": 12}
    settings |= {"surrogate": partial(tiny_resnet, width=4, stem_stride=2), "radius": RADIUS, "tile": 2}
    return MTLUE(**{**settings, **options})


def applied(samples: Samples, work_dir: Path | None = None, **options: Any) -> Tensor:
    made = poison(**options).apply(samples, seed=0, work_dir=work_dir).inputs
    assert isinstance(made, Tensor)
    return made


@pytest.mark.parametrize("base", ["em", "tap", "sep"])
def test_class_tasks_with_each_base(base: str) -> None:
    clean = two_classes()
    poisoned = poison(base=base).apply(clean, seed=0)
    assert_in_budget(clean, poisoned, RADIUS, "linf")
    assert (norms(clean.inputs, poisoned.inputs)["linf"] > 0).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{}, {"carrier_share": 0.5}, {"norm": "l2", "radius": 0.7, "carrier_share": 0.5}])
def test_any_mixture_of_tasks_within_the_budget(options: dict[str, Any]) -> None:
    clean = many_tasks("scene", "normal", "semantic", count=12)
    poisoned = poison(**options).apply(clean, seed=0)
    assert_in_budget(clean, poisoned, options.get("radius", RADIUS), options.get("norm", "linf"))
    assert (norms(clean.inputs, poisoned.inputs)["linf"] > 0).all()  # type: ignore[arg-type]


def generator_of(samples: Samples) -> tuple[EmbeddingGenerator, list[Tensor]]:
    books = [
        ClassCodes(task) if not task.dense else find_codes(task, samples.targets, 4, generator=seeded(0))
        for name, task in samples.tasks.items()
    ]
    net = EmbeddingGenerator(books, (3, 16, 16), width=4, tile=2, generator=seeded(0))
    return net, [book(samples.targets, torch.arange(len(samples))) for book in books]


def test_similarities_are_the_published_regularisers() -> None:
    net, _ = generator_of(two_classes())
    first, second = (embedding.detach().flatten(1) for embedding in net.embeddings)
    within = []
    for one in (first, second):
        cosines = [
            F.cosine_similarity(one[i], one[j], dim=0) for i in range(len(one)) for j in range(len(one)) if i != j
        ]
        within.append(sum(cosines) / len(cosines) + 1)
    between = [F.cosine_similarity(x, y, dim=0).abs() for x in first for y in second]
    measured = net.similarity()
    assert torch.allclose(measured[0], sum(within) / 2, atol=1e-6)
    assert torch.allclose(measured[1], sum(between) / len(between), atol=1e-6)


def test_one_task_has_none_to_be_like() -> None:
    net, _ = generator_of(many_tasks("depth"))
    assert net.similarity()[1] == 0


@pytest.mark.parametrize("size", [16, 15])
def test_noise_follows_codes_and_is_as_large_as_the_picture(size: int) -> None:
    samples = many_tasks("scene", "depth", size=size)
    _, codes = generator_of(samples)
    books = [ClassCodes(TASKS["scene"]), find_codes(TASKS["depth"], samples.targets, 4, generator=seeded(0))]
    net = EmbeddingGenerator(books, (3, size, size), width=4, tile=2, generator=seeded(0)).eval()
    images = torch.rand(24, 3, size, size, generator=seeded(0))
    noise = net(images, codes)
    assert noise.shape == images.shape
    for place in (0, 1):
        others = [one.roll(1, 0) if place == here else one for here, one in enumerate(codes)]
        assert not torch.equal(net(images, others), noise)
    unknown = [torch.full_like(one, -1) for one in codes]
    assert torch.isfinite(net(images, unknown)).all()


def test_targets_are_half_of_the_classes_away() -> None:
    labels = {"a": torch.tensor([0, 1, 3, -1]), "b": torch.tensor([0, 1, 2, 0])}
    shifted = other_classes(Objective({name: TaskLoss(task) for name, task in CLASSES.items()}, labels))
    assert shifted["a"].tolist() == [2, 3, 1, -1]  # type: ignore[index]
    assert shifted["b"].tolist() == [1, 2, 0, 1]  # type: ignore[index]


def test_sep_attacks_every_fourth_check_point_and_tap_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[nn.Module]] = []
    original = MTLUE._nets

    def kept(self: MTLUE, *given: Any) -> list[nn.Module]:
        asked.append(original(self, *given))
        return asked[-1]

    monkeypatch.setattr(MTLUE, "_nets", kept)
    for base in ("sep", "tap"):
        applied(two_classes(), base=base, surrogate_epochs=6, epochs=1)
    assert [len(nets) for nets in asked] == [2, 1]  # after epochs 1 and 5 of 6; after the sixth


def test_training_lowers_the_loss_of_every_task() -> None:
    samples, seen = many_tasks("scene", "depth", count=16), []
    made = poison(epochs=10, surrogate_steps=4, train_batch_size=8)
    original = made._learn

    def watched(data: Any, net: nn.Module, learner: Any, noise: Any, loss: Any, epoch: int) -> None:
        original(data, net, learner, noise, loss, epoch)
        batch = data.read(torch.arange(len(data)))
        objective = Objective({name: TaskLoss(task) for name, task in samples.tasks.items()}, samples.targets)
        net.eval()
        with torch.no_grad():
            seen.append([objective.on(net(image), batch) for image in (batch.images, batch.images + noise(batch))])

    made._learn = watched  # type: ignore[method-assign]
    made.apply(samples, seed=0)
    clean, poisoned = seen[-1]
    assert (poisoned < clean).all()  # the pictures are grey: without noise there is nothing to see


def test_what_is_not_protected_leaves_no_trace() -> None:
    samples = many_tasks("scene", "depth", "normal")
    assert not isinstance(samples.targets, Tensor)
    others = {**samples.targets, "scene": samples.targets["scene"].flip(0), "normal": samples.targets["normal"].flip(0)}
    options = {"tasks": ["depth"], "carrier_share": 0.5}
    assert torch.equal(applied(samples, **options), applied(samples.replace(targets=others), **options))


@pytest.mark.parametrize("base", ["em", "tap"])
def test_an_interrupted_generation_goes_on_to_the_same_result(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = applied(two_classes(), base=base)
    saved = checkpoint.save_atomically

    def stop(value: Any, path: Path) -> None:
        saved(value, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_atomically", stop)
    with pytest.raises(KeyboardInterrupt):
        applied(two_classes(), tmp_path, base=base)
    monkeypatch.setattr(checkpoint, "save_atomically", saved)
    assert torch.equal(applied(two_classes(), tmp_path, base=base), whole)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="`base` must be one of em, tap, sep; got 'rem'"):
        poison(base="rem")
    with pytest.raises(ValueError, match="`carrier_share` must be a number, at least 0 and below 1"):
        poison(carrier_share=1)
    with pytest.raises(ValueError, match="leads to other classes, which depth, normal have none of"):
        poison(base="tap").check(many_tasks("scene", "depth", "normal"))
    with pytest.raises(ValueError, match=r"`poison\.tasks` names sofa"):
        poison(tasks=["sofa"]).check(two_classes())
