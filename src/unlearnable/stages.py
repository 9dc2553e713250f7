"""The stages of a job, and the keys under which the store keeps what they make.

A poison depends on (method, its arguments, data, seed); a trajectory on (data, model, training, seed); what a measure
finds on its trajectory and the measure, since measures only observe. So a sweep over ε trains once. What code each
depends on is derived from the configuration, see `identity`.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from unlearnable import training
from unlearnable.callbacks import DistanceLog, EpochLines, Measuring
from unlearnable.callbacks.trajectory import kept_epochs, read_epochs, read_weights
from unlearnable.data.module import DataModule
from unlearnable.data.samples import Samples
from unlearnable.identity import code_of, digest_of, plain
from unlearnable.measures.base import Measure
from unlearnable.measures.history import History
from unlearnable.poisons.base import Poison
from unlearnable.results.run import MeasuredRun
from unlearnable.store import Entry, Store, file_digest

if TYPE_CHECKING:
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.loggers import Logger

log = logging.getLogger(__name__)

#: What trains a model whatever the configuration says: part of a trajectory's code.
_TRAINING = ("unlearnable.training", "unlearnable.seeding", "unlearnable.models.module", "unlearnable.data.module")


@dataclass(frozen=True)
class PoisonedSamples:
    """Training samples with other inputs.

    Attributes:
        samples: What is trained on.
        seconds: What generating them took, now or when it was done.
        reused: Whether they were in the store already.
        entry: Where the store keeps them; None if they are not kept.
    """

    samples: Samples
    seconds: float
    reused: bool
    entry: Entry | None = None

    @property
    def key(self) -> str | None:
        """Digest of all that they depend on; None if they are not kept."""
        return self.entry.digest if self.entry else None


class Stages:
    """Poisons, trains and measures by one configuration.

    Args:
        config: The composed configuration.
        store: Keeps what is made.
        device: Where poisons are made; training goes where the Trainer goes, which is the same.
    """

    def __init__(self, config: DictConfig, store: Store, device: torch.device) -> None:
        self.config, self.store, self.device = config, store, device
        self.defense = instantiate(config.defense)
        measures = [instantiate(config.sal), *(instantiate(node) for node in config.measure.values())]
        #: Name → measure; SAL first.
        self.measures: dict[str, Measure] = {measure.name: measure for measure in measures}
        self._nodes = dict(zip(self.measures, [config.sal, *config.measure.values()], strict=True))

    def poison(self, poison: Poison, data: DataModule) -> PoisonedSamples:
        """The poisoned training samples: made, or taken from the store."""
        name, task = self.config.choices.poison, self.config.poison.task
        clean = data.train if task is None else data.train.focused(task)
        arguments = {"seed": self.config.seed, "device": self.device, "progress": training.on_terminal()}
        poison.check(clean)
        if not poison.stored:
            seconds = training.stopwatch()
            inputs = poison.apply(clean, **arguments).inputs
            return PoisonedSamples(data.train.replace(inputs=inputs), seconds(), reused=False)
        node = arguments_of(self.config.poison)
        key = {
            "poison": node,
            "data": clean.fingerprint,
            "tasks": repr(clean.tasks),
            "files": [file_digest(file) for file in poison.files],
            "seed": self.config.seed,
            "device": self.device.type,
            "code": code_of(node),
        }

        def make(folder: Path) -> None:
            log.info("%s: perturbing %d samples", name, len(clean))
            poisoned = poison.apply(clean, work_dir=folder / "work", **arguments)
            data.modality.write(folder, poisoned.inputs)
            shutil.rmtree(folder / "work", ignore_errors=True)

        entry = self.store.obtain("poison", key, make, waiting=_waiting(f"the perturbation of {name}"))
        samples = data.train.replace(inputs=data.modality.read(entry.path))
        return PoisonedSamples(samples, entry.seconds, entry.reused, entry)

    def purified(self, data: DataModule, title: str) -> DataModule:
        """The data after the defence's `purify`: made, or taken from the store; the same data for most defences."""
        if not self.defense.purifies:
            return data.defended(data.train, self.defense.at_test)
        key = {
            "defense": plain(self.config.defense),
            "files": [file_digest(file) for file in self.defense.files],
            "data": data.train.fingerprint,
            "tasks": repr(data.tasks),
            "seed": self.config.seed,
            "device": self.device.type,
            "code": code_of(self.config.defense),
        }

        def make(folder: Path) -> None:
            log.info("%s: purifying %d samples", title, len(data.train))
            (folder / "work").mkdir(exist_ok=True)
            purified = self.defense.purify(
                data.train,
                seed=self.config.seed,
                device=self.device,
                work_dir=folder / "work",
                progress=training.on_terminal(),
            )
            if purified.replace(inputs=data.train.inputs).fingerprint != data.train.fingerprint:
                raise ValueError(
                    f"`purify` of {type(self.defense).__name__} changes targets; it may change inputs alone."
                )
            data.modality.write(folder, purified.inputs)
            data.modality.preview(data.train, purified, folder)
            shutil.rmtree(folder / "work", ignore_errors=True)

        entry = self.store.obtain("purified", key, make, waiting=_waiting(f"the purification of {title}"))
        purified = data.train.replace(inputs=data.modality.read(entry.path))
        return data.defended(purified, self.defense.at_test)

    def measured_run(
        self,
        data: DataModule,
        title: str,
        *,
        reference: MeasuredRun | None = None,
        loggers: Sequence[Logger] = (),
        callbacks: bool = False,
    ) -> MeasuredRun:
        """Trains on `data` and measures; takes from the store what is there.

        Args:
            data: The (poisoned) data.
            title: What it is, for messages.
            reference: The clean run, for the UD that is logged; None for a clean run.
            loggers: Lightning's loggers; they see every epoch, also of a stored run.
            callbacks: Whether the configuration's callbacks take part: they see every epoch too.
        """
        run = _Run(self, self.purified(data, title), title, reference, loggers, callbacks)
        return run.obtain()

    def make_trainer(self, **arguments: Any) -> Trainer:
        """Lightning's Trainer by the configuration; `arguments` go before it."""
        return build_trainer(self.config, default_root_dir=str(self.store.root), **arguments)

    def make_module(self, data: DataModule) -> LightningModule:
        """A fresh model, its initialisation drawn from the seed alone."""
        model = self.config.model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            return instantiate(self.config.task)(
                instantiate(model.net),
                data.tasks,
                optimizer=instantiate(model.optimizer),
                scheduler=instantiate(model.scheduler),
                defense=self.defense,
                seed=self.config.seed,
                pretrained=model.pretrained,
                tune=model.tune,
            )

    def trajectory_key(self, data: DataModule, *, callbacks: bool) -> dict[str, Any]:
        """What a trained model depends on.

        Args:
            data: What it is trained on, after the defence's `purify`.
            callbacks: Whether the configuration's callbacks take part; they may change the training.
        """
        config = self.config
        trainer = {name: value for name, value in plain(config.trainer).items() if name not in ("accelerator", "keep")}
        watching = plain(config.callbacks) if callbacks else {}
        modality = type(data.modality).__module__
        pretrained = config.model.pretrained and Path(config.model.pretrained).expanduser()
        return {
            "train": data.train.fingerprint,
            "test": data.test.fingerprint,
            "tasks": repr(data.tasks),
            "protocol": data.protocol,
            "model": {**plain(config.model), "pretrained": pretrained and file_digest(pretrained)},
            "task": plain(config.task),
            "defense": plain(config.defense),
            "trainer": trainer,
            "callbacks": watching,
            "seed": config.seed,
            "device": self.device.type,
            "code": code_of(config.model, config.task, config.defense, watching, *_TRAINING, modality),
        }

    def measure_key(self, name: str, trajectory: str, data: DataModule) -> dict[str, Any]:
        """What a measure's results depend on: the digest of the trajectory, and the measure with its probe."""
        node = self._nodes[name]
        key = {"trajectory": trajectory, "measure": plain(node), "code": code_of(node, "unlearnable.data.module")}
        if self.measures[name].split == "undefended":  # the trajectory's digest has only what became of it
            key["data"] = data.undefended.fingerprint
        return key


