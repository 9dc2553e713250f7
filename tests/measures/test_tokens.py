"""Losses that are means over tokens: what is measured in batches of other lengths is that of all texts at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests._inputs import seeded
from tests._texts import text_set
from unlearnable.data.batches import Batches
from unlearnable.data.modality.tokens import Tokens
from unlearnable.measures.criticality import loss_with_layers_at
from unlearnable.measures.sal import measure_sal
from unlearnable.models.tiny_gpt import TinyGPT
from unlearnable.probing.layers import select_layers
from unlearnable.probing.plane import loss_rows, trajectory_plane
from unlearnable.probing.probe import Point, probing
from unlearnable.tasks import NextToken, TaskLoss

#: Long texts first: batches of eight have 8 × 11 tokens to predict, then 8, then none.
SAMPLES = text_set(["a b c d e f a b c d e f"] * 8 + ["f a"] * 8 + ["c"] * 8, [0, 1] * 12, length=12)
TOKENS = Tokens(length=12).predicting("next_token", SAMPLES)
LOSS = TaskLoss(NextToken("next_token", len(SAMPLES.vocabulary)))


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    net = TinyGPT(len(SAMPLES.vocabulary), vocabulary=len(SAMPLES.vocabulary), length=12, width=8, heads=2)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    inputs, targets = batches(24)[0]
    for _ in range(8):
        optimizer.zero_grad()
        LOSS(net(inputs), targets).backward()
        optimizer.step()
    return net.eval()


def batches(size: int) -> Sequence[Any]:
    return Batches(SAMPLES, TOKENS, size)


def plain(net: nn.Module, texts: int = 24) -> Tensor:
    """The mean over all tokens of the first texts, each alone: without batches and without padding."""
    losses = []
    for row in SAMPLES.inputs["ids"][:texts]:
        ids = row[row > 0].long()[None]
        losses.append(F.cross_entropy(net({"ids": ids, "mask": ids > 0})[0, :-1], ids[0, 1:], reduction="none"))
    return torch.cat(losses).mean()


def test_losses_and_gradients_are_those_of_the_plain_definition(net: nn.Module) -> None:
    layers = select_layers(net)
    parameters = [parameter for layer in layers for parameter in layer.parameters]
    expected = torch.autograd.grad(plain(net), parameters)
    with probing(net, LOSS, batches(8), layers) as probe:
        assert [weight for *_, weight in probe.passes()] == [88, 8, 0]
        for layer, found, gradient in zip(layers, probe.origin(layers), expected, strict=True):
            assert found.loss == pytest.approx(float(plain(net).detach()), rel=1e-5)
            assert found.gradient is not None
            torch.testing.assert_close(found.gradient, gradient.flatten(), rtol=1e-4, atol=1e-6)
            shift = 0.05 * torch.randn(layer.size, generator=seeded(1))
            (moved,) = probe.evaluate([Point(layer, shift, gradient=False)])
            with layer.at(layer.shaped(layer.vector() + shift)), torch.no_grad():
                assert moved.loss == pytest.approx(float(plain(net).detach()), rel=1e-5)


def test_a_part_of_the_probe_is_weighted_by_its_own_tokens(net: nn.Module) -> None:
    # Half of the samples: the eight long texts and four of the others.
    layers = select_layers(net)
    with probing(net, LOSS, batches(8), layers) as probe:
        probe.origin(layers[:1])
        part = probe.part(0.5, 4)
        assert part is not None
        assert [weight for *_, weight in part.passes()] == [88, 4]
        assert part.origin(layers[:1])[0].loss == pytest.approx(float(plain(net, 12).detach()), rel=1e-5)


@pytest.mark.parametrize("solver", ["fast", "pgd"])
def test_sal_is_the_same_however_the_texts_are_batched(net: nn.Module, solver: str) -> None:
    apart, together = (
        measure_sal(net, LOSS, batches(size), solver=solver, steps=3, layers=["embed", "blocks.1.attn.qkv", "head"])
        for size in (8, 24)
    )
    assert together.loss == pytest.approx(float(plain(net).detach()), rel=1e-5)
    assert apart.values == pytest.approx(together.values, rel=1e-3, abs=1e-5)


def test_other_measures_weight_by_tokens_too(net: nn.Module) -> None:
    layers = select_layers(net)[:2]
    _, origin = loss_with_layers_at(net, LOSS, batches(8), layers, [layer.vector() for layer in layers])
    assert origin == pytest.approx(float(plain(net).detach()), rel=1e-5)
    bias = dict(net.named_parameters())["head.bias"].detach()
    points = [{"head.bias": bias + step * torch.arange(len(bias)) ** step} for step in range(3)]
    plane = trajectory_plane({"clean": points}, ["head.bias"])
    start = plane.coordinates["clean"][0]
    ((_, losses),) = loss_rows(net, LOSS, batches(8), plane, start[:1], start[1:])
    assert losses == pytest.approx(np.array([float(plain(net).detach())]), rel=1e-4)


def test_curvature_through_causal_attention_is_the_gradients_change(net: nn.Module) -> None:
    layer = next(layer for layer in select_layers(net) if layer.name == "blocks.0.attn.qkv")
    vector = torch.randn(layer.size, generator=seeded(2))

    def gradient(step: float) -> Tensor:
        with layer.at(layer.shaped(layer.vector() + step * vector)):
            return torch.autograd.grad(plain(net), layer.parameters)[0].flatten()

    with probing(net, LOSS, batches(8), [layer], replaying=False) as probe:
        found = probe.hessian_product(layer, vector)
    torch.testing.assert_close(found, (gradient(1e-2) - gradient(-1e-2)) / 2e-2, rtol=0.02, atol=2e-4)


def test_a_probe_without_a_token_to_predict_has_loss_zero(net: nn.Module) -> None:
    nothing = Batches(SAMPLES.select(torch.arange(16, 24)), TOKENS, 8)
    assert measure_sal(net, LOSS, nothing, steps=1, layers=["head"]).values.tolist() == [0.0]
