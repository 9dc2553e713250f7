"""The stages of a job, and the keys under which the store keeps what they make.

A poison depends on (method, its arguments, data, seed); a trajectory on (data, model, training, seed); what a measure
finds on its trajectory and the measure, since measures only observe. So a sweep over ε trains once. What code each
depends on is derived from the configuration, see `identity`.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from hydra.utils import instantiate
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from omegaconf import DictConfig

from unlearnable import training
from unlearnable.checkpoints import WholeCheckpointIO
from unlearnable.data.module import DataModule
from unlearnable.data.samples import Samples
from unlearnable.files import write_atomically
from unlearnable.identity import code_of, plain
from unlearnable.measures.base import Measure
from unlearnable.models.judging import judge_priors
from unlearnable.poisons.base import Poison
from unlearnable.store import Entry, Store, content_digest, file_digest
from unlearnable.tasks import Classification, Task, of_task

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule, Trainer

log = logging.getLogger(__name__)

_PRIORS = "priors.json"
_DETERMINISTIC: Any = torch.utils.deterministic  # a module with a property

#: What trains a model whatever the configuration says: part of a trajectory's code.
_TRAINING = ("unlearnable.training", "unlearnable.seeding", "unlearnable.models.module", "unlearnable.data.module")

#: Options in `trainer` that are not for Lightning's Trainer; but for `compile` they change no weights.
_NOT_LIGHTNINGS = ("keep", "stop_at_nan", "compile")


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

    def check_methods(self, poison: Poison, data: DataModule) -> None:
        """Checks the poison and the defence against the data, and callbacks, before anything is stored.

        Raises:
            ValueError: if they do not go together.
        """
        poison.check(self._poisoned_from(data))
        self.defense.check(data.train)
        self._check_monitors()

    def _check_monitors(self) -> None:
        """Refuses callbacks that go by what is measured: keys of trainings would have to hold all that it depends on."""
        measured = {*self.measures, "ud"}
        for name, node in plain(self.config.callbacks).items():
            monitor = node.get("monitor") if isinstance(node, Mapping) else None
            if isinstance(monitor, str) and monitor.partition("/")[0] in measured:
                raise ValueError(
                    f"`callbacks.{name}.monitor` = {monitor}: what is measured of a training can not decide over it. Monitor "
                    "what the training logs itself, such as train/loss or test/acc."
                )

    def _poisoned_from(self, data: DataModule) -> Samples:
        """The clean training samples, with the task that poisons are made against as their first."""
        task = self.config.poison.task
        return data.train if task is None else data.train.focused(task)

    def poison(self, poison: Poison, data: DataModule) -> PoisonedSamples:
        """The poisoned training samples: made, or taken from the store."""
        name, clean = self.config.choices.poison, self._poisoned_from(data)
        arguments = {"seed": self.config.seed, "device": self.device, "progress": training.on_terminal()}
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
            "code": code_of(node, _kinds(clean.tasks)),
        }

        def make(folder: Path) -> None:
            log.info("%s: perturbing %d samples", name, len(clean))
            poisoned = poison.apply(clean, work_dir=folder / "work", **arguments)
            data.modality.write(folder, poisoned.inputs)
            shutil.rmtree(folder / "work", ignore_errors=True)

        entry = self.store.obtain("poison", key, make, waiting=waiting_for(f"the perturbation of {name}"))
        samples = data.train.replace(inputs=data.modality.read(entry.path))
        return PoisonedSamples(samples, entry.seconds, entry.reused, entry)

    def priors(self, data: DataModule) -> dict[str, Any]:
        """Task → prior → metric → its value on the test set: made from the clean data's targets, or taken from the store."""
        key = {
            "train": data.train.fingerprint,
            "test": data.test.fingerprint,
            "tasks": repr(data.tasks),
            "code": code_of("unlearnable.models.judging", _kinds(data.tasks)),
        }

        def make(folder: Path) -> None:
            log.info("judging what can be predicted without an input")
            splits = [data.modality.targets(split.inputs, split.targets) for split in (data.train, data.test)]
            found = {
                name: judge_priors(task, *(of_task(targets, name) for targets in splits))
                for name, task in data.tasks.items()
            }
            write_atomically(folder / _PRIORS, json.dumps(found))

        entry = self.store.obtain("prior", key, make, waiting=waiting_for("the priors"))
        found: dict[str, Any] = json.loads((entry / _PRIORS).read_text())
        return found

    def purified(self, data: DataModule, title: str, *, wait: bool = True) -> DataModule:
        """The data after the defence's `purify`: made, or taken from the store; the same data for most defences.

        Raises:
            TakenError: if another process is making them and `wait` is False.
        """
        if not self.defense.purifies:
            return self._defended(data, data.train)
        train, first = data.train, self._first_class_task(data)
        if first is not None:
            train = train.focused(first)  # what separates classes is to separate those that the model learns
        key = {
            "defense": plain(self.config.defense),
            "files": [file_digest(file) for file in self.defense.files],
            "data": data.train.fingerprint,
            "tasks": repr(data.tasks),
            "first": first,
            "seed": self.config.seed,
            "device": self.device.type,
            "code": code_of(self.config.defense, _kinds(data.tasks)),
        }

        def make(folder: Path) -> None:
            log.info("%s: purifying %d samples", title, len(train))
            (folder / "work").mkdir(exist_ok=True)
            purified = self.defense.purify(
                train,
                seed=self.config.seed,
                device=self.device,
                work_dir=folder / "work",
                progress=training.on_terminal(),
            )
            if purified.replace(inputs=train.inputs).fingerprint != train.fingerprint:
                raise ValueError(
                    f"`purify` of {type(self.defense).__name__} changes targets; it may change inputs alone."
                )
            data.modality.write(folder, purified.inputs)
            data.modality.preview(train, purified, folder)
            shutil.rmtree(folder / "work", ignore_errors=True)

        waiting = waiting_for(f"the purification of {title}")
        entry = self.store.obtain("purified", key, make, waiting=waiting, wait=wait)
        return self._defended(data, data.train.replace(inputs=data.modality.read(entry.path)))

    def _first_class_task(self, data: DataModule) -> str | None:
        """The first of the model's tasks that is of classes."""
        names = self.config.task.get("tasks") or list(data.tasks)
        return next((name for name in names if isinstance(data.train.tasks.get(name), Classification)), None)

    def _defended(self, data: DataModule, train: Samples) -> DataModule:
        return data.defended(train, self.defense.fitted(train).at_test)

    def make_trainer(self, **arguments: Any) -> Trainer:
        """Lightning's Trainer by the configuration; `arguments` go before it."""
        if self.config.get("stage") == "report":  # stored epochs are shown, which needs no accelerator
            arguments["accelerator"] = "cpu"
        return build_trainer(self.config, default_root_dir=str(self.store.root), **arguments)

    @cached_property
    def ranks(self) -> int:
        """How many processes a training takes."""
        with training.quiet():
            return self.make_trainer(logger=False, enable_checkpointing=False).world_size

    def make_module(self, data: DataModule) -> LightningModule:
        """A fresh model, its initialisation drawn from the seed alone."""
        model = self.config.model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            return instantiate(self.config.task)(
                data.modality.network(instantiate(model.net), data.train),
                data.tasks,
                optimizer=instantiate(model.optimizer),
                scheduler=instantiate(model.scheduler),
                defense=self.defense.fitted(data.train),
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
        trainer = {
            name: value
            for name, value in plain(config.trainer).items()
            if name not in ("accelerator", *_NOT_LIGHTNINGS) or (name == "compile" and value)
        }
        if self.ranks > 1:  # `auto` is another number on another machine
            trainer["devices"] = self.ranks
        watching = plain(config.callbacks) if callbacks else {}
        modality = type(data.modality).__module__
        weights = {name: config.model.get(name) for name in ("pretrained", "path")}  # `path`: of model=hf
        return {
            "train": data.train.fingerprint,
            "test": data.test.fingerprint,
            "tasks": repr(data.tasks),
            "protocol": data.protocol,
            "model": {
                **plain(config.model),
                **{name: content_digest(Path(path).expanduser()) for name, path in weights.items() if path},
            },
            "task": plain(config.task),
            "defense": plain(config.defense),
            "trainer": trainer,
            "callbacks": watching,
            "seed": config.seed,
            "device": self.device.type,
            "code": code_of(
                config.model, config.task, config.defense, watching, *_TRAINING, modality, _kinds(data.tasks)
            ),
        }

    def measure_key(self, name: str, trajectory: str, data: DataModule) -> dict[str, Any]:
        """What a measure's results depend on: the digest of the trajectory, and the measure with its probe."""
        node = self._nodes[name]
        key = {"trajectory": trajectory, "measure": plain(node), "code": code_of(node, "unlearnable.data.module")}
        if self.measures[name].split == "undefended":  # the trajectory's digest has only what became of it
            key["data"] = data.undefended.fingerprint
        return key


def build_trainer(config: DictConfig, **arguments: Any) -> Trainer:
    """Lightning's Trainer by the configuration's arguments, shown as befits the terminal; `arguments` go before both."""
    node = {name: value for name, value in config.trainer.items() if name not in _NOT_LIGHTNINGS}
    shown = {
        "enable_progress_bar": training.on_terminal(),
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 50,
        "use_distributed_sampler": False,  # the data module shares each batch out
        # `ranks` starts processes, whatever cluster this is.
        "plugins": [LightningEnvironment(), WholeCheckpointIO()],
    }
    trainer = instantiate({**shown, **node}, _partial_=True)(**arguments)
    # Lightning has torch be deterministic, which fills all memory that is asked for before it is written: a debugging
    # aid, at a sixth of the time.
    _DETERMINISTIC.fill_uninitialized_memory = False
    return trainer


def _kinds(tasks: Mapping[str, Task]) -> list[dict[str, str]]:
    """The classes of tasks, in the form in which a configuration names them, for their code."""
    kinds = {f"{type(task).__module__}.{type(task).__qualname__}" for task in tasks.values()}
    return [{"_target_": kind} for kind in sorted(kinds)]


def arguments_of(poison: DictConfig) -> dict[str, Any]:
    """The method and its own arguments: without `task` and `export`, which say what is done with it."""
    return {key: value for key, value in plain(poison).items() if key not in ("task", "export")}


def waiting_for(what: str) -> Callable[[], None]:
    """What the store calls when another process is making an entry: says so in the log."""
    return lambda: log.info("waiting for another process, which is making %s", what)
