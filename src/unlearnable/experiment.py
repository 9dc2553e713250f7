"""The main job: data → poison → clean reference → model, trained and measured → result.

`run` reads top to bottom; what its stages keep in the store, and under which keys, is in `stages.py`.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig

from unlearnable import checks
from unlearnable.callbacks.distances import log_afterwards
from unlearnable.data.module import DataModule
from unlearnable.files import write_atomically
from unlearnable.identity import plain
from unlearnable.leases import TakenError
from unlearnable.logged import CONFLICT, PREVIEW
from unlearnable.loggers.base import JobInfo, JobLogger
from unlearnable.poisons.base import Poison
from unlearnable.poisons.exporting import check_export, export
from unlearnable.report.pictures import draw_conflict
from unlearnable.results.records import RESULT
from unlearnable.results.result import make_result
from unlearnable.results.run import MeasuredRun
from unlearnable.runs import join as join_training
from unlearnable.runs import measured_run, train
from unlearnable.stages import Stages, arguments_of
from unlearnable.store import Store
from unlearnable.training import stopwatch

log = logging.getLogger(__name__)

#: Where `poison.export` writes, in the job's folder.
EXPORT = "poisoned"
#: What a data set's configuration holds for poisons and other groups, not for the data set itself.
_ASKED_OF_OTHERS = ("budget", "surrogate", "protocol")


def run(config: DictConfig, *, folder: Path, group: str = "", tags: Sequence[str] = ()) -> dict[str, Any] | None:
    """Runs one job, or a stage of it, and writes `result.json` to its folder.

    Args:
        config: The composed configuration.
        folder: The job's own folder.
        group: The sweep it belongs to; empty for a single job.
        tags: The overrides that were chosen.

    Returns:
        What `result.json` holds; None after a stage that has no result yet.

    Raises:
        ValueError, FileNotFoundError, …: on bad input, before anything is trained or stored.
    """
    seconds = stopwatch()
    checks.check_values(config)
    reports = config.stage == "report"
    device = checks.device_of(config) if reports else checks.check_trainer(config)
    poison, clean = load_poison(config), load_data(config)
    if config.poison.export is not None:
        shutil.rmtree(folder / EXPORT, ignore_errors=True)  # what an earlier try of this job left
        check_export(config.poison.export, folder / EXPORT, clean.train)
    store = Store(config.store.dir, reuse=config.store.reuse, max_gb=config.store.max_gb, makes=not reports)
    stages = Stages(config, store, device)
    if not reports:
        stages.check_methods(poison, clean)
        checks.check_model(stages, clean)
    store.check_writable()

    poisoned = stages.poison(poison, clean)
    data = clean.poisoned(poisoned.samples)
    if config.poison.export is not None:
        _export(config, clean, data, folder / EXPORT)
    if config.stage == "poison":
        return None
    is_clean = data.train.fingerprint == clean.train.fingerprint
    if config.stage == "train":
        _train(stages, clean, data, is_clean=is_clean)
        return None
    priors = stages.priors(clean)
    info = JobInfo(
        folder=folder,
        name=f"{config.choices.poison}-{config.choices.dataset}-eps{config.eps}-seed{config.seed}",
        group=group or folder.name,
        job_type="clean" if is_clean else "poisoned",
        tags=tags,
        config=plain(config),
    )
    with _logger(config, info) as logger:
        own, reference = _measure(stages, clean, data, is_clean=is_clean, loggers=logger.loggers)
        if config.stage == "measure":
            return None
        noise = data.modality.describe(clean.train, data.train)
        preview = None if is_clean else data.modality.preview(clean.train, data.train, folder)
        result = make_result(
            config, poisoned, own, reference, seconds=seconds(), priors=priors, noise=noise, preview=preview
        )
        write_atomically(folder / RESULT, json.dumps(result, indent=1))
        for key, picture in ((PREVIEW, preview), (CONFLICT, draw_conflict(result, folder))):
            if picture is not None:
                logger.image(key, picture)
        logger.result(result, folder, poisoned.entry.path if poisoned.entry else None)
    return result


def _train(stages: Stages, clean: DataModule, data: DataModule, *, is_clean: bool) -> None:
    """Trains the clean reference, unless another process is at it, and the own run."""
    if not is_clean:
        with suppress(TakenError):
            train(stages, clean, _reference(stages), wait=False)
    train(stages, data, stages.config.choices.poison, callbacks=True)


def _measure(
    stages: Stages, clean: DataModule, data: DataModule, *, is_clean: bool, loggers: Sequence[Logger]
) -> tuple[MeasuredRun, MeasuredRun | None]:
    """The own run and its clean reference, None for a clean run.

    While another process makes the reference, the own run is made first, so that no device idles; its distances are then
    logged afterwards.
    """
    reference = None
    if not is_clean:
        with suppress(TakenError):
            reference = measured_run(stages, clean, _reference(stages), wait=False)
    own = measured_run(
        stages,
        data,
        stages.config.choices.poison,
        reference=reference,
        is_clean=is_clean,
        loggers=loggers,
        callbacks=True,
    )
    if not is_clean and reference is None:
        reference = measured_run(stages, clean, _reference(stages))
        log_afterwards(loggers, own.sal, reference.sal)
    return own, reference


def join(config: DictConfig, task: Mapping[str, Any], *, ready: Callable[[], None]) -> None:
    """Takes part in one training of a job, as one of its other ranks: what `app.rank` runs.

    Args:
        config: The job's configuration.
        task: See `runs.join`.
        ready: Called when the training can begin.
    """
    stages = Stages(config, Store(config.store.dir, makes=False), checks.check_trainer(config))
    clean = load_data(config)
    poisoned = clean.poisoned(stages.poison(load_poison(config), clean).samples)
    join_training(stages, [poisoned, clean], task, ready=ready)


def _reference(stages: Stages) -> str:
    return f"clean reference, seed {stages.config.seed}"


def load_data(config: DictConfig) -> DataModule:
    """The clean data, loaded, for the task; what their configuration holds for other groups is left out."""
    source = {key: value for key, value in config.dataset.items() if key not in _ASKED_OF_OTHERS}
    data: DataModule = instantiate(source, seed=config.seed)
    data.setup()
    predicts = config.task.get("predicts")
    return data if predicts is None else data.predicting(predicts)


def load_poison(config: DictConfig) -> Poison:
    """The poison with its arguments."""
    poison: Poison = instantiate(arguments_of(config.poison))
    return poison


def _export(config: DictConfig, clean: DataModule, poisoned: DataModule, folder: Path) -> None:
    """Writes the samples that are trained on, for others to use."""
    export(
        clean.train,
        poisoned.train,
        folder,
        export_format=config.poison.export,
        method=config.choices.poison,
        arguments=arguments_of(config.poison),
        dataset=config.choices.dataset,
        seed=config.seed,
        class_names=clean.class_names or None,
    )
    log.info("exported to %s", folder)


@contextmanager
def _logger(config: DictConfig, info: JobInfo) -> Iterator[JobLogger]:
    """The job's logger, finished with 0, or with 1 if the job fails."""
    logger: JobLogger = instantiate(config.logger, _partial_=True)(info)
    try:
        yield logger
    except BaseException:
        logger.finish(1)
        raise
    logger.finish(0)
