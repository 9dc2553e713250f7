"""TAP's claims: what it does to the two losses, its map of classes, the length of its steps, its start, its augmentation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tests._inputs import composed, seeded
from unlearnable.poisons import tap
from unlearnable.poisons.image import surrogate
from unlearnable.poisons.image.descent import gaussian_start
from unlearnable.poisons.tap import TAP

from ._inputs import RADIUS, TinyNet, grey_set, image_set, training_set


def test_the_true_label_s_loss_rises_and_the_target_s_falls(
    factory: Any, kept_nets: list[nn.Module], loss_on: Any
) -> None:
    clean = image_set()
    poisoned = TAP(surrogate=factory, radius=2 * RADIUS, steps=20, epochs=10, targets=1).apply(clean, seed=0)
    net, goal = kept_nets[-1], (clean.labels + 1) % 4
    assert loss_on(net, poisoned) > 1.3 * loss_on(net, clean)
    assert loss_on(net, poisoned, goal) < 0.8 * loss_on(net, clean, goal)


def test_the_untargeted_form_raises_the_loss(factory: Any, kept_nets: list[nn.Module], loss_on: Any) -> None:
    clean = image_set()
    method = TAP(surrogate=factory, radius=RADIUS, steps=20, epochs=10, targeted=False)
    poisoned = method.apply(clean, seed=0)
    assert loss_on(kept_nets[-1], poisoned) > 1.3 * loss_on(kept_nets[-1], clean)


def test_the_target_map_is_y_plus_3_or_the_given_list() -> None:
    method = TAP(surrogate=TinyNet, radius=RADIUS)
    assert method.target_map(10).tolist() == [3, 4, 5, 6, 7, 8, 9, 0, 1, 2]
    assert TAP(surrogate=TinyNet, radius=RADIUS, targets=[1, 0]).target_map(2).tolist() == [1, 0]
    with pytest.raises(ValueError, match="sends class 0 to itself with 3 classes"):
        method.target_map(3)
    with pytest.raises(ValueError, match="one entry per class, 3; got 2"):
        TAP(surrogate=TinyNet, radius=RADIUS, targets=[1, 0]).target_map(3)


@pytest.mark.parametrize(("steps", "expected"), [(5, 1.0), (20, 0.5), (40, 0.25), (100, 0.1), (250, 0.1)])
def test_the_first_step_is_ten_radii_over_the_number_of_steps(steps: int, expected: float) -> None:
    # Steps that fall from a to 0 travel a·steps/2: five radii or more whatever their number, so the bound is reached.
    assert TAP(surrogate=TinyNet, radius=0.1, steps=steps).step_size == pytest.approx(expected * 0.1)
    assert TAP(surrogate=TinyNet, radius=0.1, steps=steps, step_size="1/255").step_size == pytest.approx(1 / 255)


def test_forty_steps_reach_the_bound_as_far_as_many_do() -> None:
    clean = grey_set(40, 4, size=16)

    def reached(**options: Any) -> float:
        method = TAP(surrogate=TinyNet, radius="8/255", epochs=5, **options)
        change = (method.apply(clean, seed=0).inputs.int() - 128).abs().float()
        return float(change.mean())

    # A tenth of the radius as the first of 40 steps leaves a fifth of the budget unused.
    assert reached(steps=40) > 0.9 * reached(steps=250)


def test_noise_starts_as_a_clamped_gaussian() -> None:
    noise = gaussian_start(torch.full((100, 3, 16, 16), 0.5), 0.1, "linf", seeded(0)) / 0.1
    assert noise.abs().max() <= 1 + 1e-6
    # P(|z| ≥ 1) = 0.3173 of N(0, 1) lies at the bound; E[z²; |z| < 1] + 0.3173 = 0.5161 is the mean square.
    assert float((noise.abs() > 1 - 1e-5).float().mean()) == pytest.approx(0.3173, abs=0.005)
    assert float(noise.square().mean()) == pytest.approx(0.5161, abs=0.005)


def test_it_is_augmented_as_the_victims_are(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    original = tap.crop_and_flip

    def recorded(images: torch.Tensor, **options: Any) -> torch.Tensor:
        seen.add((options["crop"], options["flip"]))
        return original(images, **options)

    monkeypatch.setattr(tap, "crop_and_flip", recorded)
    monkeypatch.setattr("unlearnable.poisons.image.surrogate.crop_and_flip", recorded)
    TAP(surrogate=TinyNet, radius=RADIUS, steps=2, epochs=1, crop=1, flip=True).apply(image_set(8), seed=0)
    assert seen == {(1, True)}


def test_without_the_expectation_the_attack_is_on_the_very_images(
    factory: Any, kept_nets: list[nn.Module], loss_on: Any
) -> None:
    clean = image_set()
    options: dict[str, Any] = {"radius": RADIUS, "steps": 20, "epochs": 10, "targets": 1, "crop": 4, "flip": True}
    through, plain = (
        TAP(surrogate=factory, expectation=expectation, **options).apply(clean, seed=0) for expectation in (True, False)
    )
    # The same surrogate, trained with the augmentation in both cases, ...
    assert all(torch.equal(a, b) for a, b in zip(kept_nets[0].parameters(), kept_nets[1].parameters(), strict=True))
    # ... takes the images as they are for the target's far more readily.
    goal = (clean.labels + 1) % 4
    assert loss_on(kept_nets[1], plain, goal) < 0.9 * loss_on(kept_nets[0], through, goal)


def test_check_points_are_the_last_epochs_own_and_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, asked = image_set(20), []

    class Recorded(TinyNet):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not self.training:
                asked.append(self)
            return super().forward(x)

    TAP(surrogate=Recorded, radius=RADIUS, steps=5, epochs=3, checkpoints=2).apply(samples, seed=0)
    first, second = asked[:2]
    assert asked == [first, second, first, second, first]
    # Without a work folder each is what a training of that many epochs on the same schedule comes to.
    monkeypatch.setattr(surrogate, "one_cycle", lambda step, total: 0.5)
    with torch.random.fork_rng():
        nets = {}
        for epochs, count in ((3, 2), (2, 1)):
            torch.manual_seed(0)
            nets[epochs] = surrogate.train_checkpoints(TinyNet, training_set(samples), epochs=epochs, count=count)
    for one, other in zip(nets[3][0].state_dict().values(), nets[2][0].state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(nets[3][0].fc.weight, nets[3][1].fc.weight)  # type: ignore[union-attr, arg-type]


def test_more_check_points_than_epochs_are_refused() -> None:
    with pytest.raises(ValueError, match="`checkpoints` must be at most `epochs` = 2; got 3"):
        TAP(surrogate=TinyNet, radius=RADIUS, epochs=2, checkpoints=3)


@pytest.mark.parametrize("poison", ["tap", "rem", "hypo"])
def test_crop_and_flip_come_from_the_data_set(poison: str) -> None:
    def augmentation(*overrides: str) -> tuple[int, bool]:
        config = composed(f"poison={poison}", *overrides)
        return config.poison.crop, config.poison.flip

    assert augmentation("dataset=digits") == (0, False)
    cifar = ("dataset=cifar10", "dataset.data_dir=x")
    assert augmentation(*cifar) == (4, True)
    assert augmentation(*cifar, "dataset.crop=0", "dataset.flip=false") == (0, False)
    assert augmentation("dataset=rooms")[0] == 0


def test_what_the_data_set_says_of_tap_alone_goes_before_what_it_says_of_all() -> None:
    def chosen(*overrides: str) -> tuple[int, int, bool]:
        poison = composed("poison=tap", *overrides).poison
        return poison.epochs, poison.checkpoints, poison.expectation

    data = "dataset.data_dir=x"
    assert chosen("experiment=cifar10_cpu", data) == (6, 5, False)
    assert chosen("experiment=cifar10", data) == (40, 1, True)
    assert chosen("experiment=cifar10", data, "+dataset.budget.surrogate_epochs=5") == (5, 1, True)
    assert composed("experiment=cifar10_cpu", data, "poison=hypo").poison.epochs == 12
