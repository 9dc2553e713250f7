"""The main job: data → poison → clean reference → model, trained and measured → result.

`run` reads top to bottom; what its stages keep in the store, and under which keys, is in `stages.py`.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from unlearnable import checks
from unlearnable.files import write_atomically
from unlearnable.loggers.base import JobInfo, JobLogger
from unlearnable.poisons.exporting import check_export, export
from unlearnable.results.noise import PREVIEW, noise_figures
from unlearnable.results.performance import draw_heat_maps
from unlearnable.results.result import RESULT, make_result
from unlearnable.stages import Stages, arguments_of, plain
from unlearnable.store import Store
from unlearnable.training import stopwatch

if TYPE_CHECKING:
    from unlearnable.data import ImageDataModule
    from unlearnable.poisons.base import Method

log = logging.getLogger(__name__)

#: Where `poison.export` writes, in the job's folder.
EXPORT = "poisoned"


def run(config: DictConfig, *, folder: Path, group: str = "", tags: Sequence[str] = ()) -> dict[str, Any]:
    """Runs one job and writes `result.json` to its folder.

    Args:
        config: The composed configuration.
        folder: The job's own folder.
        group: The sweep it belongs to; by default it is its own.
        tags: The overrides that were chosen.

    Returns:
        What `result.json` holds.

    Raises:
        ValueError, FileNotFoundError, …: on bad input, before anything is trained or stored.
    """
    seconds = stopwatch()
    checks.check_values(config)
    device = checks.check_trainer(config)
    poison = load_poison(config)
    clean_data = load_data(config)
    checks.check_data(config, clean_data)
    if config.poison.export is not None:
        shutil.rmtree(folder / EXPORT, ignore_errors=True)  # what an earlier try of this job left
        check_export(config.poison.export, folder / EXPORT)
    stages = Stages(config, Store(config.store.dir, reuse=config.store.reuse, max_gb=config.store.max_gb), device)
    checks.check_sal(config, stages.make_module(clean_data), clean_data)

    poisoned = stages.poison(poison, clean_data)
    data = clean_data.poisoned(poisoned.images)
    if config.poison.export is not None:
        _export(config, clean_data, data, folder / EXPORT)
    is_clean = data.train.fingerprint == clean_data.train.fingerprint
    info = JobInfo(
        folder=folder,
        name=f"{config.choices.poison}-{config.choices.dataset}-eps{config.eps}-seed{config.seed}",
        group=group or folder.name,
        job_type="clean" if is_clean else "poisoned",
        tags=tags,
        config=plain(config),
    )
    with _logger(config, info) as logger:
        reference = None if is_clean else stages.measured_run(clean_data, f"clean reference, seed {config.seed}")
        measured = stages.measured_run(data, config.choices.poison, reference=reference, logger=logger)
        result = make_result(config, poisoned, measured, reference or measured, seconds())
        result |= noise_figures(clean_data.train, data.train, folder)
        if not is_clean:
            logger.image("preview", folder / PREVIEW)
        if (heat_maps := draw_heat_maps(result, folder)) is not None:
            logger.image("conflict", heat_maps)
        write_atomically(folder / RESULT, json.dumps(result, indent=1))
        logger.result(result, folder, None if is_clean else poisoned.path)
    return result


def load_data(config: DictConfig) -> ImageDataModule:
    """The clean data, loaded; what its configuration says to poisons and other groups is left out."""
    source = {key: value for key, value in config.dataset.items() if key not in ("budget", "surrogate", "protocol")}
    data: ImageDataModule = instantiate(source, seed=config.seed, defense=instantiate(config.defense))
    data.setup()
    return data


def load_poison(config: DictConfig) -> Method:
    """The poison's method with its arguments."""
    method: Method = instantiate(arguments_of(config.poison))
    return method


def _export(config: DictConfig, clean: ImageDataModule, poisoned: ImageDataModule, folder: Path) -> None:
    """Writes the images that are trained on, for others to use."""
    export(
        clean.train.images,
        poisoned.train.images,
        clean.train.labels,
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
