"""The public entry: measures a model's SAL on a probe."""

from __future__ import annotations

import itertools
import math
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
from torch import nn

from unlearnable.measures.sal.ball import NORMS, Ball, vector_norm
from unlearnable.measures.sal.distributed import shares, solve_shared
from unlearnable.measures.sal.fast import solve_fast
from unlearnable.measures.sal.pgd import solve_pgd
from unlearnable.measures.sal.reference import solve_reference
from unlearnable.measures.sal.result import Sal
from unlearnable.measures.sal.solver import Problem, Settings, Solver
from unlearnable.probing.layers import Layer, LayerChoice, select_layers
from unlearnable.probing.probe import AccuracyFn, LossFn, Probe, Reading
from unlearnable.probing.replay import Replay
from unlearnable.probing.state import borrowed

SOLVERS: Mapping[str, Solver] = {"fast": solve_fast, "reference": solve_reference, "pgd": solve_pgd}
RADII = ("relative", "absolute")


@overload
def measure_sal(
    model: nn.Module,
    loss_fn: LossFn,
    batches: Iterable[Any],
    *,
    eps: float = ...,
    steps: int = ...,
    solver: str = ...,
    norm: str = ...,
    radius: str = ...,
    layers: LayerChoice = ...,
    tol: float = ...,
    atol: float = ...,
    lr: float = ...,
    restarts: int | None = ...,
    seed: int = ...,
    accuracy_fn: AccuracyFn | None = ...,
    origin_loss: float | None = ...,
    loss_floor: float | None = ...,
    both_sides: bool = ...,
    replay: bool = ...,
    distributed: bool = ...,
    progress: bool = ...,
) -> Sal: ...
@overload
def measure_sal(
    model: nn.Module,
    loss_fn: LossFn,
    batches: Iterable[Any],
    *,
    eps: Sequence[float],
    steps: int = ...,
    solver: str = ...,
    norm: str = ...,
    radius: str = ...,
    layers: LayerChoice = ...,
    tol: float = ...,
    atol: float = ...,
    lr: float = ...,
    restarts: int | None = ...,
    seed: int = ...,
    accuracy_fn: AccuracyFn | None = ...,
    origin_loss: float | None = ...,
    loss_floor: float | None = ...,
    both_sides: bool = ...,
    replay: bool = ...,
    distributed: bool = ...,
    progress: bool = ...,
) -> tuple[Sal, ...]: ...
def measure_sal(
    model: nn.Module,
    loss_fn: LossFn,
    batches: Iterable[Any],
    *,
    eps: float | Sequence[float] = 0.05,
    steps: int = 10,
    solver: str = "fast",
    norm: str = "l2",
    radius: str = "relative",
    layers: LayerChoice = "weights",
    tol: float = 0.01,
    atol: float = 2e-4,
    lr: float = 0.1,
    restarts: int | None = None,
    seed: int = 0,
    accuracy_fn: AccuracyFn | None = None,
    origin_loss: float | None = None,
    loss_floor: float | None = 0.0,
    both_sides: bool = False,
    replay: bool = True,
    distributed: bool = True,
    progress: bool = False,
) -> Sal | tuple[Sal, ...]:
    """Sharpness-aware learnability of each layer: ``max_{‖v‖ ≤ ε} |L(θ_l + v) − L(θ_l)|``, the other layers fixed.

    From `How Far Are We from True Unlearnability? <https://arxiv.org/abs/2509.08058>`_ (Ye, Su and Qian, ICLR 2025).
    The model is in eval mode and float32 meanwhile, and is given back bit for bit as it was, also after an exception or
    an interrupt.

    Args:
        model: Called as ``model(inputs)``, on the device that its parameters are on.
        loss_fn: ``loss_fn(outputs, targets)``: the batch's mean loss. ``L`` weights batches by their numbers of inputs.
        batches: Re-iterable of ``(inputs, targets)``, the same samples in each pass; tensors, or dicts, lists and
            tuples of them.
        eps: The ball's size ε, or several, which share what they can.
        steps: Upper bound on the steps: points tried a side (fast), passes (reference), steps a start (pgd).
        solver: "fast", "reference" (the published procedure) or "pgd" (slow, for checks).
        norm: The ball's norm, "l2" or "linf".
        radius: "relative": the ball's radius is ``ε‖θ_l‖`` in that norm; "absolute": ``ε``.
        layers: See :func:`select_layers`.
        tol: A side of a layer is solved when all further steps promise less than ``tol`` × what was gained + ``atol``
            (fast).
        atol: A change of the loss, in its own unit, so that layers of negligible SAL take no more steps than others
            (fast).
        lr: Learning rate of the SGD passes (reference). The published value is 0.1.
        restarts: Starts beside the centre: random points (pgd, 2 by default); the side of the ball opposite to the
            slope, then random points, for ascents whose gain shows a rugged loss (fast, 1 by default, 4 on probes below
            512 samples). More find higher maxima late in training, at their price.
        seed: Random state of each pass over the batches, and of the restarts.
        accuracy_fn: ``accuracy_fn(outputs, targets)``: the batch's mean accuracy, for the accuracy's change beside the
            loss's.
        origin_loss: Stands in for ``L(θ)`` as the origin of rise and fall. The published code takes the epoch's running
            training loss, which is not ``L(θ)``; the default is the exact value.
        loss_floor: A number that the loss can not fall below: 0 for the usual losses. Where a layer's rise exceeds what
            the loss can fall by at all, the descent is not computed (fast). ``None`` if there is no such number.
        both_sides: Whether to solve both rise and fall of every layer, even where one is known to be the smaller
            (fast).
        replay: Whether to replay the activations before the perturbed layer (fast); results are the same up to
            rounding.
        distributed: Whether to share the layers out over the ranks of an initialised ``torch.distributed`` process
            group; every rank must call this with the same model and batches.
        progress: Whether to write a line a pass to standard error.

    Returns:
        One :class:`Sal`, or a tuple of them in the order of ``eps``.

    Raises:
        ValueError: If an argument is out of range, the model has no such layers, or the batches are empty, not
            re-iterable or change between passes.
    """
    sizes = tuple(float(size) for size in ([eps] if isinstance(eps, int | float) else eps))
    _check(sizes, steps, solver, norm, radius, tol, atol, lr, restarts, origin_loss)
    settings = Settings(
        steps, tol, atol, lr, restarts, seed, loss_floor, both_sides, _to_stderr if progress else _silent
    )
    model = _unwrapped(model)
    chosen = select_layers(model, layers)
    with borrowed(model):
        engine = Replay(model, chosen)
        with engine.installed():
            probe = Probe(model, loss_fn, batches, accuracy_fn=accuracy_fn, seed=seed, replay=engine)
            probe.prepare(replaying=replay and solver not in ("reference", "pgd"))
            settings = replace(settings, loss_floor=probe.checked_floor(loss_floor))
            origin, gradients = probe.origin(chosen)
            problems = [
                [
                    Problem(layer, Ball(norm, _radius(layer, size, norm, radius)), replace(origin, gradient=gradient))
                    for layer, gradient in zip(chosen, gradients, strict=True)
                ]
                for size in sizes
            ]
            everything = list(itertools.chain.from_iterable(problems))
            if distributed and shares():
                solve_shared(SOLVERS[solver], probe, everything, settings)
            else:
                SOLVERS[solver](probe, everything, settings)
    results = tuple(
        _result(row, size, steps, solver, probe, origin, origin_loss) for row, size in zip(problems, sizes, strict=True)
    )
    bad = {problem.layer.name: None for problem in everything if not problem.finite}
    if bad:
        warnings.warn(
            f"SAL is NaN for {', '.join(bad)}: a loss or gradient was not finite within the ball. UD leaves such entries out "
            "and counts them.",
            stacklevel=2,
        )
    return results[0] if isinstance(eps, int | float) else results


