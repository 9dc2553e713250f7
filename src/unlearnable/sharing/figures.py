"""What follows from a record's runs: distances with their verdicts, metrics, skill. Nothing here is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

import numpy as np

from unlearnable.distances import all_spreads, distance_spread
from unlearnable.files import finite
from unlearnable.results.records import array
from unlearnable.results.skill import Skill, skill
from unlearnable.sharing.schema import Counted, Interval, Mean, SeedRun, TaskFigures, TaskRun


def task_figures(task: str, runs: Sequence[SeedRun], clean: Sequence[SeedRun], **known: Any) -> TaskFigures:
    """What follows from the runs for one task.

    Args:
        task: Its name.
        runs: On the poisoned data.
        clean: On the clean data.
        **known: What does not follow: `metric`, `higher_is_better`, `prior`, `layers`, `parameters`.

    Raises:
        ValueError: if the runs do not fit each other.
    """
    own, reference = _of(task, runs), _of(task, clean)
    scores, clean_scores = _scores(own), _scores(reference)
    found = Skill()
    if known["prior"] is not None and scores and clean_scores:
        way = {name: known[name] for name in ("metric", "higher_is_better")}
        found = skill(scores, clean_scores, known["prior"], **way)
    return TaskFigures(
        **known,
        ud=_ud_of(own, reference),
        distances=_distances_of(own, reference, known["parameters"]),
        score=_mean_of(scores),
        clean_score=_mean_of(clean_scores),
        skill=_mean_of(found.values),
    )


def _of(task: str, runs: Sequence[SeedRun]) -> dict[int, TaskRun]:
    return {run.seed: run.tasks[task] for run in runs}


def _distances_of(
    runs: Mapping[int, TaskRun], clean: Mapping[int, TaskRun], parameters: Sequence[int]
) -> dict[str, Interval]:
    """Every distance with its interval and verdict."""
    more: dict[str, Any] = {"weights": parameters}
    if all(run.loss is not None for run in (*runs.values(), *clean.values())):
        more |= {"losses": _losses_of(runs), "clean_losses": _losses_of(clean)}
    spreads = all_spreads(_sal_of(runs), _sal_of(clean), **more)
    return {
        name: Interval(**finite({field: getattr(spread, field) for field in Interval.model_fields}))
        for name, spread in spreads.items()
    }


def _ud_of(runs: Mapping[int, TaskRun], clean: Mapping[int, TaskRun]) -> Counted | None:
    """The paper's UD over the seeds, with its verdict; None if it is not defined for these runs."""
    try:
        spread = distance_spread(_sal_of(runs), _sal_of(clean))
    except ValueError:
        return None
    return Counted(**finite({field: getattr(spread, field) for field in Counted.model_fields}))


def sal_of(task: str, runs: Sequence[SeedRun]) -> dict[int, np.ndarray]:
    """Seed → SAL of a task, `[epochs, layers]`."""
    return _sal_of(_of(task, runs))


def _sal_of(runs: Mapping[int, TaskRun]) -> dict[int, np.ndarray]:
    return {seed: array(run.sal) for seed, run in runs.items()}


def _losses_of(runs: Mapping[int, TaskRun]) -> dict[int, np.ndarray]:
    """Seed → losses, `[epochs]`, of runs that have them."""
    return {seed: array([run.loss or []])[0] for seed, run in runs.items()}


def _scores(runs: Mapping[int, TaskRun]) -> list[float]:
    return [run.score for run in runs.values() if run.score is not None]


def _mean_of(known: Sequence[float]) -> Mean:
    return Mean(mean=mean(known) if known else None, std=stdev(known) if len(known) > 1 else None)
