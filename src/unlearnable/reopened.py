"""Finished jobs, opened again for analyses of what they stored: their data, and the weights of their trainings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from unlearnable.results.records import RESULT

if TYPE_CHECKING:
    from unlearnable.data.module import DataModule
    from unlearnable.stages import Stages


class StoredWeights(Mapping[str, Tensor]):
    """The weights of one epoch, each read on demand.

    Args:
        path: The safetensors file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __getitem__(self, name: str) -> Tensor:
        from safetensors import safe_open

        with safe_open(self.path, framework="pt") as file:
            return file.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        from safetensors import safe_open

        with safe_open(self.path, framework="pt") as file:
            yield from file.keys()

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Job:
    """A finished job, opened again: its configuration, data and stored trajectories.

    Args:
        folder: The job's folder.

    Attributes:
        folder: As given.
        poison: Its method.
        stages: By its configuration.
        data: "clean", and the method → what was trained on.
        epochs: The same → the epochs whose weights are there; the digests do not say.
        trajectories: The same → these weights.
        digests: The same → the key's digest of the training.

    Raises:
        FileNotFoundError: if it has no result, or its trajectories are no longer in the store.
    """

    def __init__(self, folder: Path) -> None:
        from omegaconf import OmegaConf

        from unlearnable import checks
        from unlearnable.callbacks.trajectory import kept_epochs, weights_name
        from unlearnable.experiment import load_data, load_poison
        from unlearnable.stages import Stages
        from unlearnable.store import Store

        if not (folder / RESULT).exists():
            raise FileNotFoundError(f"{folder} has no {RESULT}: give the folder of a finished job, as in <sweep>/0-em.")
        result = json.loads((folder / RESULT).read_text())
        config = OmegaConf.create(result["config"])
        self.folder, self.poison = folder, str(result["poison"])
        self.stages: Stages = Stages(config, Store(config.store.dir), checks.check_trainer(config))
        clean = load_data(config)
        self.data: dict[str, DataModule] = {"clean": self.stages.purified(clean, "clean")}
        if not result["is_clean"]:
            poisoned = clean.poisoned(self.stages.poison(load_poison(config), clean).samples)
            self.data[self.poison] = self.stages.purified(poisoned, self.poison)
        self.trajectories: dict[str, list[StoredWeights]] = {}
        self.epochs: dict[str, list[int]] = {}
        self.digests: dict[str, str] = {}
        for name, data in self.data.items():
            own = name == self.poison or result["is_clean"]  # the reference is trained without the job's callbacks
            entry = self.stages.store.find("trajectory", self.stages.trajectory_key(data, callbacks=own))
            if entry is None:
                raise FileNotFoundError(
                    f"The training on {name} data is not in the store {config.store.dir} any more, or the code has changed "
                    f"since. Run the job again: python run.py {' '.join(_overrides(folder))}"
                )
            self.epochs[name] = sorted(kept_epochs(entry.path))
            self.trajectories[name] = [StoredWeights(entry.path / weights_name(epoch)) for epoch in self.epochs[name]]
            self.digests[name] = entry.digest


def _overrides(folder: Path) -> list[str]:
    path = folder / ".hydra" / "overrides.yaml"
    return [line.removeprefix("- ") for line in path.read_text().splitlines()] if path.exists() else ["…"]