@dataclass
class _Run:
    """Makes one run or takes it from the store: measures need the trajectory, and are taken live while it is made."""

    stages: Stages
    data: DataModule
    title: str
    reference: MeasuredRun | None
    loggers: Sequence[Logger]
    callbacks: bool
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

    def obtain(self) -> MeasuredRun:
        self._collect(list(self.measures), {})
        trajectory = self.trajectory
        assert trajectory is not None
        if not self.shown and (self.loggers or (self.callbacks and self.stages.config.callbacks)):
            self._revisit(trajectory, {})
        found = {name: History(entry.path) for name, entry in self.entries.items()}
        epochs = read_epochs(trajectory.path)
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
            waiting=_waiting(f"{name} of {self.title}"),
        )
        self.entries[name] = entry
        if entry.reused:
            self._collect(rest, making)

    def _watch(self, making: Mapping[str, Path]) -> None:
        needed = self._needed(making)

        def enough(folder: Path) -> bool:
            done, kept = len(read_epochs(folder)), kept_epochs(folder)
            return all(epoch in kept for epoch in needed if epoch <= done)

        self.trajectory = self.stages.store.obtain(
            "trajectory",
            self.key,
            lambda folder: self._fit(folder, making),
            enough=enough,
            waiting=_waiting(f"the training of {self.title}"),
        )
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

    def _fit(self, folder: Path, making: Mapping[str, Path]) -> None:
        config = self.stages.config
        log.info("%s: training on %d samples", self.title, len(self.data.train))
        training.fit(
            folder=folder,
            seed=config.seed,
            keep=None if config.trainer.keep == "all" else self._needed(self.measures),
            **self._watched(folder, config.trainer.max_epochs, making),
        )
        self.shown = True

    def _revisit(self, trajectory: Entry, making: Mapping[str, Path]) -> None:
        epochs = len(read_epochs(trajectory.path))
        training.revisit(folder=trajectory.path, epochs=epochs, **self._watched(trajectory.path, epochs, making))
        self.shown = True

    def _watched(self, trajectory: Path, epochs: int, making: Mapping[str, Path]) -> dict[str, Any]:
        """What a live run and a revisited one have in common: a fresh model, its data, callbacks and loggers."""
        folders = {**{name: entry.path for name, entry in self.entries.items()}, **making}
        from lightning.pytorch.loggers.logger import DummyLogger

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
        clean = None
        if self.reference is not None:
            history = self.reference.measured["sal"]
            clean = {epoch: {task: one.values for task, one in tasks.items()} for epoch, tasks in history.items()}
        return [
            *measuring.values(),
            DistanceLog(measuring["sal"].history, clean=clean, epochs=epochs),
            *(instantiate(self.stages.config.callbacks).values() if self.callbacks else ()),
            EpochLines(self.title),
        ]


def build_trainer(config: DictConfig, **arguments: Any) -> Trainer:
    """Lightning's Trainer by the configuration's arguments, shown as befits the terminal; `arguments` go before both."""
    node = {name: value for name, value in config.trainer.items() if name != "keep"}
    shown = {
        "enable_progress_bar": training.on_terminal(),
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 50,
    }
    return instantiate({**shown, **node}, _partial_=True)(**arguments)


def arguments_of(poison: DictConfig) -> dict[str, Any]:
    """The method and its own arguments: without `task` and `export`, which say what is done with it."""
    return {key: value for key, value in plain(poison).items() if key not in ("task", "export")}


def _waiting(what: str) -> Callable[[], None]:
    return lambda: log.info("waiting for another process, which is making %s", what)
