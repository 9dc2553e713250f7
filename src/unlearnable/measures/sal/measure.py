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
from unlearnable.options import Number, number, switch, whole
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
        loader: Whether to measure on the training loader's batches (reshuffled and augmented in each pass, without an
            incomplete last one) instead of a fixed probe, as in the published code.
        origin: What rise and fall are counted from: `exact`, the loss on the probe, or `running`, the loss that training
            logged for the epoch, as in the published code.
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
        loader: bool = False,
        origin: str = "exact",
        **probe: Any,
    ) -> None:
        super().__init__(**probe)
        self.eps, self.steps = number("eps", eps), whole("steps", steps)
        check_balls([self.eps], norm, radius)
        if origin not in ("exact", "running"):
            raise ValueError(
                f"`sal.origin` must be 'exact' (the loss on the probe) or 'running' (the epoch's training loss); got {origin!r}."
            )
        self.loader = switch("sal.loader", loader)
        if self.loader and not (solver.resamples and self.samples is None and self.split == "train"):
            raise ValueError(
                "`sal.loader` gives other images in each pass and is for the published procedure on the whole training set: use "
                f"sal=published; got the solver {solver.name!r}, `sal.samples` = {self.samples}, `sal.split` = {self.split}."
            )
        self.solver, self.origin = solver, origin
        self.norm, self.radius, self.layers = norm, radius, layers

    @property
    @override
    def source(self) -> str:
        return "loader" if self.loader else self.split

    @override
    def cheap(self) -> SharpnessAwareLearnability:
        cheap = copy.copy(self)
        cheap.steps = 1
        cheap.origin = "exact"  # nothing was trained yet
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
                origin_loss=self._origin(task, context),
            ).measured()
            for task, loss in losses.items()
        }

    def _origin(self, task: str, context: Context) -> float | None:
        if self.origin == "exact":
            return None
        if task not in context.running:
            raise ValueError(
                f"`sal.origin=running` needs the training loss of {task!r}, which the module did not log for epoch "
                f"{context.epoch}; it logged that of {', '.join(context.running) or 'no task'}. Use sal.origin=exact."
            )
        return context.running[task]
