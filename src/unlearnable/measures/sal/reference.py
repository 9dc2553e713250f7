"""The reference solver: the published procedure."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from unlearnable.measures.sal.solver import Problem, Settings
from unlearnable.probing.probe import Point, Probe


def solve_reference(probe: Probe, problems: Sequence[Problem], settings: Settings) -> None:
    """The published procedure of `How Far Are We from True Unlearnability? <https://arxiv.org/abs/2509.08058>`_.

    For each layer one copy descends and one ascends. A step is a full pass over the batches, in which every batch gives
    one SGD step (no momentum, no weight decay) on that layer alone, with the model in eval mode; after the pass the
    layer is projected onto its ball, and the loss over the batches is measured. Batches are taken in the order in which
    they are given, the last one as it is.
    """
    for number, problem in enumerate(problems):
        settings.report(f"SAL: layer {number + 1} of {len(problems)}")
        for sign in (-1, +1):
            if not problem.trivial:
                _run(probe, problem, sign, settings)


def _run(probe: Probe, problem: Problem, sign: int, settings: Settings) -> None:
    layer, ball = problem.layer, problem.ball
    origin = layer.vector()
    shift = torch.zeros_like(origin)
    for _ in range(settings.steps):
        weights = origin + shift
        for inputs, targets, _size in probe.passes(reseed=False):
            with layer.at(weights):
                gradient = probe.batch_gradient(layer, inputs, targets)
            weights = weights.add(gradient, alpha=sign * settings.lr)
        problem.corrections += 1
        probe.charge_pass(layer)
        shift = ball.project(weights - origin)
        (reading,) = probe.evaluate([Point(layer, shift, gradient=False)])
        problem.see(reading)
        if not problem.finite:
            return
