"""Projected gradient ascent and descent: slow and obviously right."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from unlearnable.measures.sal.solver import Problem, Settings
from unlearnable.probing.probe import Point, Probe

_RESTARTS = 2  # unless given


def solve_pgd(probe: Probe, problems: Sequence[Problem], settings: Settings) -> None:
    """Textbook normalised projected gradient steps on the whole probe, from the centre and from random points of the
    ball.

    From each start ``steps`` steps of length ``2r/√(k+1)`` for k = 0, 1, … along the normalised gradient (its sign in
    the maximum norm), each followed by the projection; the highest and the lowest loss of all points count.
    """
    for number, problem in enumerate(problems):
        settings.report(f"SAL: layer {number + 1} of {len(problems)}")
        generator = torch.Generator().manual_seed(settings.seed)
        for start in range(1 + (_RESTARTS if settings.restarts is None else settings.restarts)):
            shift = _start(problem, start, generator)
            for sign in (-1, +1):
                if not problem.trivial:
                    _run(probe, problem, shift, sign, settings)


def _start(problem: Problem, start: int, generator: torch.Generator) -> Float[Tensor, " n"]:
    """The centre first, then random points on the boundary."""
    shape = problem.gradient
    if start == 0:
        return torch.zeros_like(shape)
    return problem.ball.farthest(torch.randn(shape.shape, generator=generator).to(shape))


def _run(probe: Probe, problem: Problem, shift: Float[Tensor, " n"], sign: int, settings: Settings) -> None:
    ball = problem.ball
    for step in range(settings.steps + 1):
        (reading,) = probe.evaluate([Point(problem.layer, shift, gradient=step < settings.steps)])
        problem.see(reading)
        if reading.gradient is None or not problem.finite:
            return
        stride = 2 / (step + 1) ** 0.5
        shift = ball.project(shift + sign * stride * ball.farthest(reading.gradient))
