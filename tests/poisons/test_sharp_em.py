"""Sharpness-aware EM's claims: its step is the gradient at the worst point, and with a vanishing ball it is EM."""

from __future__ import annotations

import torch
from torch.nn import functional as F
from torch.testing import assert_close

from unlearnable.poisons.em import EM
from unlearnable.poisons.sharp_em import SharpEM
from unlearnable.probing.weight_space import moved, worst_point

from ._inputs import RADIUS, TinyNet, image_set, training_set


def test_its_gradient_is_that_at_the_worst_point() -> None:
    batch = training_set(image_set()).read(torch.arange(60))
    net = TinyNet(4).eval().requires_grad_(False)
    images = batch.images.clone().requires_grad_(True)
    method = SharpEM(surrogate=TinyNet, radius=RADIUS)
    (found,) = torch.autograd.grad(method.objective(net, batch.labels, torch.Generator())(images), images)

    at = worst_point(net, lambda network: F.cross_entropy(network(batch.images), batch.labels, reduction="sum"), 0.05)
    other = TinyNet(4).eval()
    other.load_state_dict({**net.state_dict(), **at})
    (expected,) = torch.autograd.grad(F.cross_entropy(other(images), batch.labels, reduction="sum"), images)
    assert_close(found, expected)
    assert_close(moved(net, at)(batch.images), other(batch.images))


def test_with_a_vanishing_ball_it_is_em() -> None:
    clean = image_set()
    options = {"surrogate": TinyNet, "radius": RADIUS, "noise_steps": 3, "surrogate_steps": 3, "max_rounds": 2}
    em = EM(**options).apply(clean, seed=0)
    assert torch.equal(SharpEM(rho=1e-12, **options).apply(clean, seed=0).inputs, em.inputs)
    assert not torch.equal(SharpEM(rho=0.5, **options).apply(clean, seed=0).inputs, em.inputs)
