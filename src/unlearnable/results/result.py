"""`result.json`: what one job found, with keys that stay the same across versions."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from unlearnable.distances import (
    UndefinedDistanceError,
    all_distances,
    convergence_epoch,
    count_log_report,
    distance_report,
    equal_loss,
    geometric_report,
)
from unlearnable.files import finite
from unlearnable.identity import plain
from unlearnable.results.performance import Priors, multi_task_figures, task_performance
from unlearnable.results.run import CONFLICT, SAL, MadePoison, MeasuredRun

if TYPE_CHECKING:
    from omegaconf import DictConfig

log = logging.getLogger(__name__)

_Report = TypeVar("_Report")

_PACKAGES = ("unlearnable", "torch", "torchvision", "lightning", "numpy", "scikit-learn", "hydra-core", "wandb")


def make_result(
    config: DictConfig,
    poison: MadePoison,
    run: MeasuredRun,
    reference: MeasuredRun | None,
    *,
    seconds: float,
    priors: Priors | None = None,
    noise: Mapping[str, Any] | None = None,
    preview: Path | None = None,
) -> dict[str, Any]:
    """The result of a job as JSON values; what is not a number is null.

    Args:
        config: The composed configuration.
        poison: Of the poisoned samples: seconds, whether they were reused, key.
        run: The run on them.
        reference: The clean run of the same protocol and seed; None if the data are clean, and `run` its own reference.
        seconds: The job's wall clock.
        priors: What needs no input is worth on the test set; None if that is not known.
        noise: What the poison changed, in numbers.
        preview: A picture (or a text) of it in the job's folder.

    Raises:
        ValueError: if the two runs have no measured epoch in common.
    """
    clean = reference or run
    epochs = _common_epochs(SAL, run, clean)
    if not epochs:
        raise ValueError(
            f"SAL was measured after epochs {run.sal_epochs} of this run and {clean.sal_epochs} of its clean reference: there "
            "is none to compare. Train longer, or measure more often (sal.every_n_epochs)."
        )
    tasks = {task: _task_result(task, run, clean, epochs, priors or {}) for task in run.tasks_of(SAL)}
    (first, *others) = tasks.values()
    accuracies = [epoch.metrics.get("test/acc") for epoch in run.epochs]
    return finite(
        {
            **{group: config.choices[group] for group in ("poison", "dataset", "model", "task", "defense")},
            "seed": config.seed,
            "eps": config.eps,
            "steps": config.steps,
            "solver": run.series(SAL, next(iter(tasks)))[-1].details["solver"],
            "is_clean": reference is None,
            "keys": _keys(poison, run, clean),
            **({"tasks": tasks} if others else first),
            **multi_task_figures(tasks, run, clean),
            "train_acc": run.epochs[-1].metrics.get("train/acc"),
            "test_acc": accuracies[-1],
            "test_acc_peak": max((accuracy for accuracy in accuracies if accuracy is not None), default=None),
            "clean_test_acc": clean.epochs[-1].metrics.get("test/acc"),
            "epochs": [dict(epoch.metrics) for epoch in run.epochs],
            "sal_epochs": epochs,
            "epochs_not_compared": sorted({*run.sal_epochs, *clean.sal_epochs} - {*epochs}),
            "noise": dict(noise or {}),
            "preview": None if preview is None else preview.name,
            "seconds": {"poison": poison.seconds, **run.seconds, "total": seconds},
            "reused": ["poison"] * poison.reused + list(run.reused),
            "config": plain(config),
            "versions": _versions(),
        }
    )


def _task_result(
    task: str, run: MeasuredRun, clean: MeasuredRun, epochs: Sequence[int], priors: Priors
) -> dict[str, Any]:
    """All figures of one task."""
    distances, performance = _distances(task, run, clean, epochs), task_performance(task, run, clean, priors)
    for name, why in performance.get("undefined", {}).items():
        log.warning("%s of %s is undefined: %s", name, task, why)
    return {
        **distances,
        **performance,
        "undefined": {**distances["undefined"], **performance.get("undefined", {})},
        "measures": _other_measures(task, run, clean),
    }


def _distances(task: str, run: MeasuredRun, clean: MeasuredRun, epochs: Sequence[int]) -> dict[str, Any]:
    """What SAL says of one task: SAL, β, learnable layers, UD with its parts and the other distances.

    A distance that has no value for these SALs is null; `undefined` says why, and nothing else is lost.
    """
    series, clean_series = run.series(SAL, task, epochs), clean.series(SAL, task, epochs)
    weights = np.asarray(series[-1].details["weights"], dtype=np.int64)
    own, reference = run.values(SAL, task, epochs), clean.values(SAL, task, epochs)
    losses, clean_losses = (
        np.array([one.details.get("loss") for one in found], dtype=np.float64) for found in (series, clean_series)
    )
    accuracies = [clean.epochs[epoch - 1].metrics.get("test/acc") for epoch in epochs]
    known = [accuracy for accuracy in accuracies if accuracy is not None]
    more: dict[str, Any] = {
        "weights": weights,
        "converged_epoch": convergence_epoch(known) if len(known) == len(accuracies) else None,
    }
    undefined: dict[str, str] = {}

    def defined(name: str, report: Callable[[], _Report]) -> _Report | None:
        try:
            return report()
        except UndefinedDistanceError as error:
            undefined[name] = str(error)
            log.warning("%s of %s is undefined: %s", name, task, error)
            return None

    count = defined("ud", lambda: distance_report(own, reference, **more))
    geometric = defined("geometric", lambda: geometric_report(own, reference, **more))
    count_log = defined("count_log", lambda: count_log_report(own, reference))
    return {
        "layers": list(series[-1].names),
        "sal": own.tolist(),
        "clean_sal": reference.tolist(),
        "loss": losses.tolist(),
        "clean_loss": clean_losses.tolist(),
        "parameters": weights.tolist(),
        "beta": count and count.beta,
        "learnable_layers": count.poisoned_counts.tolist() if count else [None] * len(epochs),
        "clean_learnable_layers": count.clean_counts.tolist() if count else [None] * len(epochs),
        "ud": count and count.value,
        "ud_per_epoch": count.per_epoch.tolist() if count else [None] * len(epochs),
        "ud_parameter_weighted": count and count.weighted,
        "ud_until_convergence": count and count.until_convergence,
        "distances": all_distances(own, reference, losses=losses, clean_losses=clean_losses, **more),
        "geometric": geometric and geometric.to_dict(),
        "count_log": count_log and count_log.to_dict(),
        "equal_loss": equal_loss(own, reference, losses, clean_losses).to_dict(),
        "undefined": undefined,
        "left_out": int((~np.isfinite(own)).sum() + (~np.isfinite(reference)).sum()),
    }


def _other_measures(task: str, run: MeasuredRun, clean: MeasuredRun) -> dict[str, Any]:
    """Measure → layers, epochs and values `[epochs][layers]` of both runs, for all that were measured beside SAL."""
    found = {}
    for name in run.measured:
        epochs = _common_epochs(name, run, clean)
        if name in (SAL, CONFLICT) or not epochs or task not in run.tasks_of(name):
            continue
        found[name] = {
            "layers": list(run.series(name, task, epochs)[-1].names),
            "epochs": epochs,
            "values": run.values(name, task, epochs).tolist(),
            "clean_values": clean.values(name, task, epochs).tolist(),
        }
    return found


def _common_epochs(measure: str, run: MeasuredRun, clean: MeasuredRun) -> list[int]:
    """A run that was stopped early is compared over the epochs that both have."""
    return sorted({*run.epochs_of(measure)} & {*clean.epochs_of(measure)})


def _keys(poison: MadePoison, run: MeasuredRun, clean: MeasuredRun) -> dict[str, Any]:
    """Digests of all that each part depends on: equal digests mean equal parts."""
    return {"poison": poison.key, **run.keys, "reference": dict(clean.keys)}


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
