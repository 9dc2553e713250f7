"""mixup and CutMix: images, shares, and what the loss makes of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tests._inputs import seeded
from unlearnable.defenses.cutmix import CutMix
from unlearnable.defenses.mixing import Mixing, class_shares
from unlearnable.defenses.mixup import MixUp
from unlearnable.tasks import Classification

from ._inputs import CLASSES, TASKS, batch, module


def ready(defense: Mixing, share: float) -> Any:
    """The defence with a share of its own choice, and each image's neighbour as its partner."""
    defense.setup(TASKS)
    defense.draw = lambda count, generator: (share, torch.arange(count).roll(1))  # type: ignore[method-assign]
    return defense


def test_mixup_is_the_weighted_sum_of_images_and_of_classes() -> None:
    images, labels = batch()
    found, targets = ready(MixUp(), 0.7).batch(images, labels, generator=seeded(0))
    torch.testing.assert_close(found, 0.7 * images + 0.3 * images.roll(1, 0))
    hot = F.one_hot(labels, CLASSES).float()
    torch.testing.assert_close(targets, 0.7 * hot + 0.3 * hot.roll(1, 0))


def test_cutmix_has_the_classes_at_the_share_of_the_pixels() -> None:
    images = torch.zeros(8, 3, 16, 16)
    images[::2] = 1.0  # every other image white, so each pixel says where it is from
    labels = torch.arange(8) % 2
    for seed in range(20):
        found, targets = ready(CutMix(), 0.6).batch(images, labels, generator=seeded(seed))
        own = (found == images).float().mean((1, 2, 3))
        torch.testing.assert_close(targets[range(8), labels], own)
        torch.testing.assert_close(targets.sum(1), torch.ones(8))
        cut = (found != images)[0, 0]
        assert torch.equal(cut, cut.any(1)[:, None] & cut.any(0)[None])  # a rectangle
        assert cut.any(1).sum() <= 10  # ⌊16·√0.4⌋


def test_shares_follow_the_beta_distribution() -> None:
    generator = seeded(0)
    shares = torch.tensor([MixUp(alpha=0.2).draw(4, generator)[0] for _ in range(500)])
    assert shares.mean().item() == pytest.approx(0.5, abs=0.06)
    assert shares.var().item() == pytest.approx(0.25 / 1.4, abs=0.03)  # of Beta(α, α): 1 / (4 (2α + 1))


def test_the_loss_of_mixed_targets_is_the_mix_of_the_losses() -> None:
    output, labels = torch.randn(6, CLASSES, generator=seeded(1)), torch.arange(6) % CLASSES
    task = Classification("class", CLASSES)
    hot = class_shares(labels, CLASSES)
    torch.testing.assert_close(task.loss(output, hot), task.loss(output, labels))
    mixed = 0.7 * hot + 0.3 * hot.roll(1, 0)
    expected = 0.7 * task.loss(output, labels) + 0.3 * task.loss(output, labels.roll(1))
    torch.testing.assert_close(task.loss(output, mixed), expected)


def test_images_without_a_class_count_for_nothing() -> None:
    output, labels = torch.randn(6, CLASSES, generator=seeded(1)), torch.tensor([0, 1, -1, 3, -1, 2])
    task = Classification("class", CLASSES)
    shares = class_shares(labels, CLASSES)
    torch.testing.assert_close(task.loss(output, shares), task.loss(output, labels))
    assert task.loss(output, torch.zeros(6, CLASSES)) == 0
    assert torch.equal(task.judged(output, shares)["acc"][1], labels)


def test_several_tasks_are_mixed_with_one_share_and_others_left_alone() -> None:
    defense = MixUp()
    defense.setup({"one": Classification("one", 4), "two": Classification("two", 2)})
    images, labels = batch()
    targets = {"one": labels, "two": labels % 2, "untrained": labels}
    _, found = defense.batch(images, targets, generator=seeded(0))
    assert isinstance(found, dict)
    assert found["untrained"] is labels
    torch.testing.assert_close(found["one"].max(1).values < 1, found["one"].max(1).values < 1)
    torch.testing.assert_close(
        found["one"][:, :2] + found["one"][:, 2:], found["two"]
    )  # classes c and c + 2 share a parity


def test_a_module_trains_on_mixed_batches() -> None:
    one: Any = module(defense=MixUp())
    one.log = one.log_dict = lambda *_, **__: None
    loss = one.training_step(batch(), 0)
    loss.backward()
    assert one.net.fc.weight.grad.abs().sum() > 0


def test_two_mixings_go_together() -> None:
    images, labels = batch()
    first = ready(MixUp(), 0.7).batch(images, labels, generator=seeded(0))
    _, targets = ready(CutMix(), 0.6).batch(*first, generator=seeded(0))
    torch.testing.assert_close(targets.sum(1), torch.ones(len(labels)))
