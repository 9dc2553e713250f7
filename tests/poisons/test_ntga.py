from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from tests._inputs import seeded
from unlearnable.poisons.image.tangent_kernel import BIAS_VARIANCE, WEIGHT_VARIANCE, mean_prediction, tangent_kernel
from unlearnable.poisons.ntga import NTGA

from ._inputs import image_set, training_set


def wide_network_kernel(points: torch.Tensor, width: int, depth: int, generator: torch.Generator) -> torch.Tensor:
    """The empirical tangent kernel of one random finite network, by automatic differentiation."""
    sizes = [points.shape[1], *[width] * depth, 1]
    weights = [torch.randn(b, a, generator=generator, dtype=torch.float64) for a, b in itertools.pairwise(sizes)]
    biases = [torch.randn(b, generator=generator, dtype=torch.float64) for b in sizes[1:]]
    parameters = [p.requires_grad_() for p in (*weights, *biases)]
    rows = []
    for point in points:
        x = point
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            x = WEIGHT_VARIANCE**0.5 * (weight @ x) / len(x) ** 0.5 + BIAS_VARIANCE**0.5 * bias
            x = torch.erf(x) if layer < depth else x
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(x.squeeze(), parameters)]))
    jacobian = torch.stack(rows)
    return jacobian @ jacobian.T


def test_kernel_is_the_limit_of_wide_networks() -> None:
    points = torch.randn(4, 6, generator=seeded(0), dtype=torch.float64)
    generator = seeded(1)
    empirical = torch.stack([wide_network_kernel(points, 600, 2, generator) for _ in range(12)]).mean(0)
    assert_close(tangent_kernel(points, points, 2), empirical, rtol=0.05, atol=0.0)


def test_prediction_is_that_of_many_small_gradient_steps() -> None:
    # f' = −(1/nk) K (f − Y) on the training points, and with K_vX at v: gradient flow on ½ mean squared error.
    points = torch.randn(8, 5, generator=seeded(0), dtype=torch.float64)
    targets = torch.eye(2, dtype=torch.float64)[torch.arange(6) % 2]
    train, cross = tangent_kernel(points[:6], points[:6], 3), tangent_kernel(points[6:], points[:6], 3)
    exact = mean_prediction(train, cross, targets, 20.0, ridge=0.0)
    inside, outside, steps = torch.zeros(6, 2).double(), torch.zeros(2, 2).double(), 20_000
    for _ in range(steps):
        pull = (targets - inside) * (20.0 / steps / targets.numel())
        inside, outside = inside + train @ pull, outside + cross @ pull
    assert_close(exact, outside, rtol=1e-3, atol=1e-4)


def test_gradient_through_the_prediction_is_right_where_eigenvalues_meet() -> None:
    base = torch.eye(4, dtype=torch.float64) * 2  # all eigenvalues equal
    base[0, 1] = base[1, 0] = 0.3
    cross = torch.randn(3, 4, generator=seeded(0), dtype=torch.float64)
    targets = torch.randn(4, 2, generator=seeded(1), dtype=torch.float64)

    def predict(matrix: torch.Tensor) -> torch.Tensor:
        return mean_prediction((matrix + matrix.T) / 2, cross, targets, 3.0)

    assert torch.autograd.gradcheck(predict, (base.requires_grad_(),))


def test_the_attack_raises_the_validation_loss_of_its_network() -> None:
    clean, held_out = image_set(80), image_set(40)
    images, labels = clean.inputs, clean.labels
    method = NTGA(radius=16 / 255, steps=5, batch_size=40, validation_size=40)
    poisoned = method.apply(clean, seed=0).inputs
    seen, seen_labels = held_out.inputs.float() / 255, held_out.labels
    random = torch.randint(-16, 17, images.shape, generator=seeded(0))
    noisy = (images.int() + random).clamp(0, 255)
    losses = [
        method.validation_loss(x[40:].float() / 255, labels[40:], seen, seen_labels, 4)
        for x in (images, noisy, poisoned)
    ]
    assert losses[2] > losses[0] + 0.01
    assert losses[2] > losses[1] + 0.01


@pytest.mark.parametrize(("images", "blocks"), [(2, [1, 1]), (7, [3, 3, 1]), (60, [30, 30]), (1100, [512, 512, 76])])
def test_blocks_are_at_most_half_of_the_training_set(images: int, blocks: list[int]) -> None:
    method, data = NTGA(radius=0.1), training_set(image_set(images))
    assert [len(part) for part in method.chosen_rows(data).split(method.images_at_once(data))] == blocks


@pytest.mark.parametrize("validation_size", [1, 1000])
def test_a_block_is_validated_on_other_images(validation_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clean, pairs = image_set(24), []

    def recorded(self: NTGA, images: torch.Tensor, labels: torch.Tensor, seen: torch.Tensor, *_: Any) -> torch.Tensor:
        pairs.append((images.detach(), seen))
        return images.sum()

    monkeypatch.setattr(NTGA, "validation_loss", recorded)
    NTGA(radius=0.1, steps=1, validation_size=validation_size).apply(clean, seed=0)
    assert len(pairs) == 2
    for block, seen in pairs:
        assert len(seen) == min(12, validation_size)
        assert not any(torch.equal(image, other) for image in block for other in seen)


def test_one_image_is_too_few() -> None:
    with pytest.raises(ValueError, match="at least two images"):
        NTGA(radius=0.1).check(image_set(1, classes=1))


@pytest.mark.parametrize("fraction", [[0], 0.5])
def test_the_noise_is_made_for_all_images_whichever_are_changed(fraction: Any) -> None:
    clean = image_set(40)
    method = {"radius": 16 / 255, "steps": 3, "batch_size": 10, "validation_size": 10}
    whole = NTGA(**method).apply(clean, seed=0).inputs
    part = NTGA(**method, fraction=fraction).apply(clean, seed=0).inputs
    changed = (part != clean.inputs).flatten(1).any(1)
    assert torch.equal(part[changed], whole[changed])
    assert set(clean.labels[changed].tolist()) == ({0} if fraction == [0] else {0, 1, 2, 3})
