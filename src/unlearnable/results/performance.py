"""What a multi-task job adds to `result.json`: each task by its own metric, Δ_m, the conflict matrices and their pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unlearnable.measures.conflict import sal_conflict
from unlearnable.report.conflict import draw_conflict
from unlearnable.results.relative import delta_m, relative_performance

if TYPE_CHECKING:
    from unlearnable.stages import MeasuredRun

#: The heat maps' file in the job's folder.
HEAT_MAPS = "conflict.png"


def task_performance(task: str, run: MeasuredRun, clean: MeasuredRun) -> dict[str, Any]:
    """A task's test metric after the last epoch, poisoned and clean, and its relative performance in per cent.

    Empty for what has no metric of its own, such as the joint loss.
    """
    metric = run.metrics.get(task)
    if metric is None:
        return {}
    key = _key(task, metric.name, run)
    value, reference = (one.epochs[-1].metrics.get(key, float("nan")) for one in (run, clean))
    series = [epoch.metrics.get(key, float("nan")) for epoch in run.epochs]
    finite = [entry for entry in series if np.isfinite(entry)]
    best = max if metric.higher_is_better else min
    prefix = key.removesuffix(metric.name)
    return {
        "metric": metric.name,
        "higher_is_better": metric.higher_is_better,
        "test_metric": value,
        "test_metric_peak": best(finite) if finite else None,
        "clean_test_metric": reference,
        "relative": relative_performance(value, reference, higher_is_better=metric.higher_is_better),
        "test": {
            name.removeprefix(prefix): entry
            for name, entry in run.epochs[-1].metrics.items()
            if name.startswith(prefix)
        },
    }


def multi_task_figures(tasks: Mapping[str, Mapping[str, Any]], run: MeasuredRun, clean: MeasuredRun) -> dict[str, Any]:
    """Δ_m over the tasks and the conflict matrices `[epochs measured][tasks][tasks]`; empty for one task."""
    if not run.conflict.history:
        return {}
    return {
        "delta_m": delta_m(figures["relative"] for figures in tasks.values() if "relative" in figures),
        "conflict": _conflict(run),
        "clean_conflict": _conflict(clean),
    }


def draw_heat_maps(result: Mapping[str, Any], folder: Path) -> Path | None:
    """Draws the last epoch's conflict matrices into the job's folder; None for a job without."""
    if "conflict" not in result:
        return None
    matrices = {
        f"{title}, {kind}": np.array(result[key][kind][-1], dtype=np.float64)
        for title, key in ((result["poison"], "conflict"), ("clean reference", "clean_conflict"))
        for kind in ("sal", "gradient")
        if title != "clean"  # a clean job is its own reference
    }
    path = folder / HEAT_MAPS
    title = f"Conflict between tasks, epoch {result['conflict']['epochs'][-1]}: −1 opposed, 1 agreed"
    draw_conflict(path, result["conflict"]["tasks"], matrices, title=title)
    return path


def _conflict(run: MeasuredRun) -> dict[str, Any]:
    tasks = run.conflict.tasks
    return {
        "tasks": list(tasks),
        "epochs": list(run.sal_epochs),
        "sal": [
            sal_conflict({task: run.sal[task][place] for task in tasks}).tolist()
            for place in range(len(run.sal_epochs))
        ],
        "gradient": [run.conflict.history[epoch].tolist() for epoch in run.sal_epochs],
    }


def _key(task: str, metric: str, run: MeasuredRun) -> str:
    """Where the module logged the metric: with one task the task's name is left out."""
    return f"test/{metric}" if len(run.sal) == 1 else f"test/{task}/{metric}"
