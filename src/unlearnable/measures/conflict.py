"""Conflict between tasks: cosine similarities of what they ask of the layers they share.

Two matrices, 1 where two tasks agree and −1 where they are opposed: of their SAL vectors over the shared layers (Ye et
al., ICLR 2025; never below 0, as SAL is not), and of their gradients on the shared parameters (Yu et al., NeurIPS 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from unlearnable.measures.sal import Sal

Loss = Callable[[Any, Any], Tensor]


def cosine_matrix(vectors: Float[Tensor, "t d"]) -> Float64[np.ndarray, "t t"]:
    """Cosine similarity of each pair of rows; NaN where a row is zero or not finite."""
    rows = vectors.detach().double().cpu()
    lengths = rows.norm(dim=1, keepdim=True)
    unit = torch.where((lengths > 0) & lengths.isfinite(), rows / lengths, torch.nan)
    return (unit @ unit.T).clamp(-1, 1).numpy()


def sal_conflict(sal: Mapping[str, Sal]) -> Float64[np.ndarray, "t t"]:
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
    net: nn.Module,
    losses: Mapping[str, Loss],
    batches: Iterable[tuple[Tensor, Any]],
    parameters: Sequence[nn.Parameter],
) -> Float64[np.ndarray, "t t"]:
    """Cosine similarity of the tasks' gradients on shared parameters, in eval mode, over all batches.

    Args:
        net: The model; left as found.
        losses: Task → mean loss of a batch from outputs and targets.
        batches: Of (images, targets), moved to the parameters' device.
        parameters: The shared ones.

    Raises:
        ValueError: if there are no batches or no parameters.
    """
    if not parameters:
        raise ValueError("`parameters` must hold at least one shared parameter; got none.")
    device = parameters[0].device
    sums = torch.zeros(len(losses), sum(parameter.numel() for parameter in parameters), device=device)
    modes = {module: module.training for module in net.modules()}
    total = 0
    net.eval()
    try:
        for images, targets in batches:
            total += len(images)
            moved = {task: target.to(device) for task, target in targets.items()}
            outputs = net(images.to(device))
            for row, loss in enumerate(losses.values()):
                gradients = torch.autograd.grad(
                    loss(outputs, moved), parameters, retain_graph=True, materialize_grads=True
                )
                sums[row] += len(images) * torch.cat([gradient.flatten() for gradient in gradients])
    finally:
        for module, training in modes.items():
            module.training = training
    if not total:
        raise ValueError("`batches` must hold at least one batch; got none.")
    return cosine_matrix(sums / total)


def mean_conflict(matrix: Float64[np.ndarray, "t t"]) -> float:
    """The mean over pairs of different tasks, pairs without a number left out; NaN if none has one."""
    pairs = matrix[np.triu_indices(len(matrix), 1)]
    finite = pairs[np.isfinite(pairs)]
    return float(finite.mean()) if len(finite) else float("nan")


def draw_conflict(
    path: Path, tasks: Sequence[str], matrices: Mapping[str, Float64[np.ndarray, "t t"]], *, title: str
) -> None:
    """Draws conflict matrices side by side as heat maps.

    Args:
        path: Of the PNG file.
        tasks: Names of rows and columns.
        matrices: Title → matrix.
        title: Of the whole.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.6 + 3.2 * len(matrices), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(matrices), squeeze=False)[0]
    for place, (axis, (name, matrix)) in enumerate(zip(axes, matrices.items(), strict=True)):
        shown = axis.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu")
        axis.set_title(name, fontsize=9)
        axis.set_xticks(range(len(tasks)), tasks, rotation=60, ha="right", fontsize=8)
        axis.set_yticks(range(len(tasks)), tasks if place == 0 else [], fontsize=8)
        for (row, column), value in np.ndenumerate(matrix):
            text = f"{value:.2f}" if np.isfinite(value) else "–"
            axis.text(column, row, text, ha="center", va="center", fontsize=7, color="w" if abs(value) > 0.6 else "k")
    figure.colorbar(shown, ax=axes, shrink=0.7, label="cosine similarity")
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=110, bbox_inches="tight")
