"""The ball that a layer's weights may move in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from unlearnable.probing.host import to_host
from unlearnable.probing.layers import Layer

NORMS = ("l2", "linf")
RADII = ("relative", "absolute")
_ORDER = {"l2": 2.0, "linf": float("inf")}


def check_balls(sizes: Sequence[float], norm: str, radius: str) -> None:
    """Checks what says how large the layers' balls are; :func:`measure_sal` documents it.

    Raises:
        ValueError: Naming the argument that is wrong.
    """
    if not sizes or any(not (math.isfinite(size) and size >= 0) for size in sizes):
        raise ValueError(f"`eps` must be a finite, non-negative number, or several; got {sizes}.")
    for name, value, known in (("norm", norm, NORMS), ("radius", radius, RADII)):
        if value not in known:
            raise ValueError(f"`{name}` must be one of {', '.join(known)}; got {value!r}.")


def balls_around(layers: Sequence[Layer], eps: float, norm: str, radius: str) -> list[Ball]:
    """The ball of size ``eps`` around each layer's weights: relative to their norm, or absolute."""
    if radius == "absolute":
        return [Ball(norm, eps) for _ in layers]
    (lengths,) = to_host([vector_norm(layer.vector(), norm) for layer in layers])
    return [Ball(norm, eps * length) for length in lengths]


def vector_norm(vector: Float[Tensor, " n"], norm: str) -> Float[Tensor, ""]:
    """``‖vector‖`` in the ``norm`` "l2" or "linf", summed in float64 where the device has it."""
    dtype = None if vector.device.type == "mps" else torch.float64
    return torch.linalg.vector_norm(vector, _ORDER[norm], dtype=dtype)


@dataclass(frozen=True)
class Ball:
    """``{v: ‖v‖ ≤ radius}``, around a layer's weights taken as one vector.

    Args:
        norm: "l2" or "linf".
        radius: Non-negative.
    """

    norm: str
    radius: float

    def project(self, shift: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The point of the ball that is nearest to ``shift``."""
        if self.norm == "linf":
            return shift.clamp(-self.radius, self.radius)
        length = vector_norm(shift, "l2")
        return shift * torch.where(length <= self.radius, 1.0, self.radius / length)

    def farthest(self, direction: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The point of the ball that goes farthest along ``direction``: ``argmax_v ⟨direction, v⟩``; 0 for direction 0.

        A direction is 0 where its numbers are too small to be scaled up to the radius: those of a loss that is saturated.
        """
        if self.norm == "linf":
            return self.radius * direction.sign()
        factor = self.radius / vector_norm(direction, "l2")
        return direction * torch.where(factor <= torch.finfo(direction.dtype).max, factor, 0.0)
