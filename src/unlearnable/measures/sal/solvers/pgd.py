"""Projected gradient ascent and descent: slow and obviously right."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from unlearnable.measures.sal.solvers.base import Problem, Solver
from unlearnable.options import Number, whole
from unlearnable.probing.probe import Point, Probe


class Pgd(Solver):
    """Textbook normalised projected gradient steps on the whole probe, from the centre and from random points of the
    ball.

    From each start ``steps`` steps of length ``2r/√(k+1)`` for k = 0, 1, … along the normalised gradient (its sign in
    the maximum norm), each followed by the projection; the highest and the lowest loss of all points count.

    Args:
        restarts: Random starts beside the centre.
    """

    name = "pgd"

    def __init__(self, *, restarts: Number = 2) -> None:
        self.restarts = whole("restarts", restarts, at_least=0)

    @override
    def solve(self, probe: Probe, problems: Sequence[Problem], *, steps: int, report: Callable[[str], None]) -> None:
        for number, problem in enumerate(problems):
            report(f"SAL: layer {number + 1} of {len(problems)}")
            generator = torch.Generator().manual_seed(probe.seed)
            for start in range(1 + self.restarts):
                shift = _start(problem, start, generator)
                for sign in (-1, +1):
                    if not problem.trivial:
                        _run(probe, problem, shift, sign, steps)


def _start(problem: Problem, start: int, generator: torch.Generator) -> Float[Tensor, " n"]:
    """The centre first, then random points on the boundary."""
    shape = problem.gradient
    if start == 0:
        return torch.zeros_like(shape)
    return problem.ball.farthest(torch.randn(shape.shape, generator=generator).to(shape))


def _run(probe: Probe, problem: Problem, shift: Float[Tensor, " n"], sign: int, steps: int) -> None:
    ball = problem.ball
    for step in range(steps + 1):
        (reading,) = probe.evaluate([Point(problem.layer, shift, gradient=step < steps)])
        problem.see(reading)
        if reading.gradient is None or not problem.finite:
            return
        stride = 2 / (step + 1) ** 0.5
        shift = ball.project(shift + sign * stride * ball.farthest(reading.gradient))
