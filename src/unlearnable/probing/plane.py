"""The loss around training trajectories: their two principal directions, and the loss on the plane these span.

Distances are taken relative to the size of each filter, the filter normalisation of `Li et al. (NeurIPS 2018)
<https://arxiv.org/abs/1712.09913>`_: in ReLU networks with normalisation layers the same function has weights of any
size, so that plain distances between runs say little. Li et al. rescale random directions; here the same metric is used
for the principal component analysis too, so that projections of trajectories and shares of variance live in it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from unlearnable.probing.passes import weight_of
from unlearnable.probing.trees import moved

#: The weights of one moment, by parameter name. May load them when asked.
Weights = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Plane:
    """The plane of the two directions in which trajectories vary most.

    Attributes:
        centre: Parameter → its mean over all points of all trajectories.
        directions: Two mappings parameter → direction. A step of 1 along one has length 1 in the metric.
        coordinates: Trajectory → its points on the plane, ``[T, 2]``.
        shares: Share of the trajectories' variance along each direction, in [0, 1].
    """

    centre: dict[str, Tensor]
    directions: tuple[dict[str, Tensor], dict[str, Tensor]]
    coordinates: dict[str, Float64[np.ndarray, "points 2"]]
    shares: tuple[float, float]

    def at(self, x: float, y: float) -> dict[str, Tensor]:
        """The weights at a point of the plane."""
        first, second = self.directions
        return {name: centre + x * first[name] + y * second[name] for name, centre in self.centre.items()}

    def grid(
        self, points: int, margin: float = 0.25
    ) -> tuple[Float64[np.ndarray, " points"], Float64[np.ndarray, " points"]]:
        """Axes that cover all trajectories, with a margin on each side as a share of their extent."""
        every = np.concatenate(list(self.coordinates.values()))
        low, high = every.min(axis=0), every.max(axis=0)
        extent = np.maximum(high - low, 1e-12)
        low, high = low - margin * extent, high + margin * extent
        return np.linspace(low[0], high[0], points), np.linspace(low[1], high[1], points)


def filter_norms(weights: Tensor) -> Tensor:
    """The norm of each filter (row of the first axis) for weights of two or more axes, else of the whole; 1 where it is 0.

    Returns:
        Of a shape that broadcasts with ``weights``.
    """
    flat = weights.detach().flatten(1) if weights.ndim > 1 else weights.detach().reshape(1, -1)
    norms = flat.double().norm(dim=1).to(weights.dtype)
    norms = torch.where(norms > 0, norms, torch.ones_like(norms))
    return norms.view(-1, *[1] * (weights.ndim - 1)) if weights.ndim > 1 else norms.view([1] * weights.ndim)


def trajectory_plane(
    trajectories: Mapping[str, Sequence[Weights]],
    names: Sequence[str],
    *,
    scale: Weights | None = None,
) -> Plane:
    """Principal component analysis of the points of one or several trajectories together.

    Only one parameter of all points is in memory at a time: the components come from the points' Gram matrix.

    Args:
        trajectories: Name → weights at each moment.
        names: The parameters that count; a layer's alone for its own plane.
        scale: Weights whose filters' norms are the unit of length; ``None`` takes plain Euclidean distances.

    Raises:
        ValueError: If there are fewer than three points, no parameter, or the points are all the same.
    """
    points = [weights for series in trajectories.values() for weights in series]
    if len(points) < 3 or not names:
        raise ValueError(
            f"A plane needs at least three points and one parameter; got {len(points)} points and {len(names)} parameters."
        )
    gram = torch.zeros(len(points), len(points), dtype=torch.float64)
    for name in names:
        rows, _, _ = _rows(points, name, scale)
        gram += rows @ rows.T
    values, vectors = torch.linalg.eigh(gram)
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    if not values[0] > 0:
        raise ValueError(
            "All points of the trajectories are the same: there is no plane. Was the model trained at all?"
        )
    # A straight line has no second direction: any vector of length 0 will do.
    lengths = values[:2].sqrt()
    usable = lengths > 1e-9 * lengths[0]
    scores = vectors[:, :2] * torch.where(usable, lengths, torch.zeros_like(lengths))
    end = len(next(iter(trajectories.values()))) - 1
    signs = torch.where(scores[end] < 0, -1.0, 1.0).double()  # the first trajectory ends to the right and above
    mixing = vectors[:, :2] * signs / torch.where(usable, lengths, torch.full_like(lengths, torch.inf))
    centre: dict[str, Tensor] = {}
    directions: tuple[dict[str, Tensor], dict[str, Tensor]] = ({}, {})
    for name in names:
        rows, mean, unit = _rows(points, name, scale)
        centre[name] = mean
        for place in range(2):
            step = (mixing[:, place] @ rows).view(mean.shape)
            directions[place][name] = (step * unit).to(mean.dtype)
    coordinates, start = {}, 0
    for trajectory, series in trajectories.items():
        coordinates[trajectory] = (scores[start : start + len(series)] * signs).numpy()
        start += len(series)
    total = float(values.sum())
    return Plane(centre, directions, coordinates, (float(values[0]) / total, float(values[1]) / total))


def _rows(points: Sequence[Weights], name: str, scale: Weights | None) -> tuple[Tensor, Tensor, Tensor]:
    """One parameter at all points, centred and in units of the metric ``[points, n]``; its mean; the unit."""
    stacked = torch.stack([weights[name].detach().cpu() for weights in points]).double()
    mean = stacked.mean(dim=0)
    unit = torch.ones(1, dtype=torch.float64) if scale is None else filter_norms(scale[name].cpu().double())
    rows = ((stacked - mean) / unit).flatten(1)
    return rows, mean.to(points[0][name].dtype), unit


def loss_rows(
    net: nn.Module,
    loss: Callable[[Any, Any], Tensor],
    batches: Iterable[tuple[Any, Any]],
    plane: Plane,
    xs: Float64[np.ndarray, " nx"],
    ys: Float64[np.ndarray, " ny"],
    *,
    batch_statistics: bool = True,
    skip: Container[int] = (),
) -> Iterator[tuple[int, Float64[np.ndarray, " nx"]]]:
    """The mean loss at each point of a grid on the plane, a row at a time so that the caller can keep what is done.

    Args:
        net: The model; parameters that the plane does not have stay as they are. Not modified.
        loss: Mean loss of a batch from outputs and targets.
        batches: Re-iterable batches of inputs and targets.
        plane: The plane.
        xs: Places along the first direction.
        ys: Places along the second.
        batch_statistics: Whether batch normalisation takes each batch's own statistics. Stored running statistics belong
            to the weights of one moment and are wrong for all others.
        skip: Rows that are known already.

    Yields:
        Index into ``ys``, and the losses along ``xs``.
    """
    probe = copy.deepcopy(net).requires_grad_(False).eval()
    device = next(probe.parameters()).device
    if batch_statistics:
        for module in probe.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.train()
                module.momentum = 0.0  # what it has learnt stays
    parameters = dict(probe.named_parameters())
    ready = [(moved(inputs, device), moved(targets, device)) for inputs, targets in batches]
    shares = np.array([weight_of(loss, *batch) for batch in ready], dtype=np.float64)
    shares /= shares.sum()
    for row, y in enumerate(ys):
        if row in skip:
            continue
        losses = np.empty(len(xs))
        for column, x in enumerate(xs):
            for name, weights in plane.at(float(x), float(y)).items():
                parameters[name].data.copy_(weights)
            with torch.no_grad():
                found = [float(loss(probe(inputs), targets)) for inputs, targets in ready]
            losses[column] = shares @ np.array(found)
        yield row, losses
