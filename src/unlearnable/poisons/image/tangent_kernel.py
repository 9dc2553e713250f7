"""The neural tangent kernel of a fully connected erf network, and what gradient descent with it predicts."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

WEIGHT_VARIANCE = 1.76
BIAS_VARIANCE = 0.18


def tangent_kernel(first: Float64[Tensor, "n d"], second: Float64[Tensor, "m d"], depth: int) -> Float64[Tensor, "n m"]:
    """The tangent kernel Θ of `depth` hidden erf layers of infinite width and a linear read-out.

    In the NTK parametrisation (Jacot et al., 2018; Lee et al., 2019), with Σ the covariance of the pre-activations:

        Σ⁰ = σ_w² x·x'/d + σ_b²,  Θ⁰ = Σ⁰,
        Σˡ = σ_w² E[φ(u)φ(v)] + σ_b²,  Θˡ = Σˡ + σ_w² E[φ'(u)φ'(v)] Θˡ⁻¹,  (u, v) ~ N(0, Σˡ⁻¹),

    where for φ = erf (Williams, 1997), with a = 1 + 2Σ(x, x), b = 1 + 2Σ(x', x') and c = 2Σ(x, x'),

        E[φφ] = (2/π) asin(c / √(ab)),  E[φ'φ'] = (4/π) / √(ab − c²).
    """
    size = first.shape[1]
    left = WEIGHT_VARIANCE * first.square().sum(1) / size + BIAS_VARIANCE
    right = WEIGHT_VARIANCE * second.square().sum(1) / size + BIAS_VARIANCE
    cross = WEIGHT_VARIANCE * (first @ second.T) / size + BIAS_VARIANCE
    kernel = cross
    for _ in range(depth):
        product = (1 + 2 * left)[:, None] * (1 + 2 * right)
        slope = (4 / math.pi) / (product - 4 * cross.square()).sqrt()
        cross = WEIGHT_VARIANCE * (2 / math.pi) * torch.asin(2 * cross / product.sqrt()) + BIAS_VARIANCE
        kernel = cross + WEIGHT_VARIANCE * slope * kernel
        left, right = _own(left), _own(right)
    return kernel


def _own(variance: Tensor) -> Tensor:
    """The covariance's recursion on the diagonal."""
    return WEIGHT_VARIANCE * (2 / math.pi) * torch.asin(2 * variance / (1 + 2 * variance)) + BIAS_VARIANCE


def mean_prediction(
    train: Float64[Tensor, "n n"],
    cross: Float64[Tensor, "v n"],
    targets: Float64[Tensor, "n k"],
    time: float,
    ridge: float = 1e-4,
) -> Float64[Tensor, "v k"]:
    """K_vX K_XX⁻¹ (I − exp(−t·K_XX/(n·k))) Y: gradient descent on the mean squared error for time t, from zero.

    `ridge` times the mean of K's diagonal is added to the diagonal.
    """
    count = len(train)
    regular = train + ridge * train.diagonal().mean() * torch.eye(count, dtype=train.dtype, device=train.device)
    weights: Tensor = _Relaxation.apply(regular, time / targets.numel())
    return cross @ (weights @ targets)


class _Relaxation(torch.autograd.Function):
    """f(K) = K⁻¹(I − exp(−sK)) of a symmetric, positive definite matrix.

    The derivative of a matrix function through its eigenvectors (Daleckii–Krein): dF = U (D ∘ (Uᵀ dK U)) Uᵀ with the
    divided differences D of f at the eigenvalues. Differentiating `eigh` itself divides by their gaps instead, and
    fails where two are close.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, rate: float) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix)
        values = values.clamp_min(1e-12)
        relaxed = -torch.expm1(-rate * values) / values
        ctx.save_for_backward(values, vectors, relaxed)
        ctx.rate = rate
        return (vectors * relaxed) @ vectors.T

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        values, vectors, relaxed = ctx.saved_tensors
        slope = (ctx.rate * torch.exp(-ctx.rate * values) - relaxed) / values
        gap = values[:, None] - values
        close = gap.abs() < 1e-7 * values.max()
        mean_slope = (slope[:, None] + slope) / 2
        divided = torch.where(close, mean_slope, (relaxed[:, None] - relaxed) / torch.where(close, 1.0, gap))
        inner = vectors.T @ gradient @ vectors
        return vectors @ (divided * inner) @ vectors.T, None
