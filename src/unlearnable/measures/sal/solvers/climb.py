"""One side of one layer: from where to where the fast solver goes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from unlearnable.measures.sal.solvers.base import Problem
from unlearnable.probing.probe import Point, Reading

_RATE = 0.6  # how promises shrink from step to step, assumed until two of them show it; most shrink faster
# A given start must show this part of the gain promised at the centre, or the centre's own step is tried.
_TRUSTED = 0.5
_MARGIN = 2.0  # a side that would not reach its rival with this many times its promises is left


@dataclass(frozen=True)
class Rules:
    """When a climb ends.

    Attributes:
        steps: Most points tried.
        tol: A gain of ``tol`` × what was gained + ``atol`` is not worth another point.
        atol: See ``tol``; in the loss's unit.
        floor: A number that the loss cannot fall below; None if there is none.
        both_sides: Whether a side is climbed to its end though its rival is larger.
    """

    steps: int
    tol: float
    atol: float
    floor: float | None
    both_sides: bool


class Climb:
    """Maximises ``sign × loss`` over a ball, keeping the best point seen.

    Each step goes from the best point ``v`` towards ``d = argmax_{‖u‖ ≤ r} ⟨g(v), u⟩``, the boundary point that the
    gradient there points to. The full step ``v ← d`` is the boundary iteration ``v ← r g/‖g‖``; it never falls where
    the loss is convex. Where it overshoots, the step is cut back to the maximum of the cubic through both points'
    values and slopes.

    Args:
        problem: What to solve.
        sign: +1 for the rise, −1 for the fall.
        rules: When to end.
        start: A point of the ball to try first, such as the solution of a similar problem.
        committed: Go on from ``start`` whatever the loss there; otherwise the centre's own step is tried too where
            ``start`` disappoints.
        rival: The gain that this side has to exceed to matter. The climb ends where twice what it promises does not
            reach so far, unless both sides are asked for.

    Attributes:
        done: Whether there is nothing more to try.
        left: Whether it ended only because it would not reach its rival.
    """

    def __init__(
        self,
        problem: Problem,
        sign: int,
        rules: Rules,
        start: Float[Tensor, " n"] | None = None,
        *,
        committed: bool = False,
        rival: float = 0.0,
    ) -> None:
        self.problem, self.sign, self.rules = problem, sign, rules
        self.best = problem.gradient.new_zeros(problem.layer.size)
        self.gain = 0.0
        self.gradient = sign * problem.gradient
        self.length = 1.0  # part of the way from the best point to the target
        self.tried = 0
        self.done = False
        self._rate = _RATE
        self._left_centre = False
        self._given, self._committed = start, committed
        self._before = 0.0  # what the last step promised
        self._failed: float | None = None  # the gain where it failed
        self._rival = 0.0 if rules.both_sides else rival
        self.target = problem.ball.farthest(self.gradient)
        assert problem.slope is not None
        self.slope = problem.slope  # the same for both signs
        if sign < 0 and rules.floor is not None and self.slope > 0:
            # A fall ends at the floor: going further than the slope needs to get there is bound to overshoot.
            self.length = min(1.0, (problem.origin.loss - rules.floor) / self.slope)
        self.promise = self.length * self.slope
        self._check()
        if start is not None:
            self.done = self.left = False

    def point(self) -> Point:
        """The next point to evaluate, without a gradient where it will be the last."""
        worth = self._given is not None or self._rate * self._to_come() > self._tolerance()
        return Point(self.problem.layer, self._trial(), gradient=worth and self.tried + 1 < self.rules.steps)

    def tell(self, reading: Reading) -> Float[Tensor, ""] | None:
        """Takes the reading at :meth:`point`.

        Returns:
            The slope that :meth:`go_on` is to be called with, still on the device, so that all climbs' are fetched
            together. None where it is not needed.
        """
        self.tried += 1
        self.problem.see(reading)
        trial, given = self._trial(), self._given is not None
        self._given = None
        gain = self.sign * (reading.loss - self.problem.origin.loss)
        better = gain > self.gain or (given and self._committed)
        if not reading.finite or reading.gradient is None:
            if reading.finite and better:
                self.best, self.gain = trial, gain
            self.done = True
            return None
        gradient = self.sign * reading.gradient
        self._failed = None
        if better and (not given or self._committed or gain >= _TRUSTED * self.promise):
            # The step from the centre promises the whole gain: it says nothing about how the next ones shrink.
            self._before = self.length * self.slope if self._left_centre and not given else 0.0
            self._left_centre = True
            self.best, self.gain, self.gradient = trial, gain, gradient
            self.length = 1.0 if given else min(1.0, 2 * self.length)
            self.target = self.problem.ball.farthest(gradient)
        elif given:
            self._check()
            return None
        else:
            self._failed = gain
        return gradient @ (self.target - self.best)

    def go_on(self, slope: float) -> None:
        """Decides where to go next, given the slope towards the target: at the best point, or where the last step failed."""
        if self._failed is not None:
            self.length *= _cut(self.gain, self._failed, self.length * self.slope, self.length * slope)
        else:
            self.slope = slope
            if self._before > 0:
                self._rate = min(max(self.length * self.slope / self._before, 0.0), 0.9)
        self._check()

    def _check(self) -> None:
        """Stops when what is to come is not worth another step."""
        promised = self.length * self.slope
        small = self.tried > 0 and self._to_come() <= self._tolerance()  # the first step is taken, however small
        solved = self.tried >= self.rules.steps or promised <= 0 or small
        self.left = not solved and self.gain + _MARGIN * self._to_come() < self._rival
        self.done = solved or self.left

    def _tolerance(self) -> float:
        return self.rules.tol * self.gain + self.rules.atol

    def _to_come(self) -> float:
        """What all further steps gain if each promises as much less as this one did: a geometric series."""
        return self.length * self.slope / (1 - self._rate)

    def _trial(self) -> Float[Tensor, " n"]:
        if self._given is not None:
            return self._given
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
