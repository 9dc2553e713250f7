"""SAL as a measure of a run."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn
from typing_extensions import override

from unlearnable.measures.base import Context, Loss, Measure, Measured
from unlearnable.measures.sal.ball import check_balls
from unlearnable.measures.sal.definition import measure_sal
from unlearnable.measures.sal.solvers import Solver
from unlearnable.options import Number, number, whole
from unlearnable.probing.layers import LayerChoice


class SharpnessAwareLearnability(Measure):
    """Each layer's sharpness-aware learnability, see :func:`measure_sal`.

    Where a task's loss depends on a part of the model only, that part is measured: faster, and without layers that can
    not matter.

    Args:
        solver: How the maximum is found.
        eps: See :func:`measure_sal`, also for the next four.
        steps: See there.
        norm: See there.
        radius: See there.
        layers: See there.
        **probe: Arguments of :class:`Measure`.
    """

    name = "sal"

    def __init__(
        self,
        *,
        solver: Solver,
        eps: Number = 0.05,
        steps: Number = 10,
        norm: str = "l2",
        radius: str = "relative",
        layers: LayerChoice = "weights",
        **probe: Any,
    ) -> None:
        super().__init__(**probe)
        self.eps, self.steps = number("sal.eps", eps), whole("sal.steps", steps)
        check_balls([self.eps], norm, radius)
        self.solver = solver
        self.norm, self.radius, self.layers = norm, radius, layers

    @override
    def cheap(self) -> SharpnessAwareLearnability:
        cheap = copy.copy(self)
        cheap.steps = 1
        return cheap

    @override
    def measure(
        self, model: nn.Module, losses: Mapping[str, Loss], batches: Iterable[Any], context: Context
    ) -> dict[str, Measured]:
        return {
            task: measure_sal(
                context.parts.get(task, model),
                loss,
                batches,
                eps=self.eps,
                steps=self.steps,
                solver=self.solver,
                norm=self.norm,
                radius=self.radius,
                layers=self.layers,
            ).measured()
            for task, loss in losses.items()
        }
