"""The ball that a layer's weights may move in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

NORMS = ("l2", "linf")
RADII = ("relative", "absolute")
_ORDER = {"l2": 2.0, "linf": float("inf")}
_DUAL = {"l2": 2.0, "linf": 1.0}


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


def ball_around(weights: Float[Tensor, " n"], eps: float, norm: str, radius: str) -> Ball:
    """The ball of size ``eps`` around a layer's weights: relative to their norm, or absolute."""
    return Ball(norm, eps if radius == "absolute" else eps * vector_norm(weights, norm))


def vector_norm(vector: Float[Tensor, " n"], norm: str) -> float:
    """``‖vector‖`` in the ``norm`` "l2" or "linf", summed in float64 where the device has it."""
    return _norm(vector, _ORDER[norm])


def _norm(vector: Float[Tensor, " n"], order: float) -> float:
    dtype = None if vector.device.type == "mps" else torch.float64
    return float(torch.linalg.vector_norm(vector, order, dtype=dtype))


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
        return shift if length <= self.radius else shift * (self.radius / length)

    def farthest(self, direction: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The point of the ball that goes farthest along ``direction``: ``argmax_v ⟨direction, v⟩``; 0 for direction 0."""
        if self.norm == "linf":
            return self.radius * direction.sign()
        length = vector_norm(direction, "l2")
        return direction * (self.radius / length) if length > 0 else torch.zeros_like(direction)

    def reach(self, gradient: Float[Tensor, " n"]) -> float:
        """``max_v ⟨gradient, v⟩``: the change of a linear function over the ball, ``radius`` × the dual norm."""
        return self.radius * _norm(gradient, _DUAL[self.norm])
