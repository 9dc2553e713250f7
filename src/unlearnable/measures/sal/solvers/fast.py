"""The fast solver: boundary iteration with back-tracking, all layers abreast, explored on a part of the probe.

1. **Explore.** On the first quarter of the samples, where a step costs a quarter (a probe below 512 samples: on all),
   every layer climbs from its centre. Where it gained much more than the slope there promised, the loss is rugged (late
   in training, when its gradient all but vanishes, it has many maxima), and the layer climbs again from the opposite
   side of the ball and from random points of it. Then the descents, unless they are known to be the smaller side.
2. **Finish.** From the points found, the larger side of every layer is solved on the whole probe, which takes a
   correction or two. All reported losses are losses of the whole probe.
3. **The other side** is solved too, unless it is known to be the smaller: a loss with a floor cannot fall by more than
   ``L(θ) − floor`` (exact), exploring found it below 0.9 of the larger one, or its slope no longer promises to reach
   the larger one (estimates). ``both_sides`` turns all three off.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from unlearnable.measures.sal.solvers.base import Problem, Solver, pose
from unlearnable.measures.sal.solvers.climb import Climb, Rules
from unlearnable.options import Number, number, switch, whole
from unlearnable.probing.host import to_host
from unlearnable.probing.probe import Probe

_PART = 0.25  # of the probe, for exploring
_PART_SAMPLES = 128  # fewer have maxima of their own
_RUGGED = 1.5  # gains above this many times what the slope at the centre promised call for other starts
_RESTARTS_PART = 1  # unless given
_RESTARTS_WHOLE = 4  # the same on a small probe, where they cost little
_CLOSE = 0.9  # sides whose explored values are closer than this are both solved
_RISE, _FALL = +1, -1

_Sides = dict[tuple[Problem, int], Climb]


class Fast(Solver):
    """Boundary iteration with back-tracking; in each pass over the probe every open climb evaluates one point.

    Args:
        tol: A side of a layer is solved when all further steps promise less than ``tol`` × what was gained + ``atol``.
        atol: A change of the loss, in its own unit, so that layers of negligible SAL take no more steps than others.
        restarts: Starts beside the centre for ascents whose gain shows a rugged loss: the side of the ball opposite to
            the slope, then random points. None: 1, or 4 on probes below 512 samples. More find higher maxima late in
            training, at their price.
        both_sides: Whether to solve both rise and fall of every layer, even where one is known to be the smaller.
        loss_floor: A number that the loss cannot fall below: 0 for the usual losses. Where a layer's rise exceeds what
            the loss can fall by at all, the descent is not computed. None if there is no such number.
        replay: Whether to replay the activations before the perturbed layer; results are the same up to rounding.
    """

    name = "fast"

    def __init__(
        self,
        *,
        tol: Number = 0.01,
        atol: Number = 2e-4,
        restarts: Number | None = None,
        both_sides: bool = False,
        loss_floor: Number | None = 0.0,
        replay: bool = True,
    ) -> None:
        self.tol = number("tol", tol, at_least=0, below=1, what="a part of the gain")
        self.atol = number("atol", atol, at_least=0, what="a change of the loss")
        self.restarts = None if restarts is None else whole("restarts", restarts, at_least=0)
        self.both_sides, self.replay = switch("both_sides", both_sides), switch("replay", replay)
        self.loss_floor = None if loss_floor is None else number("loss_floor", loss_floor)

    @override
    def both(self) -> Fast:
        other = copy.copy(self)
        other.both_sides = True
        return other

    @override
    def solve(self, probe: Probe, problems: Sequence[Problem], *, steps: int, report: Callable[[str], None]) -> None:
        problems = [problem for problem in problems if not problem.trivial]
        if not problems:
            return
        floor = probe.checked_floor(self.loss_floor)
        rules = Rules(steps, self.tol, self.atol, floor, self.both_sides)
        part = probe.part(_PART, _PART_SAMPLES)
        if part is None:
            _Search(probe, rules, report).explore(
                {problem: problem for problem in problems}, self._starts(_RESTARTS_WHOLE)
            )
        else:
            layers = list(dict.fromkeys(problem.layer for problem in problems))
            readings = dict(zip(layers, part.origin(layers), strict=True))
            everywhere = [problem.layer for problem in problems]
            posed = pose(everywhere, [problem.ball for problem in problems], [readings[layer] for layer in everywhere])
            twins = dict(zip(problems, posed, strict=True))
            found = _Search(part, rules, report).explore(twins, self._starts(_RESTARTS_PART))
            _Search(probe, rules, report).finish(problems, found)
        _nest(problems)

    def _starts(self, usual: int) -> int:
        return usual if self.restarts is None else self.restarts


@dataclass(frozen=True)
class _Search:
    """Climbs on a probe, or on a part of it."""

    probe: Probe
    rules: Rules
    report: Callable[[str], None]

    def explore(self, twins: Mapping[Problem, Problem], restarts: int) -> _Sides:
        """The best climbs found for both sides of each problem, from the centre and up to ``restarts`` further starts.

        They are searched on each problem's twin, the same problem on this probe; a problem that is its own twin is
        then solved.
        """
        open_twins = {problem: twin for problem, twin in twins.items() if not twin.trivial}
        ascents = {problem: Climb(twin, _RISE, self.rules) for problem, twin in open_twins.items()}
        self.advance(list(ascents.values()))
        best = dict(ascents)
        rugged = [p for p, twin in open_twins.items() if twin.finite and ascents[p].gain > _RUGGED * ascents[p].promise]
        for start in range(restarts):
            again = {
                problem: Climb(twin, _RISE, self.rules, _start(twin, start, self.probe.seed), committed=True)
                for problem in rugged
                if (twin := open_twins[problem]).finite
            }
            self.advance(list(again.values()))
            best.update({problem: climb for problem, climb in again.items() if climb.gain > best[problem].gain})
        found = {(problem, _RISE): climb for problem, climb in best.items()}
        descents = {}
        for problem, twin in open_twins.items():
            if twin.finite and (self.rules.both_sides or not self._bounded(twin)):
                descents[problem, _FALL] = Climb(twin, _FALL, self.rules, rival=_CLOSE * best[problem].gain)
            else:
                twin.settled = False
        self.advance(list(descents.values()))
        for climb in descents.values():
            climb.problem.settled = not climb.left
        return found | descents

    def finish(self, problems: Sequence[Problem], found: _Sides) -> None:
        """Solves the larger side of each problem from what was ``found``, and the other if it may be larger."""

        def explored(problem: Problem, sign: int) -> float | None:
            return found[problem, sign].gain if (problem, sign) in found else None

        larger = [
            (problem, _FALL if (explored(problem, _FALL) or 0.0) > (explored(problem, _RISE) or 0.0) else _RISE)
            for problem in problems
        ]
        climbed = self._climb(dict.fromkeys(larger, 0.0), found)
        others: dict[tuple[Problem, int], float] = {}
        for problem, sign in larger:
            this, other = explored(problem, sign), explored(problem, -sign)
            smaller = this is not None and other is not None and other < _CLOSE * this
            smaller = smaller or (sign == _RISE and self._bounded(problem))
            if problem.finite and (self.rules.both_sides or not smaller):
                others[problem, -sign] = climbed[problem, sign].gain
            else:
                problem.settled = False
        for (problem, _), climb in self._climb(others, found).items():
            problem.settled = not climb.left

    def advance(self, climbs: Sequence[Climb]) -> None:
        """Takes all climbs to their ends, one point each a pass."""
        while active := [climb for climb in climbs if not climb.done]:
            passes = f"{self.probe.forwards:.0f} forward passes so far"
            self.report(f"SAL: {len(active)} of {len(climbs)} climbs open, {passes}")
            readings = self.probe.evaluate([climb.point() for climb in active])
            asked = {climb: climb.tell(reading) for climb, reading in zip(active, readings, strict=True)}
            waiting = {climb: slope for climb, slope in asked.items() if slope is not None}
            for climb, slope in zip(waiting, *to_host(list(waiting.values())), strict=True):
                climb.go_on(slope)

    def _climb(self, sides: Mapping[tuple[Problem, int], float], found: _Sides) -> _Sides:
        """Climbs each side from the point that exploring found, against its rival."""
        climbs = {}
        for (problem, sign), rival in sides.items():
            before = found.get((problem, sign))
            start = before.best if before is not None and before.gain > 0 else None
            climbs[problem, sign] = Climb(problem, sign, self.rules, start, rival=rival)
        self.advance(list(climbs.values()))
        return climbs

    def _bounded(self, problem: Problem) -> bool:
        """Whether no loss above the floor can fall by more than the rise that was found."""
        return self.rules.floor is not None and problem.rise >= problem.origin.loss - self.rules.floor


def _start(twin: Problem, number: int, seed: int) -> Float[Tensor, " n"]:
    """Where to climb from again: the side of the ball that the slope points away from, then random points of its boundary."""
    if number == 0:
        return -twin.ball.farthest(twin.gradient)
    generator = torch.Generator().manual_seed(seed + number)
    return twin.ball.farthest(torch.randn(twin.layer.size, generator=generator).to(twin.gradient))


def _nest(problems: Sequence[Problem]) -> None:
    """The balls of a layer are nested: what was found in a smaller one counts in the larger ones too."""
    smaller: dict[object, Problem] = {}
    for problem in sorted(problems, key=lambda problem: problem.ball.radius):
        if problem.layer in smaller:
            problem.include(smaller[problem.layer])
        smaller[problem.layer] = problem
