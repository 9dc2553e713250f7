"""The stages of a job and the keys under which the store keeps what they make.

A poison depends on (method, its arguments, data, seed); a trajectory on (images, model, training, seed); a SAL
measurement on its trajectory and its settings, since SAL only observes. So a sweep over ε trains once.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from unlearnable import training
from unlearnable.callbacks import EpochLines, SharpnessAwareLearnability, TaskConflict, UnlearnableDistance
from unlearnable.callbacks.trajectory import Epoch, read_epochs
from unlearnable.data.samples import map_images, write_images
from unlearnable.identity import code_of, digest_of, plain
from unlearnable.loggers.base import JobLogger
from unlearnable.measures.sal import Sal
from unlearnable.store import Entry, Store, file_digest
from unlearnable.tasks.base import Metric

if TYPE_CHECKING:
    from lightning.pytorch import Callback, LightningModule, Trainer

    from unlearnable.data import ImageDataModule
    from unlearnable.poisons.base import Method

log = logging.getLogger(__name__)

#: Arguments of the Trainer that change nothing in the trained model.
_PRESENTATION = (
    "_target_",
    "accelerator",  # the kind of device it stands for is in the keys
    "enable_model_summary",
    "enable_progress_bar",
    "log_every_n_steps",
    "num_sanity_val_steps",
    "profiler",
)


@dataclass(frozen=True)
class PoisonedImages:
    """Images to train on, on the 8-bit grid.

    Attributes:
        images: `[n, c, h, w]`, 8 bits.
        seconds: What generating them took, now or when it was done.
        reused: Whether they were in the store already.
        path: Their file in the store; None if they are not kept.
    """

    images: torch.Tensor
    seconds: float
    reused: bool
    path: Path | None = None


@dataclass(frozen=True)
class MeasuredRun:
    """A model, trained and measured.

    Attributes:
        sal_epochs: The epochs after which SAL was measured, counted from 1.
        sal: Task → one SAL for each of `sal_epochs`.
        epochs: Metrics of every epoch.
        metrics: Task → the metric it is judged by.
        conflict: Epoch → cosine similarities of the tasks' gradients; empty for one task.
        seconds: What `train` and `sal` took, now or when it was done.
        reused: Which of `train` and `sal` were in the store already.
    """

    sal_epochs: Sequence[int]
    sal: Mapping[str, Sequence[Sal]]
    epochs: Sequence[Epoch]
    metrics: Mapping[str, Metric]
    conflict: TaskConflict
    seconds: Mapping[str, float]
    reused: Sequence[str]

    @property
    def values(self) -> dict[str, np.ndarray]:
        """Task → SAL values, `[epochs measured, layers]`."""
        return {task: np.stack([sal.values for sal in series]) for task, series in self.sal.items()}


class Stages:
    """Poisons, trains and measures by one configuration.

    Args:
        config: The composed configuration.
        store: Keeps what is made.
        device: Where poisons are made; training goes where the Trainer goes, which is the same.
    """

    def __init__(self, config: DictConfig, store: Store, device: torch.device) -> None:
        self.config, self.store, self.device = config, store, device

    def poison(self, poison: Method, data: ImageDataModule) -> PoisonedImages:
        """The poisoned training images: made, or taken from the store."""
        name = self.config.choices.poison
        method, labels, num_classes = _for_data(poison, data, self.config.poison.task)
        arguments = {
            "num_classes": num_classes,
            "seed": self.config.seed,
            "device": self.device,
            "progress": training.on_terminal(),
        }
        method.check(data.train.images, labels, num_classes)
        if not method.stored:
            seconds = training.stopwatch()
            images = method.apply(data.train.images, labels, **arguments)
            return PoisonedImages(images, seconds(), reused=False)
        key = {
            "poison": arguments_of(self.config.poison),
            "data": data.train.fingerprint,
            "task": self.config.poison.task,
            "tasks": repr(data.tasks) if poison.takes_tasks else None,
            "files": [file_digest(file) for file in method.files],
            "seed": self.config.seed,
            "device": self.device.type,
            "code": code_of(self.config.poison),
        }

        def make(folder: Path) -> None:
            log.info("%s: perturbing %d images", name, len(data.train))
            poisoned = method.apply(data.train.images, labels, work_dir=folder / "work", **arguments)
            write_images(folder / "images.u8", poisoned)
            shutil.rmtree(folder / "work", ignore_errors=True)

        entry = self.store.obtain("poison", key, make, waiting=_waiting(f"the perturbation of {name}"))
        images = map_images(entry / "images.u8", data.train.images.shape)
        return PoisonedImages(images, entry.seconds, entry.reused, entry / "images.u8")

    def measured_run(
        self,
        data: ImageDataModule,
        title: str,
        *,
        reference: MeasuredRun | None = None,
        logger: JobLogger | None = None,
    ) -> MeasuredRun:
        """Trains on `data` and measures SAL, or takes either from the store.

        Args:
            data: The (poisoned) data.
            title: What it is, for messages.
            reference: The clean run, for the UD that is logged; None for a clean run.
            logger: Sees every epoch, also of a stored run.
        """
        return _MeasuredRun(self, data, title, reference, logger).obtain()

    def make_trainer(self, **arguments: Any) -> Trainer:
        """Lightning's Trainer by the configuration; `arguments` go before it."""
        bars = {"enable_progress_bar": training.on_terminal(), "default_root_dir": str(self.store.root)}
        return instantiate(self.config.trainer, _partial_=True)(**{**bars, **arguments})

    def make_module(self, data: ImageDataModule) -> LightningModule:
        """A fresh model, its initialisation drawn from the seed alone."""
        model = self.config.model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            return instantiate(self.config.task)(
                instantiate(model.net),
                data.tasks,
                optimizer=instantiate(model.optimizer),
                scheduler=instantiate(model.scheduler),
            )

    def trajectory_key(self, data: ImageDataModule) -> dict[str, Any]:
        """What a trained model depends on."""
        trainer = {name: value for name, value in plain(self.config.trainer).items() if name not in _PRESENTATION}
        return {
            "train": data.train.fingerprint,
            "test": data.test.fingerprint,
            "protocol": data.protocol,
            "model": plain(self.config.model),
            "task": plain(self.config.task),
            "defense": plain(self.config.defense),
            "trainer": trainer,
            "seed": self.config.seed,
            "device": self.device.type,
            "code": code_of(
                self.config.dataset,
                self.config.model,
                self.config.task,
                self.config.defense,
                "unlearnable.training",
            ),
        }


