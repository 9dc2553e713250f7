"""`result.json`: what one job found, with keys that stay the same across versions."""

from __future__ import annotations

import math
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from unlearnable.distances.count import convergence_epoch, distance_report
from unlearnable.results.performance import multi_task_figures, task_performance

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from unlearnable.stages import MeasuredRun, PoisonedImages

#: The file's name in the job's folder.
RESULT = "result.json"
_PACKAGES = ("unlearnable", "torch", "torchvision", "lightning", "numpy", "scikit-learn", "hydra-core", "wandb")


def make_result(
    config: DictConfig, poisoned: PoisonedImages, run: MeasuredRun, clean: MeasuredRun, seconds: float
) -> dict[str, Any]:
    """The result of a job as JSON values; what is not a number is null.

    Args:
        config: The composed configuration.
        poisoned: What was trained on.
        run: The run on it.
        clean: The clean run of the same protocol and seed; `run` itself if the data are clean.
        seconds: The job's wall clock.
    """
    from unlearnable.identity import plain

    tasks = {task: {**_task_figures(task, run, clean), **task_performance(task, run, clean)} for task in run.sal}
    (first, *others) = tasks.values()
    accuracies = [epoch.metrics.get("test/acc") for epoch in run.epochs]
    return _finite(
        {
            **{group: config.choices[group] for group in ("poison", "dataset", "model", "task", "defense")},
            "seed": config.seed,
            "eps": config.eps,
            "steps": config.steps,
            "solver": config.sal.solver,
            **({"tasks": tasks} if others else first),
            **multi_task_figures(tasks, run, clean),
            "train_acc": run.epochs[-1].metrics.get("train/acc"),
            "test_acc": accuracies[-1],
            "test_acc_peak": max((accuracy for accuracy in accuracies if accuracy is not None), default=None),
            "clean_test_acc": clean.epochs[-1].metrics.get("test/acc"),
            "epochs": [dict(epoch.metrics) for epoch in run.epochs],
            "sal_epochs": list(run.sal_epochs),
            "seconds": {"poison": poisoned.seconds, **run.seconds, "total": seconds},
            "reused": ["poison"] * poisoned.reused + list(run.reused),
            "config": plain(config),
            "versions": _versions(),
        }
    )


def _task_figures(task: str, run: MeasuredRun, clean: MeasuredRun) -> dict[str, Any]:
    """What SAL says of one task: SAL, β, learnable layers and UD with its parts."""
    last = run.sal[task][-1]
    weights = last.weights
    accuracies = [clean.epochs[epoch - 1].metrics.get("test/acc") for epoch in clean.sal_epochs]
    known = [accuracy for accuracy in accuracies if accuracy is not None]
    distance = distance_report(
        run.values[task],
        clean.values[task],
        weights=weights,
        converged_epoch=convergence_epoch(known) if len(known) == len(accuracies) else None,
    )
    return {
        "layers": list(last.names),
        "sal": run.values[task].tolist(),
        "clean_sal": clean.values[task].tolist(),
        "loss": [sal.loss for sal in run.sal[task]],
        "parameters": [int(weight) for weight in weights],
        "beta": distance.beta,
        "learnable_layers": distance.poisoned_counts.tolist(),
        "clean_learnable_layers": distance.clean_counts.tolist(),
        "ud": distance.value,
        "ud_per_epoch": distance.per_epoch.tolist(),
        "ud_parameter_weighted": distance.weighted,
        "ud_until_convergence": distance.until_convergence,
        "left_out": distance.left_out_poisoned + distance.left_out_clean,
    }


def _finite(value: Any) -> Any:
    """JSON has no NaN: null says that there is no number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
