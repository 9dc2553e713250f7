"""PUE's claims: an ensemble of one is EM, a larger one has the mean gradient of its members."""

from __future__ import annotations

import torch
from torch.nn import functional as F
from torch.testing import assert_close

from unlearnable.poisons.em import EM
from unlearnable.poisons.pue import PUE
from unlearnable.probing.weight_space import neighbour

from ._inputs import RADIUS, TinyNet, image_set, training_set


def test_an_ensemble_of_one_is_em() -> None:
    clean = image_set()
    options = {"surrogate": TinyNet, "radius": RADIUS, "noise_steps": 3, "surrogate_steps": 3, "max_rounds": 2}
    em = EM(classwise=True, **options).apply(clean, seed=0)
    assert torch.equal(PUE(sigma=0, **options).apply(clean, seed=0).inputs, em.inputs)
    assert not torch.equal(PUE(sigma=0.1, **options).apply(clean, seed=0).inputs, em.inputs)


def test_its_gradient_is_the_mean_over_noisy_networks() -> None:
    batch = training_set(image_set()).read(torch.arange(60))
    net = TinyNet(4).eval().requires_grad_(False)
    images = batch.images.clone().requires_grad_(True)
    method = PUE(surrogate=TinyNet, radius=RADIUS, sigma=0.1, draws=2)
    loss = method.objective(net, batch.labels, torch.Generator().manual_seed(0))(images)

    draws, members = torch.Generator().manual_seed(0), [net]
    for std in (0.05, 0.05, 0.1, 0.1):
        other = TinyNet(4).eval()
        other.load_state_dict({**net.state_dict(), **neighbour(net, std, draws)})
        members.append(other)
    losses = [F.cross_entropy(member(images), batch.labels, reduction="sum") for member in members]
    assert_close(loss, torch.stack(losses).mean())
