"""What a multi-task job adds to `result.json`: each task by its own metric, Δ_m and the conflict matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from unlearnable.measures.conflict import sal_conflict
from unlearnable.results.relative import delta_m, relative_performance
from unlearnable.results.run import CONFLICT, SAL, MeasuredRun
from unlearnable.results.skill import best_prior, skill

#: Task → prior → metric → its value on the test set.
Priors = Mapping[str, Mapping[str, Mapping[str, float]]]


def task_performance(task: str, run: MeasuredRun, clean: MeasuredRun, priors: Priors) -> dict[str, Any]:
    """A task's test metric after the last epoch, poisoned and clean, its relative performance in per cent, its skill.

    Empty for what has no metric of its own, such as the joint loss.
    """
    if task not in run.tasks:
        return {}
    metric = run.tasks[task].metric
    # With one task the module leaves the task's name out.
    prefix = "test/" if len(run.tasks_of(SAL)) == 1 else f"test/{task}/"
    series = [epoch.metrics.get(prefix + metric.name, float("nan")) for epoch in run.epochs]
    value, reference = series[-1], clean.epochs[-1].metrics.get(prefix + metric.name, float("nan"))
    finite = [entry for entry in series if np.isfinite(entry)]
    best = max if metric.higher_is_better else min
    last = run.epochs[-1].metrics
    way: Any = {"higher_is_better": metric.higher_is_better}
    by, prior = best_prior(priors.get(task, {}), metric.name, **way)
    found = skill([value], [reference], prior, metric=metric.name, **way)
    return {
        "metric": metric.name,
        "higher_is_better": metric.higher_is_better,
        "test_metric": value,
        "test_metric_peak": best(finite) if finite else None,
        "clean_test_metric": reference,
        "relative": relative_performance(value, reference, **way),
        "prior": prior,
        "prior_by": by,
        "priors": priors.get(task, {}),
        "skill": found.mean,
        "skill_verdict": found.verdict,
        "undefined": {"skill": found.undefined} if found.undefined else {},
        "test": {name.removeprefix(prefix): entry for name, entry in last.items() if name.startswith(prefix)},
    }


def multi_task_figures(tasks: Mapping[str, Mapping[str, Any]], run: MeasuredRun, clean: MeasuredRun) -> dict[str, Any]:
    """Δ_m over the tasks and the conflict matrices `[epochs measured][tasks][tasks]`; empty for one task."""
    if len(tasks) == 1:
        return {}
    found: dict[str, Any] = {
        "delta_m": delta_m(figures["relative"] for figures in tasks.values() if "relative" in figures)
    }
    for key, one in (("conflict", run), ("clean_conflict", clean)):
        if one.epochs_of(CONFLICT):
            found[key] = _conflict(one)
    return found


def _conflict(run: MeasuredRun) -> dict[str, Any]:
    """Cosine similarities between tasks at the epochs at which both their gradients and their SAL were measured."""
    tasks = run.tasks_of(CONFLICT)
    epochs = [epoch for epoch in run.epochs_of(CONFLICT) if epoch in run.measured[SAL]]
    return {
        "tasks": tasks,
        "epochs": epochs,
        "sal": [sal_conflict({task: run.measured[SAL][epoch][task] for task in tasks}).tolist() for epoch in epochs],
        "gradient": [[run.measured[CONFLICT][epoch][task].values.tolist() for task in tasks] for epoch in epochs],
    }
