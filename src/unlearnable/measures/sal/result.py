"""The result of a measurement."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64


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
            where it can not decide which side is larger.
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

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists for JSON; NaN becomes ``None``."""
        return {name: _to_plain(getattr(self, name)) for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Sal:
        """The inverse of :meth:`to_dict`.

        Raises:
            ValueError: If fields are missing or unknown.
        """
        fields = set(cls.__dataclass_fields__)
        optional = {"accuracy", "accuracy_drop", "accuracy_gain"}
        missing, unknown = fields - optional - set(state), set(state) - fields
        if missing or unknown:
            raise ValueError(
                f"A stored SAL needs exactly the fields {sorted(fields)}; missing {sorted(missing)}, unknown {sorted(unknown)}."
            )
        values = dict(state)
        values["names"] = tuple(state["names"])
        values["loss"] = math.nan if state["loss"] is None else float(state["loss"])
        for name in ("values", "rise", "fall", "accuracy_drop", "accuracy_gain"):
            if values.get(name) is not None:
                values[name] = np.array(
                    [math.nan if entry is None else entry for entry in state[name]], dtype=np.float64
                )
        for name in ("weights", "corrections"):
            values[name] = np.array(state[name], dtype=np.int64)
        values["settled"] = np.array(state["settled"], dtype=np.bool_)
        return cls(**values)


def _to_plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_to_plain(entry) for entry in value.tolist()]
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
