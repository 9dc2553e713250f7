"""Training, and revisiting a stored training: callbacks see the epochs of both alike.

A *trajectory* is a folder with each epoch's metrics and the weights before training, after the last epoch and after
those between that are kept. `fit` makes one; `revisit` shows a stored one to the same callbacks through the same
Trainer, so a callback never knows whether it watches a live epoch or a stored one.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader
from typing_extensions import override

from unlearnable.callbacks.trajectory import TrajectoryWriter, kept_epochs, read_epochs, read_weights

MakeTrainer = Callable[..., Trainer]
_RESUME = "resume.ckpt"


def fit(
    module: LightningModule,
    data: LightningDataModule,
    *,
    make_trainer: MakeTrainer,
    folder: Path,
    seed: int,
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
    keep: Container[int] | None = None,
    ranks: AbstractContextManager[Any] | None = None,
) -> None:
    """Trains `module` and writes its trajectory to `folder`; goes on from what an interrupted call left there.

    A continued run first shows the finished epochs to `callbacks` and `loggers`, so that these see all of them.

    Args:
        module: A LightningModule with `net` and `loss_functions`.
        data: Its data.
        make_trainer: Called with `callbacks` and `logger`.
        folder: Where the trajectory goes.
        seed: Of what a network draws from the global generators.
        callbacks: Measure and log; called after the metrics of an epoch are known.
        loggers: Lightning's loggers.
        keep: Epochs whose weights are kept besides the first and the last; None keeps all.
        ranks: Within it the other processes of the training are there; None for a training in one process, and in these.

    Raises:
        ValueError: if the training ended before its first epoch did, as by `max_steps`.
    """
    resume = folder / _RESUME
    writer = TrajectoryWriter(folder, seed=seed, keep=keep)
    if resume.exists() and rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        shown: dict[str, Any] = {
            "make_trainer": make_trainer,
            "folder": folder,
            "callbacks": callbacks,
            "loggers": loggers,
        }
        if _caught_up(module, resume, writer, partial(revisit, module, data, **shown)):
            resume.unlink()
            return
    checkpoint = ModelCheckpoint(
        dirpath=folder,
        filename=resume.stem,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    with quiet(), ranks or nullcontext():
        trainer = make_trainer(callbacks=[writer, *callbacks, checkpoint], logger=list(loggers))
        if trainer.world_size > 1:
            # Its handler of SIGTERM waits for the other ranks, which have had no signal.
            trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
        trainer.fit(module, datamodule=data, ckpt_path=str(resume) if resume.exists() else None, weights_only=True)
        if trainer.global_rank > 0:
            return  # the rest is rank 0's
    if not read_epochs(folder):
        raise ValueError(
            "The training ended before its first epoch did, so there is nothing to measure: raise trainer.max_steps, "
            "trainer.max_time or whatever else limits it."
        )
    resume.unlink(missing_ok=True)


def _caught_up(module: LightningModule, resume: Path, writer: TrajectoryWriter, show: Callable[..., None]) -> bool:
    """Shows the finished epochs of an interrupted training; returns whether these were all, since a callback ended it.

    Weights that were not kept, and are asked for now, can not be had but by training afresh: the check point is removed.
    """
    log = logging.getLogger(__name__)
    try:
        found = torch.load(resume, weights_only=True, map_location="cpu")
        done, stopped = int(found["epoch"]) + 1, TrajectoryWriter.stopped(found)
    except Exception as error:  # torch raises many kinds for files that were cut off
        log.warning("%s cannot be read (%s); training starts afresh", resume, error)
        resume.unlink()
        return False
    if lacking := writer.lacking(done):
        log.info("weights after epochs %s are asked for and were not kept; training starts afresh", lacking)
        resume.unlink()
        return False
    log.info("going on after epoch %d", done)
    if stopped:
        module.load_state_dict(found["state_dict"])
        writer.write_last(module, done)
    show(epochs=done, stopped=stopped)
    return stopped


def revisit(
    module: LightningModule,
    data: LightningDataModule,
    *,
    make_trainer: MakeTrainer,
    folder: Path,
    epochs: int,
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
    stopped: bool = False,
) -> None:
    """Shows the first `epochs` epochs of a stored trajectory to callbacks and loggers, without training.

    Args:
        module: As it was trained; left with the last epoch's weights.
        data: As it was trained on; callbacks see its `probe`.
        make_trainer: Called with `callbacks`, `logger` and more of Trainer's arguments.
        folder: The trajectory.
        epochs: How many epochs to show.
        callbacks: As for `fit`.
        loggers: Lightning's loggers.
        stopped: Whether a callback ended the training after these epochs, as callbacks are to see again.
    """
    with quiet():
        trainer = make_trainer(
            callbacks=list(callbacks),
            logger=list(loggers),
            max_epochs=epochs,
            limit_val_batches=0,
            enable_checkpointing=False,
            devices=1,
            num_nodes=1,
            strategy="auto",
        )
        trainer.fit(_Revisit(module, folder, last=epochs if stopped else None), datamodule=_RevisitData(data))


class _Revisit(LightningModule):
    """Loads an epoch's weights instead of training it, and logs the metrics that were stored with them."""

    def __init__(self, module: LightningModule, folder: Path, *, last: int | None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.module, self.folder, self.last, self.epochs = module, folder, last, read_epochs(folder)
        self.kept = kept_epochs(folder)

    @property
    def net(self) -> Any:
        return self.module.net

    @property
    def loss_functions(self) -> Mapping[str, Any]:
        return self.module.loss_functions  # type: ignore[return-value]

    @property
    def task_nets(self) -> Mapping[str, Any]:
        return getattr(self.module, "task_nets", {})

    @property
    def shared_parameters(self) -> Any:
        return self.module.shared_parameters

    @override
    def training_step(self, batch: Any, batch_idx: int) -> None:
        epoch = self.current_epoch + 1
        if epoch in self.kept:
            self.net.load_state_dict(read_weights(self.folder, epoch))
        self.log_dict(dict(self.epochs[epoch - 1].metrics), on_step=False, on_epoch=True, batch_size=1)
        if epoch == self.last:
            self.trainer.should_stop = True

    @override
    def configure_optimizers(self) -> None:
        return None


class _RevisitData(LightningDataModule):
    """One empty batch an epoch, and the probe of the data that was trained on."""

    def __init__(self, data: LightningDataModule) -> None:
        super().__init__()
        self.probe = data.probe  # type: ignore[attr-defined]

    @override
    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader([0])  # type: ignore[arg-type]


@contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's banners and its hints that do not apply to batches made in memory."""
    names = ("lightning.pytorch", "lightning.fabric", "lightning", "lightning.pytorch.utilities.rank_zero")
    banners = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in banners]
    for logger in banners:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in (
                ".*does not have many workers.*",
                ".*The number of training batches.*",
                ".*exists and is not empty.*",
                ".*isinstance.treespec, LeafSpec.*",
                ".*sync_dist=True.*",  # tests and measures are one number on all ranks already
                ".*configure_optimizers. returned .None.*",
            ):
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for logger, level in zip(banners, levels, strict=True):
            logger.setLevel(level)


def on_terminal() -> bool:
    """Whether progress bars make sense."""
    return sys.stderr.isatty()


def stopwatch() -> Callable[[], float]:
    """Seconds since this call."""
    start = time.monotonic()
    return lambda: time.monotonic() - start
