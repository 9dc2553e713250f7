"""The perturbation's budget: projection onto it, descent steps within it, and rounding to 8 bits inside it."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from unlearnable.options import Number, number

Norm = Literal["linf", "l2", "l0"]

LEVELS = 255
"""Steps of the 8-bit grid between black and white."""

_SLACK = 1e-4  # in grid steps: 8/255 written as 0.0313725 in a configuration still means eight steps


def check_budget(value: Number, norm: str) -> float:
    """Returns `radius` as a number.

    Args:
        value: The radius, on the [0, 1] pixel scale or, for norm `l0`, in pixels; may be a fraction such as `8/255`.
        norm: The norm it is a budget for.

    Raises:
        ValueError: if it is no possible budget for that norm.
    """
    if norm not in get_args(Norm):
        raise ValueError(f"`norm` must be one of {', '.join(get_args(Norm))}; got {norm!r}.")
    radius = number("radius", value, above=0)
    if norm == "linf" and radius > 1:
        raise ValueError(
            f"`radius` must lie in (0, 1] for norm 'linf', on the [0, 1] pixel scale; got {value}. "
            f"For a budget of {radius:g} grey levels write {radius:g}/255."
        )
    if norm == "linf" and radius * LEVELS < 1 - _SLACK:
        raise ValueError(
            f"`radius` must be at least 1/255 = {1 / LEVELS:.6f} for norm 'linf', or no 8-bit pixel can change; "
            f"got {radius}."
        )
    if norm == "l0" and not radius.is_integer():
        raise ValueError(f"`radius` is a number of pixels for norm 'l0' and must be whole; got {value}.")
    return radius


def project(noise: Float[Tensor, "n c h w"], radius: float, norm: Norm) -> Float[Tensor, "n c h w"]:
    """Returns the nearest noise (in ℓ2, per image) whose `norm` is at most `radius`.

    ℓ0 counts pixels, that is places of which any channel changes.
    """
    if norm == "linf":
        return noise.clamp(-radius, radius)
    if norm == "l2":
        return noise * (radius / _l2(noise).clamp_min(1e-12)).clamp_max(1.0)
    return noise * _largest_pixels(noise, int(radius))


def steepest_step(gradient: Float[Tensor, "n c h w"], step_size: float, norm: Norm) -> Float[Tensor, "n c h w"]:
    """Returns the step of length `step_size` along which a linear function falls fastest, per image.

    The sign for ℓ∞, the normalised gradient for ℓ2. For ℓ0, whose ball has no such step, each channel of the
    pixels moves by the gradient over its largest entry.
    """
    if norm == "linf":
        return gradient.sign().mul_(-step_size)
    scale = _l2(gradient) if norm == "l2" else gradient.abs().amax(dim=(1, 2, 3), keepdim=True)
    return gradient * (-step_size / scale.clamp_min(1e-12))


def round_to_grid(
    images: UInt8[Tensor, "n c h w"], noise: Float[Tensor, "n c h w"], radius: float, norm: Norm
) -> UInt8[Tensor, "n c h w"]:
    """Adds `noise` (on the [0, 1] scale) to 8-bit images such that the *rounded* change keeps the budget.

    Rounding to the nearest level can leave the ball. For ℓ∞ the change is clipped to whole levels inside it; for ℓ2
    the noise of the images concerned is shrunk until its rounded form fits; for ℓ0 the largest pixels are kept.
    """
    clean = images.to(noise.dtype)
    if norm == "linf":
        limit = math.floor(radius * LEVELS + _SLACK)
        return (noise * LEVELS).round_().clamp_(-limit, limit).add_(clean).clamp_(0, LEVELS).to(torch.uint8)

    if norm == "l0":
        change = _rounded(clean, noise * LEVELS)
        return change.mul_(_largest_pixels(change, int(radius))).add_(clean).to(torch.uint8)

    scaled, limit_l2 = noise * LEVELS, radius * LEVELS + _SLACK
    change = _rounded(clean, scaled)
    over = (_l2(change) > limit_l2).flatten().nonzero().squeeze(1)
    if len(over):
        change[over] = _shrunk_to_fit(clean[over], scaled[over], limit_l2)
    return change.add_(clean).to(torch.uint8)


def _rounded(clean: Tensor, scaled: Tensor) -> Tensor:
    """The change in whole levels that is left of noise in levels, after rounding and clipping."""
    return scaled.round().add_(clean).clamp_(0, LEVELS).sub_(clean)


def _shrunk_to_fit(clean: Tensor, scaled: Tensor, limit: float) -> Tensor:
    """The rounded form of the largest multiple of the noise whose rounded form is not longer than `limit`.

    The rounded length never falls as the factor rises, so twelve bisections find it to 1/4096; 0 always fits.
    """
    low = torch.zeros(len(scaled), 1, 1, 1, dtype=scaled.dtype, device=scaled.device)
    high = torch.ones_like(low)
    for _ in range(12):
        middle = (low + high) / 2
        fits = _l2(_rounded(clean, scaled * middle)) <= limit
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    return _rounded(clean, scaled * low)


def _l2(noise: Tensor) -> Tensor:
    return noise.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


def _largest_pixels(noise: Tensor, count: int) -> Tensor:
    """Mask [n, 1, h, w] of the `count` pixels with the largest ℓ2 change."""
    size = noise.square().sum(1).flatten(1)
    count = min(count, size.shape[1])
    mask = torch.zeros_like(size).scatter_(1, size.topk(count, dim=1).indices, 1.0)
    return mask.view(len(noise), 1, *noise.shape[2:])
