"""The reference solver: the published procedure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from typing_extensions import override

from unlearnable.measures.sal.solvers.base import Problem, Solver
from unlearnable.options import Number, number
from unlearnable.probing.probe import Point, Probe


class Reference(Solver):
    """The published procedure of `How Far Are We from True Unlearnability? <https://arxiv.org/abs/2509.08058>`_.

    For each layer one copy descends and one ascends. A step is a full pass over the batches, in which every batch gives
    one SGD step (no momentum, no weight decay) on that layer alone, with the model in eval mode; after the pass the
    layer is projected onto its ball, and the loss over the batches is measured. Batches are taken in the order in which
    they are given, the last one as it is. The published code's batches are the shuffled, augmented training loader's
    without an incomplete last one: ``sal=published`` has them, see ``docs/sharpness.md``.

    Args:
        lr: Learning rate of the SGD passes. The published value is 0.1.
    """

    name = "reference"
    resamples = True

    def __init__(self, *, lr: Number = 0.1) -> None:
        self.lr = number("lr", lr, above=0)

    @override
    def solve(self, probe: Probe, problems: Sequence[Problem], *, steps: int, report: Callable[[str], None]) -> None:
        for place, problem in enumerate(problems, 1):
            report(f"SAL: layer {place} of {len(problems)}")
            for sign in (-1, +1):
                if not problem.trivial:
                    self._run(probe, problem, sign, steps)

    def _run(self, probe: Probe, problem: Problem, sign: int, steps: int) -> None:
        layer, ball = problem.layer, problem.ball
        origin = layer.vector()
        shift = torch.zeros_like(origin)
        for _ in range(steps):
            weights = origin + shift
            for inputs, targets, _size in probe.passes(reseed=False):
                with layer.at(layer.shaped(weights)):
                    gradient = probe.batch_gradient(layer, inputs, targets)
                weights = weights.add(gradient, alpha=sign * self.lr)
            problem.corrections += 1
            probe.charge_pass(layer)
            shift = ball.project(weights - origin)
            (reading,) = probe.evaluate([Point(layer, shift, gradient=False)])
            problem.see(reading)
            if not problem.finite:
                return
