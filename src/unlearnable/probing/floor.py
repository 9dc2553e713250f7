"""Checks a lower bound that is claimed for a loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unlearnable.probing.host import to_host
from unlearnable.probing.trees import mapped, tensors


def keeps_floor(loss_fn: Callable[[Any, Any], Tensor], outputs: Any, targets: Any, floor: float) -> bool:
    """Looks for outputs whose loss is below ``floor``, along the steepest descent from the model's own outputs.

    No proof, but no weight of any layer has to be moved for it: a loss that is unbounded, or has its minimum elsewhere,
    shows it here in a few evaluations of ``loss_fn`` alone.

    Args:
        loss_fn: ``loss_fn(outputs, targets)``, a scalar tensor.
        outputs: The model's outputs for a batch.
        targets: The batch's targets.
        floor: The claimed bound.

    Returns:
        False if a lower loss was found.
    """
    free = mapped(outputs, lambda tensor: tensor.detach().requires_grad_(tensor.is_floating_point()))
    variables = [tensor for tensor in tensors(free) if tensor.requires_grad]
    with torch.enable_grad():
        loss = loss_fn(free, targets)
        if not loss.requires_grad:
            return float(loss) >= floor
        found = torch.autograd.grad(loss, variables, allow_unused=True)
    slopes = {
        id(variable): gradient for variable, gradient in zip(variables, found, strict=True) if gradient is not None
    }
    norms = [slope.norm() for slope in slopes.values()], [variable.detach().norm() for variable in variables]
    (value,), slope_norms, variable_norms = to_host([loss.detach().reshape(())], *norms)
    steepness = math.sqrt(sum(norm**2 for norm in slope_norms))
    size = 1 + math.sqrt(sum(norm**2 for norm in variable_norms))
    slack = 1e-6 * (1 + abs(value))  # rounding
    if value < floor - slack:
        return False
    if not (0 < steepness < math.inf):
        return True

    def stepped(length: float) -> Any:
        def step(tensor: Tensor) -> Tensor:
            slope = slopes.get(id(tensor))
            return tensor.detach() if slope is None else tensor.detach() - (length / steepness) * slope

        return mapped(free, step)

    with torch.no_grad():
        lengths = [size * 4.0**power for power in range(-5, 6)]
        (losses,) = to_host([loss_fn(stepped(length), targets).reshape(()) for length in lengths])
    # NaN compares as false: outputs that overflow the loss say nothing about its bound.
    return not any(found < floor - slack for found in losses)
