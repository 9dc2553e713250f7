"""The conflict between tasks every epoch, as a callback."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from unlearnable.callbacks.sal import SharpnessAwareLearnability
from unlearnable.files import write_atomically
from unlearnable.measures.conflict import gradient_conflict, mean_conflict


class TaskConflict(Callback):
    """Measures the cosine similarity of the tasks' gradients on the shared parameters, on SAL's probe and at its epochs.

    Logs `conflict/gradient`, the mean over pairs. It rests for modules without `shared_parameters` or with one task.

    Args:
        sal: The callback whose probe and epochs are taken.
        folder: Where each epoch's matrix is kept; what lies there is taken, not measured again. None keeps it in memory.
    """

    def __init__(self, sal: SharpnessAwareLearnability, *, folder: Path | None = None) -> None:
        super().__init__()
        self.sal, self.folder = sal, folder
        self.seconds = 0.0
        #: Names of the rows.
        self.tasks: tuple[str, ...] = ()
        #: Epoch (counted from 1) → `[tasks, tasks]`.
        self.history: dict[int, np.ndarray] = {}
        for file in sorted(folder.glob("conflict_*.json")) if folder is not None else ():
            record = json.loads(file.read_text())
            self.tasks = tuple(record["tasks"])
            self.history[record["epoch"]] = np.array(record["gradient"], dtype=np.float64)  # null becomes NaN
            self.seconds += record["seconds"]

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        tasks: Mapping[str, Any] = getattr(pl_module, "task_nets", {})
        if len(tasks) < 2 or not self.sal.due(epoch):
            return
        if epoch not in self.history:
            self._measure(trainer, pl_module, tuple(tasks), epoch)
        pl_module.log("conflict/gradient", mean_conflict(self.history[epoch]), rank_zero_only=True)

    def _measure(self, trainer: Trainer, module: Any, tasks: tuple[str, ...], epoch: int) -> None:
        start = time.monotonic()
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        probe = data.probe(self.sal.samples, split=self.sal.split, batch_size=self.sal.batch_size)
        losses = {task: module.loss_functions[task] for task in tasks}
        self.tasks = tasks
        self.history[epoch] = gradient_conflict(module.net, losses, probe, module.shared_parameters)
        self._keep(epoch, time.monotonic() - start)

    @rank_zero_only
    def _keep(self, epoch: int, seconds: float) -> None:
        self.seconds += seconds
        if self.folder is not None:
            matrix = [[value if np.isfinite(value) else None for value in row] for row in self.history[epoch].tolist()]
            record = {"epoch": epoch, "tasks": self.tasks, "gradient": matrix, "seconds": seconds}
            write_atomically(self.folder / f"conflict_{epoch:04d}.json", json.dumps(record))
