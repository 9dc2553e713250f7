"""SAL every epoch, as a callback."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from unlearnable.files import write_atomically
from unlearnable.measures.sal import Sal, measure_sal


class SharpnessAwareLearnability(Callback):
    """Measures each layer's sharpness-aware learnability (SAL) at the end of training epochs; logs `sal/<layer>`.

    The module must have `net` and `loss_functions` (task → loss of outputs and targets), the data module
    `probe(samples, split=…, batch_size=…)`. With several tasks the keys are `sal/<task>/<layer>`. Where a task's loss
    depends on a part of `net` only, the module may have `task_nets` (task → that part, under the same names): its SAL
    is then measured on that, faster and without layers that cannot matter.

    Args:
        samples: Size of the fixed, stratified, unaugmented probe; None takes the whole split.
        split: `train`, the data the model is trained on, or `test`.
        batch_size: Images a batch of the probe.
        every_n_epochs: Measures after epochs n, 2n, …, counted from 1.
        folder: Where each epoch's SAL is kept, so that an interrupted run goes on where it stopped; what lies there
            is taken, not measured again. None keeps it in memory alone.
        **measure: For `measure_sal`: `eps`, `steps`, `solver` and so on.
    """

    def __init__(
        self,
        *,
        samples: int | None = 256,
        split: str = "train",
        batch_size: int = 256,
        every_n_epochs: int = 1,
        folder: Path | None = None,
        **measure: Any,
    ) -> None:
        super().__init__()
        if samples is not None and samples < 1:
            raise ValueError(f"`sal.samples` must be at least 1, or null for all; got {samples}.")
        if batch_size < 1:
            raise ValueError(f"`sal.batch_size` must be at least 1; got {batch_size}.")
        if every_n_epochs < 1:
            raise ValueError(f"`sal.every_n_epochs` must be at least 1; got {every_n_epochs}.")
        self.samples, self.split, self.batch_size = samples, split, batch_size
        self.every_n_epochs, self.folder, self.measure = every_n_epochs, folder, measure
        self.seconds = 0.0
        #: Epoch (counted from 1) → task → SAL.
        self.history: dict[int, dict[str, Sal]] = {}
        if folder is not None:
            for file in sorted(folder.glob("epoch_*.json")):
                record = json.loads(file.read_text())
                self.history[record["epoch"]] = {task: Sal.from_dict(sal) for task, sal in record["sal"].items()}
                self.seconds += record["seconds"]

    def due(self, epoch: int) -> bool:
        """Whether SAL is measured after `epoch`, counted from 1."""
        return epoch % self.every_n_epochs == 0

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for owner, attribute in ((pl_module, "net"), (pl_module, "loss_functions"), (trainer.datamodule, "probe")):  # type: ignore[attr-defined]
            if not hasattr(owner, attribute):
                raise TypeError(
                    f"{type(self).__name__} needs `{attribute}`, which {type(owner).__name__} does not have; "
                    "see its docstring for what module and data module provide."
                )

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if not self.due(epoch):
            return
        if epoch not in self.history:
            self._measure(trainer, pl_module, epoch)
        measured = self.history[epoch]
        for task, sal in measured.items():
            prefix = task_key("sal", task, measured)
            values = dict(zip(sal.names, sal.values.tolist(), strict=True))
            pl_module.log_dict({f"{prefix}/{layer}": value for layer, value in values.items()}, rank_zero_only=True)

    def measure_tasks(
        self, module: LightningModule, data: Any, samples: int | None, **overrides: Any
    ) -> dict[str, Sal]:
        """Task → SAL of `module` as it is, on a probe of `samples` images of `data`; `overrides` go before settings."""
        probe = data.probe(samples, split=self.split, batch_size=self.batch_size)
        losses: Mapping[str, Any] = module.loss_functions  # type: ignore[assignment]
        parts: Mapping[str, Any] = getattr(module, "task_nets", {})
        settings = {**self.measure, **overrides}
        return {
            task: measure_sal(parts.get(task, module.net), loss, probe, **settings) for task, loss in losses.items()
        }

    def _measure(self, trainer: Trainer, pl_module: LightningModule, epoch: int) -> None:
        start = time.monotonic()
        self.history[epoch] = self.measure_tasks(pl_module, trainer.datamodule, self.samples)  # type: ignore[attr-defined]
        seconds = time.monotonic() - start
        self.seconds += seconds
        self._keep(epoch, seconds)

    @rank_zero_only
    def _keep(self, epoch: int, seconds: float) -> None:
        if self.folder is not None:
            sal = {task: sal.to_dict() for task, sal in self.history[epoch].items()}
            record = {"epoch": epoch, "seconds": seconds, "sal": sal}
            write_atomically(self.folder / f"epoch_{epoch:04d}.json", json.dumps(record))


def task_key(name: str, task: str, tasks: Mapping[str, Any]) -> str:
    """The log key of a quantity: with one task just its name, with several `<name>/<task>`."""
    return name if len(tasks) == 1 else f"{name}/{task}"
