"""Conflict between tasks: cosine similarities of what they ask of the layers they share.

Two matrices, 1 where two tasks agree and −1 where they are opposed: of their SAL vectors over the shared layers (Ye et
al., ICLR 2025; never below 0, as SAL is not), and of their gradients on the shared parameters (Yu et al., NeurIPS 2020).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from typing_extensions import override

from unlearnable.measures.base import Context, Loss, Measure, Measured
from unlearnable.probing.state import borrowed
from unlearnable.probing.trees import first_tensor, moved
from unlearnable.tasks import JointLoss


class TaskConflict(Measure):
    """Cosine similarities of the tasks' gradients on the parameters that they share: a row of the matrix for each task.

    With one task there is nothing to measure. The joint loss does not count as a task.

    Args:
        **probe: Arguments of :class:`Measure`.
    """

    name = "conflict"

    def __init__(self, **probe: Any) -> None:
        super().__init__(**probe)

    @override
    def rests(self, losses: Mapping[str, Loss]) -> bool:
        return len(_single(losses)) < 2

    @override
    def measure(
        self, model: nn.Module, losses: Mapping[str, Loss], batches: Iterable[Any], context: Context
    ) -> dict[str, Measured]:
        tasks = _single(losses)
        matrix = gradient_conflict(model, tasks, batches, context.shared)
        return {task: Measured(tuple(tasks), row) for task, row in zip(tasks, matrix, strict=True)}


def _single(losses: Mapping[str, Loss]) -> dict[str, Loss]:
    return {task: loss for task, loss in losses.items() if not isinstance(loss, JointLoss)}


def cosine_matrix(vectors: Float[Tensor, "t d"]) -> Float64[np.ndarray, "t t"]:
    """Cosine similarity of each pair of rows; NaN where a row is zero or not finite."""
    rows = vectors.detach().double().cpu()
    lengths = rows.norm(dim=1, keepdim=True)
    unit = torch.where((lengths > 0) & lengths.isfinite(), rows / lengths, torch.nan)
    return (unit @ unit.T).clamp(-1, 1).numpy()


def sal_conflict(sal: Mapping[str, Measured]) -> Float64[np.ndarray, "t t"]:
    """Cosine similarity of the tasks' SAL over the layers that all of them have.

    Args:
        sal: Task → its SAL.

    Raises:
        ValueError: if the tasks share no layer.
    """
    measured = list(sal.values())
    shared = [name for name in measured[0].names if all(name in other.names for other in measured)]
    if not shared:
        raise ValueError(f"The tasks {', '.join(sal)} have no layer in common.")
    vectors = [torch.from_numpy(one.values[[one.names.index(name) for name in shared]]) for one in measured]
    return cosine_matrix(torch.stack(vectors))


def gradient_conflict(
    model: nn.Module,
    losses: Mapping[str, Loss],
    batches: Iterable[Any],
    parameters: Sequence[nn.Parameter],
) -> Float64[np.ndarray, "t t"]:
    """Cosine similarity of the tasks' gradients on shared parameters, in eval mode, over all batches.

    Args:
        model: The model; it comes back as it was.
        losses: Task → mean loss of a batch from outputs and targets.
        batches: Of inputs and targets, moved to the parameters' device.
        parameters: The shared ones.

    Raises:
        ValueError: if there are no batches or no parameters.
    """
    if not parameters:
        raise ValueError("`parameters` must hold at least one shared parameter; got none.")
    device = parameters[0].device
    sums = torch.zeros(len(losses), sum(parameter.numel() for parameter in parameters), device=device)
    total = 0
    with borrowed(model):
        for parameter in parameters:
            parameter.requires_grad_(True)
        for batch in batches:
            inputs, targets = moved(batch[0], device), moved(batch[1], device)
            count = len(first_tensor(inputs, "inputs"))
            total += count
            outputs = model(inputs)
            for row, loss_fn in enumerate(losses.values()):
                loss = loss_fn(outputs, targets)
                if loss.requires_grad:  # otherwise it depends on no shared parameter
                    found = torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True)
                    sums[row] += count * torch.cat([gradient.flatten() for gradient in found])
    if not total:
        raise ValueError("`batches` must hold at least one batch; got none.")
    return cosine_matrix(sums / total)
