"""Shares the layers of one measurement out over the ranks of a process group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch.distributed as dist

from unlearnable.measures.sal.solvers import Problem, Solver
from unlearnable.probing.probe import Probe

_ANSWER = ("high", "low", "accuracy_high", "accuracy_low", "finite", "settled", "corrections")


def shares() -> bool:
    """Whether there is a process group of more than one rank."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def solve_shared(
    solver: Solver, probe: Probe, problems: Sequence[Problem], *, steps: int, report: Callable[[str], None]
) -> None:
    """Every rank solves a part of ``problems``, then all of them hold all answers.

    Layers go to the ranks by their cost, the dearest first, each to the rank with the least so far. An exception on one
    rank is raised on all of them, so that none waits for ever.

    Raises:
        RuntimeError: If another rank failed.
    """
    rank, mine = dist.get_rank(), _assigned(probe, problems, dist.get_world_size())[dist.get_rank()]
    before, failure = probe.forwards, None
    try:
        solver.solve(probe, [problems[index] for index in mine], steps=steps, report=report)
    except Exception as error:
        failure = error
    answers = {index: [getattr(problems[index], name) for name in _ANSWER] for index in mine}
    gathered: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, (repr(failure) if failure else None, probe.forwards - before, answers))
    if failure is not None:
        raise failure
    failed = {other: error for other, (error, _, _) in enumerate(gathered) if error is not None}
    if failed:
        raise RuntimeError(f"Measuring SAL failed on other ranks, so rank {rank} cannot gather it: {failed}.")
    probe.forwards = before + sum(forwards for _, forwards, _ in gathered)
    for _, _, answer in gathered:
        for index, values in answer.items():
            for name, value in zip(_ANSWER, values, strict=True):
                setattr(problems[index], name, value)


def _assigned(probe: Probe, problems: Sequence[Problem], ranks: int) -> list[list[int]]:
    """Indices of the problems for each rank."""
    cost = [probe.replay.share_after(problem.layer) if probe.replay is not None else 1.0 for problem in problems]
    loads, assigned = [0.0] * ranks, [[] for _ in range(ranks)]  # type: list[float], list[list[int]]
    for index in sorted(range(len(problems)), key=lambda i: -cost[i]):
        rank = loads.index(min(loads))
        loads[rank] += cost[index]
        assigned[rank].append(index)
    return [sorted(indices) for indices in assigned]
