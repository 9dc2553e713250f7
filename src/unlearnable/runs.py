"""One run, trained and measured: how it goes through the store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers.logger import DummyLogger

from unlearnable import ranks, training
from unlearnable.callbacks import DistanceLog, Divergence, EpochLines, Measuring
from unlearnable.callbacks.trajectory import kept_epochs, read_epochs, read_weights
from unlearnable.data.module import DataModule
from unlearnable.identity import digest_of, plain
from unlearnable.measures.base import Measure
from unlearnable.measures.history import History
from unlearnable.results.run import MeasuredRun
from unlearnable.stages import Stages, waiting_for
from unlearnable.store import Entry

log = logging.getLogger(__name__)


def measured_run(
    stages: Stages,
    data: DataModule,
    title: str,
    *,
    reference: MeasuredRun | None = None,
    is_clean: bool = True,
    loggers: Sequence[Logger] = (),
    callbacks: bool = False,
    wait: bool = True,
) -> MeasuredRun:
    """Trains on `data` and measures; takes from the store what is there.

    Args:
        stages: The configuration's stages.
        data: The (poisoned) data.
        title: What it is, for messages.
        reference: The clean run, for the UD that is logged.
        is_clean: Whether the run is its own reference; a run that is not, and has none yet, logs no UD.
        loggers: Lightning's loggers; they see every epoch, also of a stored run.
        callbacks: Whether the configuration's callbacks take part: they see every epoch too.
        wait: Whether to wait for another process that is making a part of it.

    Raises:
        TakenError: if another process is making a part of it and `wait` is False.
    """
    return _Run(
        stages, stages.purified(data, title, wait=wait), title, reference, is_clean, loggers, callbacks, wait
    ).obtain()


def train(stages: Stages, data: DataModule, title: str, *, callbacks: bool = False, wait: bool = True) -> None:
    """Trains on `data`, unless that is stored already, and measures nothing.

    Args:
        stages: See `measured_run`, also for the others.
        data: See there.
        title: See there.
        callbacks: See there.
        wait: See there.
    """
    _Run(stages, stages.purified(data, title, wait=wait), title, callbacks=callbacks, wait=wait).train()


def join(stages: Stages, data: Sequence[DataModule], task: Mapping[str, Any], *, ready: Callable[[], None]) -> None:
    """Takes part, as one of its other ranks, in a training that the job's own process has begun.

    Args:
        stages: The configuration's stages.
        data: What may be trained on.
        task: What `_Run` gave to `ranks.joined`.
        ready: Called when the training can begin.
    """
    title, callbacks = task["title"], task["callbacks"]
    runs = [_Run(stages, stages.purified(one, title), title, is_clean=False, callbacks=callbacks) for one in data]
    run = next((run for run in runs if digest_of(run.key) == task["trajectory"]), None)
    if run is None:
        raise RuntimeError(f"The training of {title} is not the one that this process would join: did the code change?")
    run.join(Path(task["folder"]), {name: Path(folder) for name, folder in task["making"].items()}, ready)


@dataclass
class _Run:
    """Makes one run or takes it from the store: measures need the trajectory, and are taken live while it is made."""

    stages: Stages
    data: DataModule
    title: str
    reference: MeasuredRun | None = None
    is_clean: bool = True
    loggers: Sequence[Logger] = ()
    callbacks: bool = False
    wait: bool = True
    shown: bool = False  # whether loggers and callbacks have seen the epochs
    trajectory: Entry | None = None  # once it is known
    entries: dict[str, Entry] = field(default_factory=dict)  # of the measures

    @cached_property
    def key(self) -> dict[str, Any]:
        return self.stages.trajectory_key(self.data, callbacks=self.callbacks)

    @cached_property
    def measures(self) -> dict[str, Measure]:
        """The measures that have something to measure."""
        losses: Any = self.stages.make_module(self.data).loss_functions
        return {name: measure for name, measure in self.stages.measures.items() if not measure.rests(losses)}

    def train(self) -> None:
        self._trained(self._needed(self.measures), {})

    def obtain(self) -> MeasuredRun:
        self._collect(list(self.measures), {})
        trajectory = self.trajectory
        assert trajectory is not None
        if not self.shown and (self.loggers or (self.callbacks and self.stages.config.callbacks)):
            self._revisit(trajectory, {})
        found = {name: History(entry.path) for name, entry in self.entries.items()}
        epochs = read_epochs(trajectory.path)
        asked = self.stages.config.trainer.max_epochs
        if len(epochs) < asked:
            log.warning(
                "%s: the training ended after %d of %d epochs; distances are over those that it and its reference have.",
                self.title,
                len(epochs),
                asked,
            )
        return MeasuredRun(
            epochs=epochs,
            measured={name: history.epochs for name, history in found.items()},
            tasks=self.data.tasks,
            seconds={
                "train": sum(epoch.seconds for epoch in epochs),
                **{name: history.seconds for name, history in found.items()},
            },
            reused=["train"] * trajectory.reused + [name for name, entry in self.entries.items() if entry.reused],
            keys={
                "data": self.data.train.fingerprint,
                "trajectory": trajectory.digest,
                "measure": {name: entry.digest for name, entry in self.entries.items()},
            },
        )

    def _collect(self, waiting: Sequence[str], making: Mapping[str, Path]) -> None:
        """Takes each measure's entry from the store or makes it; those to be made share one pass over the epochs.

        Locks are taken in one order, the measures' and then the trajectory's, so no two jobs can wait for each other.
        """
        if not waiting:
            self._watch(making)
            return
        name, *rest = waiting
        entry = self.stages.store.obtain(
            name,
            self.stages.measure_key(name, digest_of(self.key), self.data),
            lambda folder: self._collect(rest, {**making, name: folder}),
            waiting=waiting_for(f"{name} of {self.title}"),
            wait=self.wait,
        )
        self.entries[name] = entry
        if entry.reused:
            self._collect(rest, making)

    def _trained(self, needed: Set[int], making: Mapping[str, Path]) -> Entry:
        """The trajectory, with the weights of the epochs that are needed."""

        def enough(folder: Path) -> bool:
            done, kept = len(read_epochs(folder)), kept_epochs(folder)
            return all(epoch in kept for epoch in needed if epoch <= done)

        return self.stages.store.obtain(
            "trajectory",
            self.key,
            lambda folder: self._fit(folder, making),
            enough=enough,
            waiting=waiting_for(f"the training of {self.title}"),
            wait=self.wait,
        )

    def _watch(self, making: Mapping[str, Path]) -> None:
        self.trajectory = self._trained(self._needed(making), making)
        if making and self.trajectory.reused:
            log.info("%s: measuring %s on the stored weights", self.title, ", ".join(making))
            self._revisit(self.trajectory, making)
        for name, folder in making.items():
            if not History(folder).epochs:
                raise ValueError(
                    f"{self.title} ended after {len(read_epochs(self.trajectory.path))} whole epochs, of which {name} "
                    f"measures none: `{name}.every_n_epochs` = {self.measures[name].every_n_epochs}. Use 1, or longer training."
                )

    def _needed(self, measures: Mapping[str, Any]) -> set[int]:
        """The epochs whose weights these measures ask for."""
        last = self.stages.config.trainer.max_epochs
        return {
            kept
            for name in measures
            for epoch in range(1, last + 1)
            if (measure := self.measures[name]).due(epoch, last)
            for kept in measure.needs_weights(epoch, last)
        }

    def join(self, folder: Path, making: Mapping[str, Path], ready: Callable[[], None]) -> None:
        arguments = self._training(folder, making)
        ready()
        training.fit(**arguments)

    def _fit(self, folder: Path, making: Mapping[str, Path]) -> None:
        log.info("%s: training on %d samples", self.title, len(self.data.train))
        task = {
            "config": plain(self.stages.config),
            "trajectory": digest_of(self.key),
            "title": self.title,
            "callbacks": self.callbacks,
            "folder": str(folder),
            "making": {name: str(path) for name, path in making.items()},
        }
        training.fit(**self._training(folder, making), ranks=ranks.joined(self.stages.ranks, task))
        self.shown = True

    def _training(self, folder: Path, making: Mapping[str, Path]) -> dict[str, Any]:
        config = self.stages.config
        watched = self._watched(folder, config.trainer.max_epochs, making)
        if config.trainer.get("compile"):
            # In place: parameters and layers keep their names. Anew for each size of batch, of which there are few.
            watched["module"].net.compile(dynamic=False)
        return {
            "folder": folder,
            "seed": config.seed,
            "keep": None if config.trainer.keep == "all" else self._needed(self.measures),
            **watched,
        }

    def _revisit(self, trajectory: Entry, making: Mapping[str, Path]) -> None:
        epochs = len(read_epochs(trajectory.path))
        training.revisit(folder=trajectory.path, epochs=epochs, **self._watched(trajectory.path, epochs, making))
        self.shown = True

    def _watched(self, trajectory: Path, epochs: int, making: Mapping[str, Path]) -> dict[str, Any]:
        """What a live run and a revisited one have in common: a fresh model, its data, callbacks and loggers."""
        folders = {**{name: entry.path for name, entry in self.entries.items()}, **making}
        loggers = self.loggers
        if self.callbacks and self.stages.config.callbacks and not loggers:
            loggers = [DummyLogger()]  # callbacks that log, such as LearningRateMonitor, insist on one
        return {
            "module": self.stages.make_module(self.data),
            "data": self.data,
            "make_trainer": self.stages.make_trainer,
            "callbacks": self._callbacks(trajectory, epochs, folders),
            "loggers": loggers,
        }

    def _callbacks(self, trajectory: Path, epochs: int, folders: Mapping[str, Path]) -> list[Callback]:
        def weights(epoch: int) -> Mapping[str, torch.Tensor]:
            return read_weights(trajectory, epoch)

        measuring = {
            name: Measuring(self.measures[name], epochs=epochs, folder=folder, weights=weights)
            for name, folder in folders.items()
        }
        distances = []
        if "sal" in measuring and (self.is_clean or self.reference is not None):
            clean = None if self.reference is None else self.reference.sal
            distances.append(DistanceLog(measuring["sal"].history, clean=clean, epochs=epochs))
        return [
            *measuring.values(),
            *distances,
            Divergence(self.title, stop=self.stages.config.trainer.stop_at_nan),
            *(instantiate(self.stages.config.callbacks).values() if self.callbacks else ()),
            EpochLines(self.title),
        ]
