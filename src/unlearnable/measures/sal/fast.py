"""The fast solver: boundary iteration with back-tracking, all layers abreast, explored on a part of the probe.

1. **Explore.** On the first quarter of the batches, where a step costs a quarter (a probe below 512 samples: on all),
   every layer climbs from its centre. Where it gained much more than the slope there promised, the loss is rugged (late
   in training, when its gradient all but vanishes, it has many maxima), and the layer climbs again from the opposite
   side of the ball and from random points of it. Then the descents, unless they are known to be the smaller side.
2. **Finish.** From the points found, the larger side of every layer is solved on the whole probe, which takes a
   correction or two. All reported losses are losses of the whole probe.
3. **The other side** is solved too, unless it is known to be the smaller: a loss with a floor can not fall by more than
   ``L(θ) − floor`` (exact), exploring found it below 0.9 of the larger one, or its slope no longer promises to reach
   the larger one (estimates). ``both_sides`` turns all three off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from unlearnable.measures.sal.climb import Climb
from unlearnable.measures.sal.solver import Problem, Settings
from unlearnable.probing.probe import Probe

_PART = 0.25  # of the probe, for exploring
_PART_SAMPLES = 128  # fewer have maxima of their own
_RUGGED = 1.5  # gains above this many times what the slope at the centre promised call for other starts
_RESTARTS_PART = 1  # unless given
_RESTARTS_WHOLE = 4  # the same on a small probe, where they cost little
_CLOSE = 0.9  # sides whose explored values are closer than this are both solved
_RISE, _FALL = +1, -1

_Sides = dict[tuple[Problem, int], Climb]


def solve_fast(probe: Probe, problems: Sequence[Problem], settings: Settings) -> None:
    """Solves all problems; in each pass over the probe every open climb evaluates one point."""
    problems = [problem for problem in problems if not problem.trivial]
    if not problems:
        return
    part = probe.part(_PART, _PART_SAMPLES)
    if part is None:
        _explore(probe, {problem: problem for problem in problems}, _RESTARTS_WHOLE, settings)
    else:
        layers = list(dict.fromkeys(problem.layer for problem in problems))
        origin, gradients = part.origin(layers)
        readings = {
            layer: replace(origin, gradient=gradient) for layer, gradient in zip(layers, gradients, strict=True)
        }
        twins = {problem: Problem(problem.layer, problem.ball, readings[problem.layer]) for problem in problems}
        _finish(probe, problems, _explore(part, twins, _RESTARTS_PART, settings), settings)
    _nest(problems)


def _explore(probe: Probe, twins: Mapping[Problem, Problem], restarts: int, settings: Settings) -> _Sides:
    """The best climb found for both sides of each problem, from up to ``starts`` points, on the problem's twin on
    ``probe``.

    The twin of a problem may be the problem itself: then it is solved afterwards.
    """
    found: _Sides = {}
    open_twins = {problem: twin for problem, twin in twins.items() if not twin.trivial}
    ascents = {problem: Climb(twin, _RISE, settings) for problem, twin in open_twins.items()}
    _advance(probe, list(ascents.values()), settings)
    best = dict(ascents)
    rugged = [p for p, twin in open_twins.items() if twin.finite and ascents[p].gain > _RUGGED * ascents[p].promise]
    for number in range(restarts if settings.restarts is None else settings.restarts):
        again = {
            problem: Climb(
                open_twins[problem], _RISE, settings, _start(open_twins[problem], number, settings.seed), committed=True
            )
            for problem in rugged
            if open_twins[problem].finite
        }
        _advance(probe, list(again.values()), settings)
        best.update({problem: climb for problem, climb in again.items() if climb.gain > best[problem].gain})
    found.update({(problem, _RISE): climb for problem, climb in best.items()})
    descents = {}
    for problem, twin in open_twins.items():
        if twin.finite and (settings.both_sides or not _bounded(twin, settings.loss_floor)):
            descents[problem, _FALL] = Climb(twin, _FALL, settings, rival=_CLOSE * best[problem].gain)
        else:
            twin.settled = False
    _advance(probe, list(descents.values()), settings)
    for climb in descents.values():
        climb.problem.settled = not climb.left
    return found | descents


def _start(twin: Problem, number: int, seed: int) -> Float[Tensor, " n"]:
    """Where to climb from again: the side of the ball that the slope points away from, then random points of its boundary."""
    if number == 0:
        return -twin.ball.farthest(twin.gradient)
    generator = torch.Generator().manual_seed(seed + number)
    return twin.ball.farthest(torch.randn(twin.layer.size, generator=generator).to(twin.gradient))


def _finish(probe: Probe, problems: Sequence[Problem], found: _Sides, settings: Settings) -> None:
    """Solves the larger side of each problem on the whole probe from what was ``found``, and the other if it may be larger."""

    def solve(sides: Mapping[tuple[Problem, int], float]) -> _Sides:
        """Climbs each side from the point that exploring found, against its rival."""
        climbs = {}
        for (problem, sign), rival in sides.items():
            before = found.get((problem, sign))
            start = before.best if before is not None and before.gain > 0 else None
            climbs[problem, sign] = Climb(problem, sign, settings, start, rival=rival)
        _advance(probe, list(climbs.values()), settings)
        return climbs

    def explored(problem: Problem, sign: int) -> float | None:
        return found[problem, sign].gain if (problem, sign) in found else None

    larger = [
        (problem, _FALL if (explored(problem, _FALL) or 0.0) > (explored(problem, _RISE) or 0.0) else _RISE)
        for problem in problems
    ]
    climbed = solve(dict.fromkeys(larger, 0.0))
    others: dict[tuple[Problem, int], float] = {}
    for problem, sign in larger:
        this, other = explored(problem, sign), explored(problem, -sign)
        smaller = this is not None and other is not None and other < _CLOSE * this
        smaller = smaller or (sign == _RISE and _bounded(problem, settings.loss_floor))
        if problem.finite and (settings.both_sides or not smaller):
            others[problem, -sign] = climbed[problem, sign].gain
        else:
            problem.settled = False
    for (problem, _), climb in solve(others).items():
        problem.settled = not climb.left


def _bounded(problem: Problem, floor: float | None) -> bool:
    """Whether no loss of at least ``floor`` can fall by more than the rise that was found."""
    return floor is not None and problem.rise >= problem.origin.loss - floor


def _nest(problems: Sequence[Problem]) -> None:
    """Balls of one layer lie in each other: what was found in a smaller one counts in the larger ones too."""
    smaller: dict[object, Problem] = {}
    for problem in sorted(problems, key=lambda problem: problem.ball.radius):
        if problem.layer in smaller:
            problem.include(smaller[problem.layer])
        smaller[problem.layer] = problem


def _advance(probe: Probe, climbs: Sequence[Climb], settings: Settings) -> None:
    """Takes all climbs to their ends, one point each a pass."""
    while active := [climb for climb in climbs if not climb.done]:
        settings.report(f"SAL: {len(active)} of {len(climbs)} climbs open, {probe.forwards:.0f} forward passes so far")
        for climb, reading in zip(active, probe.evaluate([climb.point() for climb in active]), strict=True):
            climb.tell(reading)