@dataclass
class _MeasuredRun:
    """One run on its way through the store: SAL needs the trajectory, whose training can measure SAL as it goes."""

    stages: Stages
    data: ImageDataModule
    title: str
    reference: MeasuredRun | None
    logger: JobLogger | None
    shown: bool = False  # whether the callbacks and the logger have seen the epochs
    trajectory: Entry | None = None  # once it is known

    @cached_property
    def key(self) -> dict[str, Any]:
        return self.stages.trajectory_key(self.data)

    @cached_property
    def sal_key(self) -> dict[str, Any]:
        settings = plain(self.stages.config.sal)
        return {
            "trajectory": digest_of(self.key),
            "sal": settings,
            "code": code_of("unlearnable.callbacks.sal", "unlearnable.callbacks.conflict"),
        }

    def obtain(self) -> MeasuredRun:
        # The SAL entry's lock is taken before the trajectory's, never after: no two jobs can wait for each other.
        sal = self.stages.store.obtain("sal", self.sal_key, self._make_sal, waiting=_waiting(f"SAL of {self.title}"))
        trajectory = self._trajectory(sal.path)
        if self.logger is not None and self.logger.loggers and not self.shown:
            self._replay(trajectory, sal.path)
        history = SharpnessAwareLearnability(folder=sal.path)
        epochs = sorted(history.history)
        return MeasuredRun(
            sal_epochs=epochs,
            sal={task: [history.history[epoch][task] for epoch in epochs] for task in history.history[epochs[0]]},
            epochs=(metrics := read_epochs(trajectory.path)),
            metrics={name: task.metric for name, task in self.data.tasks.items()},
            conflict=(gradients := TaskConflict(history, folder=sal.path)),
            seconds={"train": sum(epoch.seconds for epoch in metrics), "sal": history.seconds + gradients.seconds},
            reused=["train"] * trajectory.reused + ["sal"] * sal.reused,
        )

    def _make_sal(self, folder: Path) -> None:
        trajectory = self._trajectory(folder)
        if not self.shown:
            log.info("%s: measuring SAL on the stored weights", self.title)
            self._replay(trajectory, folder)

    def _trajectory(self, sal_folder: Path) -> Entry:
        """The stored or trained trajectory, asked of the store once a run."""
        if self.trajectory is None:
            self.trajectory = self.stages.store.obtain(
                "trajectory",
                self.key,
                lambda folder: self._fit(folder, sal_folder),
                waiting=_waiting(f"the training of {self.title}"),
            )
        return self.trajectory

    def _fit(self, folder: Path, sal_folder: Path) -> None:
        log.info("%s: training on %d images", self.title, len(self.data.train))
        training.fit(folder=folder, seed=self.stages.config.seed, **self._watched(sal_folder))
        self.shown = True

    def _replay(self, trajectory: Entry, sal_folder: Path) -> None:
        epochs = len(read_epochs(trajectory.path))
        training.replay(folder=trajectory.path, epochs=epochs, **self._watched(sal_folder))
        self.shown = True

    def _watched(self, sal_folder: Path) -> dict[str, Any]:
        """What a live run and a replay have in common: a fresh model, its data, and who watches."""
        return {
            "module": self.stages.make_module(self.data),
            "data": self.data,
            "make_trainer": self.stages.make_trainer,
            "callbacks": self._callbacks(sal_folder),
            "loggers": self.logger.loggers if self.logger else [],
        }

    def _callbacks(self, sal_folder: Path) -> list[Callback]:
        config = self.stages.config
        clean = None if self.reference is None else self.reference.values
        sal = SharpnessAwareLearnability(**plain(config.sal), folder=sal_folder)
        return [
            sal,
            TaskConflict(sal, folder=sal_folder),
            UnlearnableDistance(clean=clean, epochs=config.trainer.max_epochs),
            *instantiate(config.callbacks).values(),
            EpochLines(self.title),
        ]


