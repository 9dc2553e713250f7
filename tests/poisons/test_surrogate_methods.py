"""What EM, REM, TAP, HYPO and DC claim about the loss of the network they are made on."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from tests._inputs import seeded
from unlearnable import poisons
from unlearnable.data import Digits
from unlearnable.models import tiny_resnet
from unlearnable.poisons.image.augmentation import crop_and_flip
from unlearnable.poisons.image.surrogate import loss_and_accuracy, train_surrogate
from unlearnable.poisons.image.training_set import TrainingSet

from ._inputs import RADIUS, TinyNet, image_set


@pytest.fixture
def kept_nets() -> list[nn.Module]:
    return []


@pytest.fixture
def factory(kept_nets: list[nn.Module]) -> object:
    """Builds TinyNets and remembers them, so that the test can ask the very surrogate."""

    def build(num_classes: int) -> nn.Module:
        kept_nets.append(TinyNet(num_classes))
        return kept_nets[-1]

    return build


def loss_on(net: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    net.eval()
    with torch.no_grad():
        return float(F.cross_entropy(net(images.float() / 255), labels))


@pytest.mark.parametrize("classwise", [False, True])
def test_em_lowers_the_surrogate_s_loss(classwise: bool, factory: object, kept_nets: list[nn.Module]) -> None:
    images, labels = image_set()
    method = poisons.EM(surrogate=factory, radius=RADIUS, max_rounds=3, surrogate_steps=3, classwise=classwise)
    poisoned = method.apply(images, labels, num_classes=4, seed=0)
    clean_loss, poisoned_loss = (loss_on(kept_nets[-1], x, labels) for x in (images, poisoned))
    assert poisoned_loss < 0.7 * clean_loss


def test_em_stops_when_the_surrogate_s_accuracy_passes(factory: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from unlearnable.poisons import em

    accuracies = iter([0.5, 0.995, 0.5])
    monkeypatch.setattr(em, "loss_and_accuracy", lambda *_: (0.0, next(accuracies)))
    images, labels = image_set()
    poisons.EM(surrogate=factory, radius=RADIUS, noise_steps=1).apply(images, labels, num_classes=4, seed=0)
    assert next(accuracies) == 0.5  # two of three were asked for


def test_tap_raises_the_true_label_s_loss_and_lowers_the_target_s(factory: object, kept_nets: list[nn.Module]) -> None:
    images, labels = image_set()
    method = poisons.TAP(surrogate=factory, radius=2 * RADIUS, steps=20, epochs=10, targets=1)
    poisoned = method.apply(images, labels, num_classes=4, seed=0)
    net, goal = kept_nets[-1], (labels + 1) % 4
    assert loss_on(net, poisoned, labels) > 1.3 * loss_on(net, images, labels)
    assert loss_on(net, poisoned, goal) < 0.8 * loss_on(net, images, goal)


def test_untargeted_tap_raises_the_loss(factory: object, kept_nets: list[nn.Module]) -> None:
    images, labels = image_set()
    method = poisons.TAP(surrogate=factory, radius=RADIUS, steps=20, epochs=10, targeted=False)
    poisoned = method.apply(images, labels, num_classes=4, seed=0)
    assert loss_on(kept_nets[-1], poisoned, labels) > 1.3 * loss_on(kept_nets[-1], images, labels)


def test_tap_s_target_map_is_y_plus_3_or_the_given_list() -> None:
    method = poisons.TAP(surrogate=TinyNet, radius=RADIUS)
    assert method.target_map(10).tolist() == [3, 4, 5, 6, 7, 8, 9, 0, 1, 2]
    assert poisons.TAP(surrogate=TinyNet, radius=RADIUS, targets=[1, 0]).target_map(2).tolist() == [1, 0]
    with pytest.raises(ValueError, match="sends class 0 to itself with 3 classes"):
        method.target_map(3)
    with pytest.raises(ValueError, match="one entry per class, 3; got 2"):
        poisons.TAP(surrogate=TinyNet, radius=RADIUS, targets=[1, 0]).target_map(3)


def test_hypo_lowers_the_surrogate_s_loss(factory: object, kept_nets: list[nn.Module]) -> None:
    images, labels = image_set()
    method = poisons.Hypo(surrogate=factory, radius=RADIUS, steps=20, epochs=10)
    poisoned = method.apply(images, labels, num_classes=4, seed=0)
    assert loss_on(kept_nets[-1], poisoned, labels) < 0.8 * loss_on(kept_nets[-1], images, labels)


def test_rem_keeps_the_loss_low_under_attack_and_augmentation(factory: object, kept_nets: list[nn.Module]) -> None:
    images, labels = image_set()
    method = poisons.REM(surrogate=factory, radius=RADIUS, iterations=20, noise_steps=5, samples=2)
    poisoned = method.apply(images, labels, num_classes=4, seed=0)
    net = kept_nets[-1]

    def attacked(x: torch.Tensor) -> float:
        seen = crop_and_flip(x.float() / 255, seeded(0), padding=2)
        return float(F.cross_entropy(net(seen + method._attack(net, seen, labels)), labels))

    assert attacked(poisoned) < 0.8 * attacked(images)


def test_dc_s_generator_makes_a_victim_s_step_worse_for_clean_data() -> None:
    images, labels = image_set(96)

    def clean_loss_after_training(x: torch.Tensor) -> float:
        losses = []
        for seed in range(5):
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                net = TinyNet(4)
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            for _ in range(30):
                optimizer.zero_grad()
                F.cross_entropy(net(x.float() / 255), labels).backward()
                optimizer.step()
            net.train()  # statistics of the clean batch
            losses.append(F.cross_entropy(net(images.float() / 255), labels).item())
        return sum(losses) / len(losses)

    method = poisons.DC(
        surrogate=TinyNet,
        radius=2 * RADIUS,
        trials=12,
        epochs=3,
        lr=0.1,
        generator_lr=3e-3,
        width=4,
        train_batch_size=32,
    )
    poisoned = method.apply(images, labels, num_classes=4, seed=0)
    random = poisons.RandomNoise(radius=2 * RADIUS, classwise=False).apply(images, labels, num_classes=4, seed=0)
    assert clean_loss_after_training(poisoned) > clean_loss_after_training(random) + 0.02


def test_dc_at_its_radius_for_mnist_takes_accuracy_on_real_digits() -> None:
    train, test = Digits().load()
    small = partial(tiny_resnet, width=8, stem_stride=2)
    method = poisons.DC(
        surrogate=small, radius=0.3, trials=8, epochs=2, lr=0.1, generator_lr=2e-3, width=8, train_batch_size=64
    )
    poisoned = method.apply(train.images, train.labels, num_classes=10, seed=0)

    def accuracy_after_training(images: torch.Tensor) -> float:
        cpu = torch.device("cpu")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = train_surrogate(small, TrainingSet(images, train.labels, 10, 0, cpu), epochs=8, augment=False)
        return loss_and_accuracy(net, TrainingSet(test.images, test.labels, 10, 0, cpu))[1]

    assert accuracy_after_training(train.images) > 0.93
    assert accuracy_after_training(poisoned) < 0.8


def test_dc_loads_a_generator_of_the_published_layout(tmp_path: object) -> None:
    from unlearnable.poisons.image.unet import UNet

    path = tmp_path / "atk.pth"  # type: ignore[operator]
    net = UNet(3, 4)
    torch.save(net.state_dict(), path)
    images, labels = image_set(8)
    method = poisons.DC(surrogate=TinyNet, radius=RADIUS, generator_path=path)
    poisoned = method.apply(images, labels, num_classes=4, seed=0)
    with torch.no_grad():
        expected = images.float() / 255 + RADIUS * net.eval()(images.float() / 255)
    assert_close(poisoned.float(), (expected.clamp(0, 1) * 255).round(), atol=1.0, rtol=0)
    torch.save({"something": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="is not the state dict of a 3-channel U-Net"):
        method.apply(images, labels, num_classes=4, seed=0)


def test_crop_and_flip_gives_a_window_of_the_padded_image_and_its_gradient() -> None:
    images = torch.rand(30, 3, 6, 8, generator=seeded(0), requires_grad=True)
    seen = crop_and_flip(images, seeded(1), padding=2)
    padded = F.pad(images, (2, 2, 2, 2)).detach()
    for image, result in zip(padded, seen.detach(), strict=True):
        windows = [image[:, i : i + 6, j : j + 8] for i in range(5) for j in range(5)]
        assert any(torch.equal(result, w) or torch.equal(result, w.flip(2)) for w in windows)
    seen.sum().backward()
    # Each pixel of the source that is seen counts once.
    assert set(images.grad.unique().tolist()) <= {0.0, 1.0}  # type: ignore[union-attr]
    assert images.grad.sum() == (seen != 0).sum()  # type: ignore[union-attr]


def test_a_surrogate_learns_its_data() -> None:
    images, labels = image_set()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        data = TrainingSet(images, labels, 4, 0, torch.device("cpu"))
        net = train_surrogate(TinyNet, data, epochs=60, batch_size=20)
    assert loss_on(net, images, labels) < 0.3
    assert not any(parameter.requires_grad for parameter in net.parameters())
