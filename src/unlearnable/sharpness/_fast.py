"""The fast solver: boundary iteration with back-tracking, all layers abreast."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from unlearnable.sharpness._probe import Point, Probe, Reading
from unlearnable.sharpness._solver import Problem, Settings


def solve_fast(probe: Probe, problems: Sequence[Problem], settings: Settings) -> None:
    """
    Climbs from every problem's centre along the shared gradient, then descends where the fall could be the larger side.

    In each pass over the probe every open problem evaluates one point, so that they share the unperturbed forward pass.
    """
    open_problems = [p for p in problems if not p.trivial]
    _advance(probe, [Climb(p, +1, settings) for p in open_problems], settings)
    descents = []
    for problem in open_problems:
        if not problem.finite:
            continue
        if settings.both_sides or not _fall_is_bounded(problem, settings.loss_floor):
            descents.append(Climb(problem, -1, settings))
        else:
            problem.settled = False
    _advance(probe, descents, settings)


def _fall_is_bounded(problem: Problem, floor: float | None) -> bool:
    """Whether no loss of at least ``floor`` can fall by more than the rise that was found."""
    return floor is not None and problem.rise >= problem.origin.loss - floor


class Climb:
    """
    Maximises ``sign × loss`` over a ball from its centre.

    Each step goes from the best point ``v`` towards ``d = argmax_{‖u‖ ≤ r} ⟨g(v), u⟩``, the boundary point that the
    gradient there points to. The full step ``v ← d`` is the boundary iteration ``v ← r g/‖g‖``. Where it overshoots,
    the step is cut back to the maximum of the cubic through both points' values and slopes.

    Args:
        problem: What to solve.
        sign: +1 for the rise, −1 for the fall.
        settings: ``steps`` bounds the points tried, ``tol`` the relative gain that is not worth another.
    """

    def __init__(self, problem: Problem, sign: int, settings: Settings) -> None:
        self.problem, self.sign, self.settings = problem, sign, settings
        self.best = problem.gradient.new_zeros(problem.layer.size)
        self.gain = 0.0
        self.gradient = sign * problem.gradient
        self.length = 1.0  # part of the way from the best point to the target
        self.tried = 0
        self.done = False
        self._aim()

    def point(self) -> Point:
        """The next point to evaluate."""
        last = self.tried + 1 >= self.settings.steps
        return Point(self.problem.layer, self._trial(), gradient=not last)

    def tell(self, reading: Reading) -> None:
        """Takes the reading at :meth:`point` and decides where to go next."""
        self.tried += 1
        self.problem.see(reading)
        if not reading.finite or reading.gradient is None:
            self.done = True
            return
        gain = self.sign * (reading.loss - self.problem.origin.loss)
        gradient = self.sign * reading.gradient
        if gain > self.gain:
            self.best, self.gain, self.gradient = self._trial(), gain, gradient
            self.length = min(1.0, 2 * self.length)
            self._aim()
        else:
            slope_there = float(gradient @ (self.target - self.best))
            self.length *= _cut(self.gain, gain, self.length * self.slope, self.length * slope_there)
            self._check()

    def _aim(self) -> None:
        self.target = self.problem.ball.farthest(self.gradient)
        self.slope = float(self.gradient @ (self.target - self.best))
        self._check()

    def _check(self) -> None:
        """Stops when the gain to first order is not worth another step."""
        self.done = self.length * self.slope <= self.settings.tol * self.gain or self.slope <= 0

    def _trial(self) -> Float[Tensor, " n"]:
        if self.length == 1.0:
            return self.target
        return self.best + self.length * (self.target - self.best)


def _cut(start: float, end: float, slope_start: float, slope_end: float) -> float:
    """Where in [0.1, 0.5] the cubic with these values and slopes at 0 and 1 is highest."""
    first = slope_start + slope_end - 3 * (end - start)
    square = first * first - slope_start * slope_end
    if square < 0:
        return 0.5
    root = math.sqrt(square)
    denominator = slope_end - slope_start - 2 * root
    if denominator == 0:
        return 0.5
    return min(max(1 - (slope_end - root - first) / denominator, 0.1), 0.5)


def _advance(probe: Probe, climbs: Sequence[Climb], settings: Settings) -> None:
    """Takes all climbs to their ends, one point each a pass."""
    while active := [climb for climb in climbs if not climb.done]:
        settings.report(
            f"SAL: {len(active)} of {len(climbs)} problems open, {probe.forwards:.0f} forward passes so far"
        )
        for climb, reading in zip(active, probe.evaluate([climb.point() for climb in active]), strict=True):
            climb.tell(reading)
