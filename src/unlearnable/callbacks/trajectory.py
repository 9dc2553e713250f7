"""The weights and the metrics of every epoch: written while training, read when a run is revisited."""

from __future__ import annotations

import json
import time
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from typing_extensions import override

from unlearnable.files import write_atomically

_STOPPED = "unlearnable_stopped"


@dataclass(frozen=True)
class Epoch:
    """What was recorded of one epoch of training.

    Attributes:
        metrics: `train/loss`, `train/acc`, `test/acc` and what else the module logs.
        seconds: Time of training and test, without that of measuring.
    """

    metrics: Mapping[str, float]
    seconds: float


def weights_name(epoch: int) -> str:
    """File of the weights after `epoch` epochs; 0 is the initialisation."""
    return f"weights_{epoch:04d}.safetensors"


def metrics_name(epoch: int) -> str:
    """File of the metrics of an epoch, counted from 1."""
    return f"metrics_{epoch:04d}.json"


def whole_epoch(trainer: Trainer) -> bool:
    """Whether the epoch that ends has seen all of its batches: a limit of steps or time may have cut it short."""
    return trainer.fit_loop.batch_idx + 1 >= trainer.num_training_batches


class TrajectoryWriter(Callback):
    """Keeps `net`'s parameters and buffers before training and after each epoch, and each epoch's metrics.

    It goes before the callbacks that measure: what they log and the time they take are no part of the trajectory.

    It also seeds the global generators at the start of each epoch from (seed, epoch), so that networks which draw from
    them (dropout) train the same way when a run is resumed.

    Args:
        folder: Where to write.
        seed: The run's seed.
        keep: Epochs whose weights are kept besides the first (0) and the last; None keeps all.
    """

    def __init__(self, folder: Path, *, seed: int, keep: Container[int] | None = None) -> None:
        super().__init__()
        self.folder, self.seed, self.keep = folder, seed, keep
        self._start = time.monotonic()

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 0:
            self._write_weights(pl_module, 0)

    @override
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        # Not `on_train_epoch_start`: Lightning does not call it in the first epoch of a resumed run.
        if batch_idx == 0:
            torch.manual_seed(self.seed * 1_000_003 + trainer.current_epoch)
            self._start = time.monotonic()

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.world_size > 1 and trainer.is_last_batch:
            # Each rank's BatchNorm has seen its own samples; tested, measured and kept is one model, rank 0's.
            for buffer in pl_module.buffers():
                torch.distributed.broadcast(buffer, src=0)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not whole_epoch(trainer):
            return
        epoch = trainer.current_epoch + 1
        if self.keep is None or epoch in self.keep or epoch == trainer.max_epochs:
            self._write_weights(pl_module, epoch)
        # What the module logged; the callbacks' own values of the epoch before are still there.
        own = {name: value for name, value in trainer.callback_metrics.items() if name.startswith(("train/", "test/"))}
        metrics = {name: value.item() for name, value in own.items()}
        self._write_metrics(epoch, Epoch(metrics, time.monotonic() - self._start))

    @override
    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        # Lightning would train on; the check point is written after the callbacks that may end a training.
        checkpoint[_STOPPED] = trainer.should_stop

    @staticmethod
    def stopped(checkpoint: Mapping[str, Any]) -> bool:
        """Whether a callback had ended the training when this check point was written."""
        return bool(checkpoint.get(_STOPPED, False))

    def lacking(self, done: int) -> list[int]:
        """Of the first `done` epochs those whose weights are to be kept, and are not there."""
        wanted = {epoch for epoch in range(1, done + 1) if self.keep is None or epoch in self.keep}
        return sorted(wanted - kept_epochs(self.folder))

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A run that another callback ended early: its last epoch is known only now.
        self.write_last(pl_module, trainer.current_epoch)

    def write_last(self, module: LightningModule, epoch: int) -> None:
        """Writes the weights after the last epoch, unless they are there, or it was not a whole one."""
        if (self.folder / metrics_name(epoch)).exists() and not (self.folder / weights_name(epoch)).exists():
            self._write_weights(module, epoch)

    @rank_zero_only
    def _write_weights(self, module: LightningModule, epoch: int) -> None:
        from safetensors.torch import save

        # Cloned: safetensors refuses two names for the same memory (tied weights).
        net: Any = module.net
        state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in net.state_dict().items()}
        state = {name: _compact(tensor) for name, tensor in state.items()}
        write_atomically(self.folder / weights_name(epoch), save(state))

    @rank_zero_only
    def _write_metrics(self, number: int, epoch: Epoch) -> None:
        write_atomically(self.folder / metrics_name(number), json.dumps(asdict(epoch)))


def _compact(tensor: Tensor) -> Tensor:
    """The tensor in 16 bits where that is exact, as for a network trained in bfloat16."""
    if tensor.dtype != torch.float32:
        return tensor
    half = tensor.bfloat16()
    return half if torch.equal(half.float(), tensor) else tensor


def read_weights(folder: Path, epoch: int) -> dict[str, Tensor]:
    """The weights after an epoch of a trajectory, as `load_state_dict` takes them; 0 is the initialisation.

    Raises:
        KeyError: if they were not kept.
    """
    from safetensors.torch import load_file

    file = folder / weights_name(epoch)
    if not file.exists():
        raise KeyError(
            f"The weights after epoch {epoch} were not kept in {folder}; trainer.keep=all keeps all of them."
        )
    return load_file(file)


def kept_epochs(folder: Path) -> set[int]:
    """The epochs whose weights a trajectory has."""
    return {int(file.stem.rpartition("_")[2]) for file in folder.glob("weights_*.safetensors")}


def read_epochs(folder: Path) -> list[Epoch]:
    """The epochs of a trajectory, in order, as far as they were written."""
    epochs: list[Epoch] = []
    while (file := folder / metrics_name(len(epochs) + 1)).exists():
        epochs.append(Epoch(**json.loads(file.read_text())))
    return epochs
