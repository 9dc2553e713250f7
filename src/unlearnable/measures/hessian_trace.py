"""Curvature of the loss, layer by layer: trace and largest eigenvalue of each layer's block of the Hessian."""

from __future__ import annotations

import copy
import importlib.util
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import nn
from typing_extensions import override

from unlearnable.measures.base import Context, Loss, Measure, Measured
from unlearnable.options import Number, whole
from unlearnable.probing.layers import Layer, LayerChoice, select_layers
from unlearnable.probing.probe import LossFn, Probe, probing
from unlearnable.probing.state import unwrapped

_LIBRARY = "hessian_eigenthings"


class HessianTrace(Measure):
    """Each layer's ``tr ∇²L(θ_l)`` as value and ``λ_max`` as detail `largest`, the other layers fixed, in eval mode.

    The trace is estimated by Hutch++ (`Meyer et al. 2021 <https://arxiv.org/abs/2010.09649>`_), whose standard error is
    the detail `error`; the eigenvalue, the largest by sign, by Lanczos with full reorthogonalisation, from below. Both
    are the package hessian-eigenthings', on Hessian-vector products by two backward passes over the probe.

    Args:
        products: Hessian-vector products a layer for the trace, at least 6. It is exact for layers of at most a third
            of that many weights.
        steps: Lanczos steps a layer, one product each.
        layers: See :func:`select_layers`.
        seed: Of the random vectors.
        **probe: Arguments of :class:`Measure`.

    Raises:
        ImportError: If hessian-eigenthings is not installed.
    """

    name = "hessian_trace"

    def __init__(
        self,
        *,
        products: Number = 15,
        steps: Number = 10,
        layers: LayerChoice = "weights",
        seed: Number = 0,
        **probe: Any,
    ) -> None:
        super().__init__(**probe)
        if importlib.util.find_spec(_LIBRARY) is None:
            raise ImportError(
                "`hessian_trace` needs the package hessian-eigenthings: pip install 'unlearnable[hessian]'."
            )
        self.products = whole("hessian_trace.products", products, at_least=6)
        self.steps = whole("hessian_trace.steps", steps)
        self.seed = whole("hessian_trace.seed", seed, at_least=0)
        self.layers = layers

    @override
    def cheap(self) -> HessianTrace:
        cheap = copy.copy(self)
        cheap.products, cheap.steps = 6, 1
        return cheap

    @override
    def measure(
        self, model: nn.Module, losses: Mapping[str, Loss], batches: Iterable[Any], context: Context
    ) -> dict[str, Measured]:
        measured = {}
        for task, loss in losses.items():
            part = context.parts.get(task, model)
            layers = select_layers(unwrapped(part), self.layers)
            found = layer_curvatures(
                part, loss, batches, layers, products=self.products, steps=self.steps, seed=self.seed
            )
            details = {"largest": found[:, 1], "error": found[:, 2]}
            measured[task] = Measured(tuple(layer.name for layer in layers), found[:, 0], details)
        return measured


def layer_curvatures(
    model: nn.Module,
    loss_fn: LossFn,
    batches: Iterable[Any],
    layers: Sequence[Layer],
    *,
    products: int,
    steps: int,
    seed: int = 0,
) -> Float64[np.ndarray, "layers 3"]:
    """Trace, largest eigenvalue and standard error of the trace of each layer's block of the Hessian.

    Args:
        model: The model; it comes back as it was.
        loss_fn: The mean loss of a batch from outputs and targets.
        batches: Re-iterable of inputs and targets.
        layers: The layers.
        products: See :class:`HessianTrace`, also for the others.
        steps: See there.
        seed: See there.

    Returns:
        A row a layer; NaN where second derivatives are not finite.
    """
    with probing(model, loss_fn, batches, layers, replaying=False) as probe:
        rows = [_curvature(probe, layer, products, steps, seed) for layer in layers]
    return np.array(rows, dtype=np.float64)


def _curvature(probe: Probe, layer: Layer, products: int, steps: int, seed: int) -> tuple[float, float, float]:
    from hessian_eigenthings.algorithms import hutch_plus_plus, lanczos
    from hessian_eigenthings.operators import LambdaOperator

    size, weights = layer.size, layer.parameters[0]
    block = LambdaOperator(partial(probe.hessian_product, layer), size, weights.device, weights.dtype)
    trace = hutch_plus_plus(block, num_matvecs=products, seed=seed)
    try:
        spectrum = lanczos(block, k=1, max_iter=min(steps, size), which="LA", seed=seed)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # entries that are not finite
        return math.nan, math.nan, math.nan
    return trace.estimate, float(spectrum.eigenvalues[0]), trace.stderr
