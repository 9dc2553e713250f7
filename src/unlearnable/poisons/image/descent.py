"""Projected gradient descent on the noise of a batch, which EM, REM, TAP and HYPO share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from unlearnable.poisons.image.budget import Norm, project, steepest_step

Objective = Callable[[Tensor], Tensor]
"""Maps perturbed images to a loss, summed over the batch so that images do not influence each other."""


def descend(
    images: Float[Tensor, "n c h w"],
    noise: Float[Tensor, "n c h w"],
    objective: Objective,
    *,
    radius: float,
    norm: Norm,
    steps: int,
    step_size: Callable[[int], float] | float,
) -> Float[Tensor, "n c h w"]:
    """Minimises `objective(images + noise)` over noise within the budget and images within [0, 1].

    One step is δ ← clip(Π(δ − α·sign ∇ objective)) for ℓ∞ (Madry et al., 2018), with the projection Π onto the ball;
    for ℓ2 the normalised gradient takes the place of its sign.

    Args:
        images: Clean images.
        noise: Where to start.
        objective: What to minimise.
        radius: Budget.
        norm: Norm of the budget.
        steps: Number of gradient steps.
        step_size: α, or α as a function of the step (counted from 0).
    """
    for step in range(steps):
        noise = noise.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(objective(images + noise), noise)
        size = step_size(step) if callable(step_size) else step_size
        with torch.no_grad():
            noise = project(noise + steepest_step(gradient, size, norm), radius, norm)
            noise = (images + noise).clamp_(0, 1).sub_(images)
    return noise.detach()


def gaussian_start(
    images: Float[Tensor, "n c h w"], radius: float, norm: Norm, generator: Generator
) -> Float[Tensor, "n c h w"]:
    """Normal noise of standard deviation `radius`, clamped to the ball (ℓ∞); as `random_start` for other norms."""
    if norm != "linf":
        return random_start(images, radius, norm, generator)
    drawn = torch.randn(images.shape, generator=generator, device=generator.device)
    noise = (drawn * radius).clamp_(-radius, radius)
    return (images + noise.to(images.device)).clamp_(0, 1).sub_(images)


def random_start(
    images: Float[Tensor, "n c h w"], radius: float, norm: Norm, generator: Generator
) -> Float[Tensor, "n c h w"]:
    """Uniform noise in the ball (ℓ∞), or of its radius in a random direction (ℓ2); zeros for ℓ0."""
    if norm == "l0":
        return torch.zeros_like(images)
    if norm == "linf":
        noise = torch.rand(images.shape, generator=generator, device=generator.device) * (2 * radius) - radius
    else:
        noise = torch.randn(images.shape, generator=generator, device=generator.device)
        noise *= radius / noise.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    return (images + noise.to(images.device)).clamp_(0, 1).sub_(images)
