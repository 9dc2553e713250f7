"""Away from the surrogate's weights: the worst point is on SAL's ball and raises the loss; first-order SAL is SAL for small ε."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from tests.poisons._inputs import TinyNet, image_set
from unlearnable.measures.sal.measure import measure_sal
from unlearnable.probing.layers import select_layers
from unlearnable.probing.weight_space import (
    first_order_sal,
    layer_gradients,
    layer_weights,
    moved,
    neighbour,
    worst_point,
)


def problem() -> tuple[TinyNet, Tensor, Tensor]:
    samples = image_set()
    torch.manual_seed(0)
    net = TinyNet(4).double().eval()
    return net, samples.inputs.double() / 255, samples.labels


def test_the_worst_point_lies_on_each_layer_s_ball_along_the_gradient() -> None:
    net, images, labels = problem()
    at = worst_point(net, lambda network: F.cross_entropy(network(images), labels), 0.05)
    F.cross_entropy(net(images), labels).backward()
    assert set(at) == {"conv.weight", "fc.weight"}
    for name, value in net.named_parameters():
        if name in at:
            move = at[name] - value.detach()
            assert_close(move.norm(), 0.05 * value.detach().norm())
            assert_close(F.cosine_similarity(move.flatten(), value.grad.flatten(), dim=0).item(), 1.0)
    assert F.cross_entropy(moved(net, at)(images), labels) > F.cross_entropy(net(images), labels)


def test_a_layer_without_a_gradient_stays() -> None:
    net, images, _ = problem()
    at = worst_point(net, lambda network: 0 * network(images).sum(), 0.05)
    for name, weights in layer_weights(net).items():
        assert torch.equal(at[name], weights.detach())


def test_first_order_sal_is_the_loss_s_change_at_the_boundary_of_a_small_ball() -> None:
    net, images, labels = problem()
    eps = 1e-5

    def loss(network: object) -> Tensor:
        return F.cross_entropy(network(images), labels)  # type: ignore[operator]

    gradients, weights = layer_gradients(net, loss, differentiable=False)
    expected = []
    for name in weights:
        value = dict(net.named_parameters())[name].detach()
        step = eps * value.norm() * gradients[name] / gradients[name].norm()
        changed = [loss(moved(net, {name: value + sign * step})) for sign in (1, -1)]
        expected.append((changed[0] - changed[1]) / 2)
    assert_close(first_order_sal(gradients, weights, eps), torch.stack(expected).detach(), rtol=1e-5, atol=0)


def test_it_is_sal_for_a_small_radius() -> None:
    net, images, labels = problem()
    gradients, weights = layer_gradients(
        net, lambda network: F.cross_entropy(network(images), labels), differentiable=False
    )
    sal = measure_sal(net, F.cross_entropy, [(images, labels)], eps=1e-4, atol=0)
    assert [layer.name for layer in select_layers(net)] == list(sal.names)
    assert_close(torch.as_tensor(sal.values), first_order_sal(gradients, weights, 1e-4), rtol=1e-2, atol=0)


def test_neighbours_have_noise_of_the_given_deviation() -> None:
    net, _, _ = problem()
    near = neighbour(net, 0.1, torch.Generator().manual_seed(0))
    again = neighbour(net, 0.1, torch.Generator().manual_seed(0))
    moves = torch.cat([(near[name] - value).flatten() for name, value in net.named_parameters()]).detach()
    assert abs(moves.std() - 0.1) < 0.005
    assert all(torch.equal(near[name], again[name]) for name in near)
