"""The public entry: measures a model's SAL on a probe."""

from __future__ import annotations

import itertools
import math
import sys
import warnings
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, overload

import numpy as np
from torch import nn

from unlearnable.measures.sal.ball import balls_around, check_balls
from unlearnable.measures.sal.distributed import shares, solve_shared
from unlearnable.measures.sal.sal import Sal
from unlearnable.measures.sal.solvers import Problem, Solver, pose, solver_named
from unlearnable.options import Number, number, whole
from unlearnable.probing.layers import LayerChoice, select_layers
from unlearnable.probing.probe import AccuracyFn, LossFn, Probe, Reading, probing
from unlearnable.probing.state import unwrapped


@overload
def measure_sal(
    model: nn.Module, loss_fn: LossFn, batches: Iterable[Any], *, eps: Number = ..., **options: Any
) -> Sal: ...
@overload
def measure_sal(
    model: nn.Module, loss_fn: LossFn, batches: Iterable[Any], *, eps: Sequence[float], **options: Any
) -> tuple[Sal, ...]: ...
def measure_sal(
    model: nn.Module,
    loss_fn: LossFn,
    batches: Iterable[Any],
    *,
    eps: Number | Sequence[float] = 0.05,
    steps: int = 10,
    solver: str | Solver = "fast",
    norm: str = "l2",
    radius: str = "relative",
    layers: LayerChoice = "weights",
    seed: int = 0,
    accuracy_fn: AccuracyFn | None = None,
    origin_loss: float | None = None,
    distributed: bool = True,
    progress: bool = False,
    **options: Any,
) -> Sal | tuple[Sal, ...]:
    """Sharpness-aware learnability of each layer: ``max_{‖v‖ ≤ ε} |L(θ_l + v) − L(θ_l)|``, the other layers fixed.

    From `How Far Are We from True Unlearnability? <https://arxiv.org/abs/2509.08058>`_ (Ye, Su and Qian, ICLR 2025).
    While measured, the model is in eval mode and float32; it is given back bit for bit as it was, even after an exception or
    an interrupt.

    Args:
        model: Called as ``model(inputs)``, on the device that its parameters are on.
        loss_fn: ``loss_fn(outputs, targets)``: the batch's mean loss. ``L`` weights batches by their numbers of inputs,
            or by ``loss_fn.batch_weight(targets)`` where there is such a method, as for means over tokens.
        batches: Re-iterable of ``(inputs, targets)``, the same samples in each pass; tensors, or dicts, lists and
            tuples of them.
        eps: The ball's size ε, or several, which share what they can.
        steps: Upper bound on the steps: points tried a side (fast), passes (reference), steps a start (pgd).
        solver: "fast", "reference" (the published procedure), "pgd" (slow, for checks), or a :class:`Solver`.
        norm: The ball's norm, "l2" or "linf".
        radius: "relative": the ball's radius is ``ε‖θ_l‖`` in that norm; "absolute": ``ε``.
        layers: See :func:`select_layers`.
        seed: Random state of each pass over the batches, and of what the solver draws.
        accuracy_fn: ``accuracy_fn(outputs, targets)``: the batch's mean accuracy, for the accuracy's change beside the
            loss's.
        origin_loss: Stands in for ``L(θ)`` as the origin of rise and fall. The published code takes the epoch's running
            training loss, which is not ``L(θ)``; the default is the exact value.
        distributed: Whether to share the layers out over the ranks of an initialised ``torch.distributed`` process
            group; every rank must call this with the same model and batches.
        progress: Whether to write a line a pass to standard error.
        **options: Arguments of the solver that is named, such as ``tol``: see
            :class:`~unlearnable.measures.sal.solvers.fast.Fast` and its siblings.

    Returns:
        One :class:`Sal`, or a tuple of them in the order of ``eps``.

    Raises:
        ValueError: If an argument is out of range, the model has no such layers, or the batches are empty, not
            re-iterable or change between passes.
    """
    given = [eps] if isinstance(eps, int | float | str) else eps
    sizes = tuple(number("eps", size) for size in given)
    check_balls(sizes, norm, radius)
    steps = whole("steps", steps)
    if origin_loss is not None and not math.isfinite(origin_loss):
        raise ValueError(f"`origin_loss` must be a finite number or None; got {origin_loss}.")
    if isinstance(solver, str):
        solver = solver_named(solver, **options)
    elif options:
        raise TypeError(f"{', '.join(options)}: give these to the constructor of {type(solver).__name__}.")
    if origin_loss is not None:
        solver = solver.both()
    model = unwrapped(model)
    chosen = select_layers(model, layers)
    with probing(model, loss_fn, batches, chosen, accuracy_fn=accuracy_fn, seed=seed, replaying=solver.replay) as probe:
        readings = probe.origin(chosen)
        origin = readings[0]
        problems = [pose(chosen, balls_around(chosen, size, norm, radius), readings) for size in sizes]
        everything = list(itertools.chain.from_iterable(problems))
        solve = partial(solve_shared, solver) if distributed and shares() else solver.solve
        solve(probe, everything, steps=steps, report=_to_stderr if progress else _silent)
    results = tuple(
        _result(row, size, steps, solver.name, probe, origin, origin_loss)
        for row, size in zip(problems, sizes, strict=True)
    )
    bad = {problem.layer.name: None for problem in everything if not problem.finite}
    if bad:
        warnings.warn(
            f"SAL is NaN for {', '.join(bad)}: a loss or gradient was not finite within the ball. UD leaves such entries out "
            "and counts them.",
            stacklevel=2,
        )
    return results[0] if isinstance(eps, int | float | str) else results


def _result(
    problems: Sequence[Problem],
    size: float,
    steps: int,
    solver: str,
    probe: Probe,
    origin: Reading,
    origin_loss: float | None,
) -> Sal:
    """One ε's :class:`Sal`, with rise and fall counted from ``origin_loss`` where there is one."""
    start = origin.loss if origin_loss is None else origin_loss
    finite = np.array([problem.finite for problem in problems])
    high, low = np.array([problem.high for problem in problems]), np.array([problem.low for problem in problems])
    rise = np.where(finite, np.maximum(high - start, 0), np.nan)
    fall = np.where(finite, np.maximum(start - low, 0), np.nan)
    drop = gain = None
    if origin.accuracy is not None:
        highest = np.array([problem.accuracy_high for problem in problems], dtype=np.float64)
        lowest = np.array([problem.accuracy_low for problem in problems], dtype=np.float64)
        drop = np.where(finite, origin.accuracy - highest, np.nan)
        gain = np.where(finite, lowest - origin.accuracy, np.nan)
    assert probe.samples is not None
    return Sal(
        names=tuple(problem.layer.name for problem in problems),
        values=np.maximum(rise, fall),
        rise=rise,
        fall=fall,
        settled=np.array([problem.settled for problem in problems]),
        loss=origin.loss,
        eps=size,
        steps=steps,
        solver=solver,
        weights=np.array([problem.layer.size for problem in problems], dtype=np.int64),
        samples=probe.samples,
        forwards=probe.forwards,
        corrections=np.array([problem.corrections for problem in problems], dtype=np.int64),
        accuracy=origin.accuracy,
        accuracy_drop=drop,
        accuracy_gain=gain,
    )


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _silent(line: str) -> None:
    del line