def arguments_of(poison: DictConfig) -> dict[str, Any]:
    """The method and its own arguments: without `task` and `export`, which say what is done with it."""
    return {key: value for key, value in plain(poison).items() if key not in ("task", "export")}


def _for_data(poison: Method, data: ImageDataModule, task: str | None) -> tuple[Method, torch.Tensor, int]:
    """The poison with the labels and the number of classes that it is made for: those of one class task.

    Methods that say `takes_tasks` are given all tasks with their targets, and then use labels for nothing but shares of
    classes; those that say `needs_classes = False` do without any.
    """
    if poison.takes_tasks:
        if isinstance(data.train.targets, torch.Tensor):
            raise ValueError("This poison is for data with several tasks, such as dataset=rooms; these have one.")
        poison = poison.for_targets(data.train.targets, data.tasks)  # type: ignore[attr-defined]
    classes = [name for name, entry in data.tasks.items() if entry.kind == "class"]
    if task is not None and task not in classes:
        raise ValueError(f"`poison.task` must be a class task, one of {classes} here, or null; got {task!r}.")
    if not classes:
        if poison.needs_classes and not poison.takes_tasks:
            raise ValueError(
                f"This poison is made against a classification, and the data have none: {', '.join(data.tasks)}. "
                "poison=em_multi does without."
            )
        return poison, torch.zeros(len(data.train), dtype=torch.int64), 1
    task = task or classes[0]
    targets = data.train.targets
    return poison, targets if isinstance(targets, torch.Tensor) else targets[task], data.tasks[task].channels


def _waiting(what: str) -> Callable[[], None]:
    return lambda: log.info("waiting for another process, which is making %s", what)