def _check(
    sizes: Sequence[float],
    steps: int,
    solver: str,
    norm: str,
    radius: str,
    tol: float,
    atol: float,
    lr: float,
    restarts: int | None,
    origin_loss: float | None,
) -> None:
    if not sizes or any(not (math.isfinite(size) and size >= 0) for size in sizes):
        raise ValueError(f"`eps` must be a finite, non-negative number, or several; got {sizes}.")
    for name, value, known in (("solver", solver, SOLVERS), ("norm", norm, NORMS), ("radius", radius, RADII)):
        if value not in known:
            raise ValueError(f"`{name}` must be one of {', '.join(known)}; got {value!r}.")
    for name, count, least in (("steps", steps, 1), ("restarts", restarts or 0, 0)):
        if isinstance(count, bool) or not isinstance(count, int) or count < least:
            raise ValueError(f"`{name}` must be an integer of at least {least}; got {count!r}.")
    if not 0 <= tol < 1:
        raise ValueError(f"`tol` must lie in [0, 1), a part of the gain; got {tol}.")
    if not (math.isfinite(atol) and atol >= 0):
        raise ValueError(f"`atol` must be a finite, non-negative number, a change of the loss; got {atol}.")
    if not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"`lr` must be a finite, positive number; got {lr}.")
    if origin_loss is not None and not math.isfinite(origin_loss):
        raise ValueError(f"`origin_loss` must be a finite number or None; got {origin_loss}.")


def _unwrapped(model: nn.Module) -> nn.Module:
    """The module itself: wrappers would synchronise ranks, or run compiled code that can not be looked into."""
    while isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel) or hasattr(model, "_orig_mod"):
        model = model._orig_mod if hasattr(model, "_orig_mod") else model.module  # type: ignore[assignment]
    return model


def _radius(layer: Layer, size: float, norm: str, radius: str) -> float:
    return size if radius == "absolute" else size * vector_norm(layer.vector(), norm)


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
