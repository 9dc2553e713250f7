"""The result of a measurement."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float64, Int64

from unlearnable.measures.base import Measured


@dataclass(frozen=True)
class Sal:
    """Sharpness-aware learnability of every layer of a model, for one ε.

    Attributes:
        names: Names of the layers' modules, in the model's order, ``L`` of them.
        values: SAL ``= max(rise, fall)``, ``[L]``, in units of the loss; NaN marks a layer with a non-finite loss or
            gradient.
        rise: ``max L(θ_l + v) − L(θ)`` over the ball, ``[L]``.
        fall: ``L(θ) − min L(θ_l + v)`` over the ball, ``[L]``. Where ``settled`` is False it is a lower bound.
        settled: Whether both sides were solved, ``[L]``. The fast solver leaves the descent (or ascent) of a layer
            where it cannot decide which side is larger.
        loss: ``L(θ)`` on the probe, exact; ``origin_loss`` of :func:`measure_sal` replaces it in ``rise`` and ``fall``
            only.
        eps: The ball's size ε.
        steps: Upper bound on the steps of the solver.
        solver: Name of the solver.
        weights: Parameters per layer, ``[L]``.
        samples: Size of the probe.
        forwards: Cost, in forward passes over the probe (one forward of the whole model = 1, counted by floating-point
            operations), shared by all ε of the call.
        corrections: Gradients taken per layer, both sides together, ``[L]``.
        accuracy: Accuracy on the probe, or ``None`` if it was not asked for.
        accuracy_drop: Accuracy lost at the point of highest loss, ``[L]`` or ``None``.
        accuracy_gain: Accuracy won at the point of lowest loss, ``[L]`` or ``None``.
    """

    names: tuple[str, ...]
    values: Float64[np.ndarray, " layers"]
    rise: Float64[np.ndarray, " layers"]
    fall: Float64[np.ndarray, " layers"]
    settled: Bool[np.ndarray, " layers"]
    loss: float
    eps: float
    steps: int
    solver: str
    weights: Int64[np.ndarray, " layers"]
    samples: int
    forwards: float
    corrections: Int64[np.ndarray, " layers"]
    accuracy: float | None = None
    accuracy_drop: Float64[np.ndarray, " layers"] | None = None
    accuracy_gain: Float64[np.ndarray, " layers"] | None = None

    @property
    def accuracy_change(self) -> Float64[np.ndarray, " layers"] | None:
        """The larger of ``accuracy_drop`` and ``accuracy_gain`` by magnitude, ``[L]``, as the published code logs it."""
        if self.accuracy_drop is None or self.accuracy_gain is None:
            return None
        drop, gain = self.accuracy_drop, self.accuracy_gain
        return np.where(np.abs(drop) > np.abs(gain), drop, gain)

    def measured(self) -> Measured:
        """The result in the form that all measures share: all but names and values become details."""
        details = {field.name: getattr(self, field.name) for field in fields(self)}
        kept = {name: value for name, value in details.items() if name not in ("names", "values") and value is not None}
        return Measured(self.names, self.values, kept)
