"""DC's claims: a victim's step gets worse for clean data, accuracy goes, published generators load, published counts."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from tests._inputs import composed
from unlearnable.data.samples import Samples
from unlearnable.models.tiny_resnet import tiny_resnet
from unlearnable.poisons.dc import DC
from unlearnable.poisons.image.surrogate import loss_and_accuracy, train_checkpoints
from unlearnable.poisons.image.unet import UNet
from unlearnable.poisons.random import RandomNoise

from ._inputs import RADIUS, TinyNet, image_set, real_digits, training_set


def test_the_generator_makes_a_victim_s_steps_worse_for_clean_data() -> None:
    clean = image_set(96)

    def clean_loss_after_training(samples: Samples) -> float:
        losses = []
        for seed in range(5):
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                net = TinyNet(4)
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            for _ in range(30):
                optimizer.zero_grad()
                F.cross_entropy(net(samples.inputs.float() / 255), samples.labels).backward()
                optimizer.step()
            net.train()  # statistics of the clean batch
            losses.append(F.cross_entropy(net(clean.inputs.float() / 255), clean.labels).item())
        return sum(losses) / len(losses)

    method = DC(
        surrogate=TinyNet,
        radius=2 * RADIUS,
        trials=12,
        epochs=3,
        lr=0.1,
        generator_lr=3e-3,
        width=4,
        train_batch_size=32,
    )
    random = RandomNoise(radius=2 * RADIUS, classwise=False).apply(clean, seed=0)
    assert clean_loss_after_training(method.apply(clean, seed=0)) > clean_loss_after_training(random) + 0.02


@pytest.mark.slow
def test_at_its_radius_for_mnist_it_takes_accuracy_on_real_digits() -> None:
    train, test = real_digits()
    small = partial(tiny_resnet, width=8, stem_stride=2)
    method = DC(
        surrogate=small, radius=0.3, trials=8, epochs=2, lr=0.1, generator_lr=2e-3, width=8, train_batch_size=64
    )

    def accuracy_after_training(samples: Samples) -> float:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            (net,) = train_checkpoints(small, training_set(samples), count=1, epochs=8)
        return loss_and_accuracy(net, training_set(test))[1]

    assert accuracy_after_training(train) > 0.93
    assert accuracy_after_training(method.apply(train, seed=0)) < 0.8


def test_a_generator_of_the_published_layout_loads(tmp_path: Path) -> None:
    path, net = tmp_path / "atk.pth", UNet(3, 4)
    torch.save(net.state_dict(), path)
    clean = image_set(8)
    method = DC(surrogate=TinyNet, radius=RADIUS, generator_path=path)
    images = clean.inputs.float() / 255
    with torch.no_grad():
        expected = images + RADIUS * net.eval()(images)
    assert_close(method.apply(clean, seed=0).inputs.float(), (expected.clamp(0, 1) * 255).round(), atol=1.0, rtol=0)
    torch.save({"something": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="is not the state dict of a 3-channel U-Net"):
        method.apply(clean, seed=0)


def test_images_that_cannot_be_halved_three_times_are_refused() -> None:
    with pytest.raises(ValueError, match="sides divisible by 8; got 12×12"):
        DC(surrogate=TinyNet, radius=RADIUS).check(image_set(8, size=12))


def test_the_paper_s_protocol_holds_published_counts() -> None:
    poison = composed("experiment=cifar10", "poison=dc", "dataset.data_dir=x").poison
    assert (poison.trials, poison.epochs, poison.width, poison.train_batch_size) == (500, 20, 64, 256)
