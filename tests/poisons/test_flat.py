"""Flat's claims: its objective is loss, log SAL and alignment as defined; it lowers SAL; it goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from unlearnable.poisons import flat
from unlearnable.poisons.flat import TAU, Flat
from unlearnable.poisons.image import trained
from unlearnable.probing.weight_space import first_order_sal, layer_gradients

from ._asserts import interrupt_at
from ._inputs import RADIUS, TinyNet, image_set, training_set
from ._methods import build


def gradients(net: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    net.zero_grad()
    F.cross_entropy(net(images), labels).backward()
    return {name: p.grad.clone() for name, p in net.named_parameters() if name in ("conv.weight", "fc.weight")}


def test_the_objective_is_its_definition() -> None:
    batch = training_set(image_set()).read(torch.arange(60))
    net, seen = TinyNet(4).eval(), (batch.images + 0.02).clamp(0, 1)
    method = Flat(surrogate=TinyNet, radius=RADIUS, sal_weight=0.7, alignment=0.3)
    found = method.objective([net], batch.images, batch.labels)(seen)
    ours, clean = gradients(net, seen, batch.labels), gradients(net, batch.images, batch.labels)
    norms = {name: value.detach().norm() for name, value in net.named_parameters()}
    sal = torch.stack([0.05 * norms[name] * ours[name].norm() for name in ours])
    cosine = torch.stack([(ours[n] * clean[n]).sum() / ours[n].norm() / clean[n].norm() for n in ours])
    expected = F.cross_entropy(net(seen), batch.labels) + 0.7 * (sal + TAU).log().mean() + 0.3 * cosine.mean()
    assert_close(found.detach(), 60 * expected.detach())


def test_its_gradient_is_that_of_finite_differences() -> None:
    batch = training_set(image_set(count=8)).read(torch.arange(8))
    net = TinyNet(4).double().eval()
    seen = batch.images.double().clamp(0.1, 0.9).requires_grad_(True)
    method = Flat(surrogate=TinyNet, radius=RADIUS, alignment=0.5)

    def loss(images: torch.Tensor) -> torch.Tensor:
        return method.objective([net], batch.images.double(), batch.labels)(images)

    (gradient,) = torch.autograd.grad(loss(seen), seen)
    direction = torch.randn(seen.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    step = 1e-7
    difference = (loss(seen.detach() + step * direction) - loss(seen.detach() - step * direction)) / (2 * step)
    assert_close((gradient * direction).sum(), difference.detach(), rtol=1e-4, atol=1e-6)


def test_noise_that_descends_on_it_has_a_lower_sal_than_em_s_objective_gives() -> None:
    data = training_set(image_set())
    batch, net = data.read(torch.arange(60)), TinyNet(4).eval()

    def log_sal(weight: float) -> float:
        method = Flat(surrogate=TinyNet, radius=RADIUS, sal_weight=weight)
        noise = flat.descend(
            batch.images,
            torch.zeros_like(batch.images),
            method.objective([net], batch.images, batch.labels),
            radius=RADIUS,
            norm="linf",
            steps=20,
            step_size=RADIUS / 10,
        )
        found = layer_gradients(
            net, lambda network: F.cross_entropy(network(batch.images + noise), batch.labels), differentiable=False
        )
        return float((first_order_sal(*found, 0.05) + TAU).log().mean())

    assert log_sal(3.0) < log_sal(0.0)


def test_check_points_take_turns_and_early_ones_can_be_left_out() -> None:
    batch = training_set(image_set()).read(torch.arange(60))
    nets = [TinyNet(4).eval(), TinyNet(4).eval()]
    loss = Flat(surrogate=TinyNet, radius=RADIUS).objective(nets, batch.images, batch.labels)
    first, second, third = (loss(batch.images).item() for _ in range(3))
    assert first == third != second
    with pytest.raises(ValueError, match="`first_epoch` must be at most `epochs` = 2; got 3"):
        Flat(surrogate=TinyNet, radius=RADIUS, epochs=2, first_epoch=3)


def test_it_goes_on_after_the_last_finished_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean, method = image_set(), build("flat", rounds=3)
    whole = method.apply(clean, seed=0)
    calls = interrupt_at(3, trained, "train_checkpoints", monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        method.apply(clean, seed=0, work_dir=tmp_path)
    again = method.apply(clean, seed=0, work_dir=tmp_path)
    assert len(calls) == 3 + 1  # two rounds were kept, one is made
    assert torch.equal(again.inputs, whole.inputs)
