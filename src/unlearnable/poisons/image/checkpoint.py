"""The state of a long generation, kept so that an interrupted one goes on."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from unlearnable.poisons.image.base import save_atomically
from unlearnable.poisons.image.training_set import TrainingSet

_NONE: Mapping[str, Tensor] = MappingProxyType({})


class Checkpoint:
    """What a generation needs to go on, in one file of its `work_dir`; without a `work_dir` nothing is kept.

    Args:
        data: The training set that is poisoned.
        name: The file's name, without its suffix.
        parts: Networks and optimizers, by name.
        tensors: Tensors that are restored in place, by name.
    """

    def __init__(
        self, data: TrainingSet, name: str, parts: Mapping[str, Any], tensors: Mapping[str, Tensor] = _NONE
    ) -> None:
        self.path = None if data.work_dir is None else data.work_dir / f"{name}.pt"
        self.parts, self.tensors = parts, tensors

    def restore(self) -> int:
        """Restores what was saved last; returns the number of rounds done, 0 if nothing was saved."""
        if self.path is None or not self.path.exists():
            return 0
        state = torch.load(self.path, weights_only=True, map_location="cpu")
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        for name, tensor in self.tensors.items():
            tensor.copy_(state[name])
        return int(state["done"])

    def save(self, done: int) -> None:
        """Saves the state after `done` rounds."""
        if self.path is not None:
            states = {name: part.state_dict() for name, part in self.parts.items()}
            save_atomically({**states, **self.tensors, "done": done}, self.path)
