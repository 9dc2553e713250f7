"""A network away from its own weights: its worst point near by, its first-order SAL, and random neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.func import functional_call

from unlearnable.probing.layers import select_layers

Weights = Mapping[str, Tensor]
"""Parameter name → values that take its place."""

NetLoss = Callable[[Callable[[Tensor], Tensor]], Tensor]
"""Maps a network, as a function of images, to a loss."""


def layer_weights(net: nn.Module) -> dict[str, Tensor]:
    """The weights that SAL takes for layers, as leaves that gradients reach: parameter name → values."""
    ours = {id(parameter) for layer in select_layers(net) for parameter in layer.parameters}
    return {name: value.detach().requires_grad_() for name, value in net.named_parameters() if id(value) in ours}


def moved(net: nn.Module, weights: Weights) -> Callable[[Tensor], Tensor]:
    """The network with other weights, as a function of images."""
    return lambda images: functional_call(net, dict(weights), (images,))


def worst_point(net: nn.Module, loss: NetLoss, radius: float) -> dict[str, Tensor]:
    """Each layer's weights at the boundary of its ball in the direction in which the loss rises first.

    θ_l + ρ‖θ_l‖ · g_l/‖g_l‖ with g_l = ∇_{θ_l} L: the maximum over SAL's balls, to first order in the loss, of all
    layers at once from one gradient. A layer without a gradient stays where it is.

    Args:
        net: The network.
        loss: L.
        radius: ρ, relative to each layer's norm, as SAL's ε.
    """
    weights = layer_weights(net)
    with torch.enable_grad():
        gradients = torch.autograd.grad(loss(moved(net, weights)), list(weights.values()))
    return {
        name: (
            value + radius * value.norm() * gradient / gradient.norm().clamp_min(torch.finfo(value.dtype).tiny)
        ).detach()
        for (name, value), gradient in zip(weights.items(), gradients, strict=True)
    }


def layer_gradients(net: nn.Module, loss: NetLoss, *, differentiable: bool) -> tuple[dict[str, Tensor], Weights]:
    """Gradients of the loss by each layer's weights, and the weights.

    Args:
        net: The network.
        loss: L.
        differentiable: Whether what the gradients depend on besides, such as noise on the images, can be differentiated
            through them.
    """
    weights = layer_weights(net)
    gradients = torch.autograd.grad(loss(moved(net, weights)), list(weights.values()), create_graph=differentiable)
    return dict(zip(weights, gradients, strict=True)), weights


def first_order_sal(gradients: Weights, weights: Weights, eps: float) -> Float[Tensor, " layers"]:
    """ε‖θ_l‖‖∇_{θ_l} L‖: how far the loss can change in each layer's ball as long as it is linear there.

    SAL (Ye, Su and Qian, ICLR 2025, equation 3) is this for small ε.
    """
    return torch.stack([eps * weights[name].detach().norm() * gradients[name].norm() for name in weights])


def neighbour(net: nn.Module, std: float, draws: Generator) -> dict[str, Tensor]:
    """All parameters with normal noise of this standard deviation."""
    return {
        name: value.detach() + std * torch.randn(value.shape, generator=draws, device=draws.device).to(value.device)
        for name, value in net.named_parameters()
    }
