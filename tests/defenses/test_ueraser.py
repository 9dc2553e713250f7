"""UEraser, and UEraser-max: the largest loss of several draws."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tests._inputs import seeded

pytest.importorskip("kornia")

from unlearnable.defenses.ueraser import UEraser
from unlearnable.defenses.ueraser_max import UEraserMax, losses_of_images
from unlearnable.models.module import TaskModule

from ._inputs import CLASSES, TASKS, Net, batch, module


def test_every_image_has_its_own_draw() -> None:
    images = torch.full((32, 3, 16, 16), 0.4)
    found = UEraser().augmented(images, seeded(1))
    assert len({image.numpy().tobytes() for image in found}) > 10  # equal images come out differently
    assert 0 <= found.min() <= found.max() <= 1


def test_half_of_the_images_have_clouds_and_half_other_channels() -> None:
    steps = UEraser()._steps
    images = torch.full((400, 3, 16, 16), 0.5) * torch.tensor([1.0, 0.5, 0.25]).view(1, 3, 1, 1)
    for step in steps[:2]:
        torch.manual_seed(0)
        assert ((step(images) != images).flatten(1).any(1)).float().mean().item() == pytest.approx(0.5, abs=0.1)
    torch.manual_seed(0)
    shuffled = (steps[2](images) != images).flatten(1).any(1).float().mean().item()
    assert shuffled == pytest.approx(0.5 * 5 / 6, abs=0.1)  # one of six orders is the old one


def test_the_largest_of_five_losses_of_each_image_is_descended_on(monkeypatch: pytest.MonkeyPatch) -> None:
    one: Any = module()
    one.net.bn = torch.nn.Identity()  # so that images do not see each other
    images, labels = batch()
    draws = iter(torch.rand(5, *images.shape, generator=seeded(3)))
    seen = [draw.clone() for draw in torch.rand(5, *images.shape, generator=seeded(3))]
    defense = UEraserMax(draws=5)
    monkeypatch.setattr(UEraser, "augmented", lambda *_: next(draws))
    found = defense.loss(one, (images, labels), generator=seeded(0))
    table = torch.stack([F.cross_entropy(one.net(draw), labels, reduction="none") for draw in seen])
    torch.testing.assert_close(found, table.max(0).values.mean())
    assert found > table.mean()


def test_after_its_epochs_there_is_one_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(UEraser, "augmented", lambda self, images, generator: (calls.append(1), images)[1])
    for epoch, expected in ((1, 5), (2, 1)):
        calls.clear()
        monkeypatch.setattr(TaskModule, "current_epoch", epoch)
        UEraserMax(draws=5, epochs=2).loss(module(), batch(), generator=seeded(0))
        assert len(calls) == expected


def test_losses_of_images_are_those_of_batches_of_one() -> None:
    one: Any = module()
    output, labels = torch.randn(6, CLASSES, generator=seeded(0)), torch.arange(6) % CLASSES
    expected = F.cross_entropy(output, labels, reduction="none")
    torch.testing.assert_close(losses_of_images(one, output, labels), expected)
    several: Any = TaskModule(
        Net(), {"class": TASKS["class"], "other": TASKS["class"].__class__("other", CLASSES)}, optimizer=one.optimizer
    )
    outputs, targets = {"class": output, "other": output.flip(0)}, {"class": labels, "other": labels}
    sums = expected + F.cross_entropy(output.flip(0), labels, reduction="none")
    torch.testing.assert_close(losses_of_images(several, outputs, targets), sums)


def test_without_kornia_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("kornia"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'unlearnable\[defenses\]'"):
        UEraser()
