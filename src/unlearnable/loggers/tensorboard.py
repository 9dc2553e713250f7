"""TensorBoard's files in the job's folder."""

from __future__ import annotations

from collections.abc import Mapping

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from unlearnable.loggers.base import GuardedLogger, JobInfo, JobLogger


class EpochTensorBoardLogger(TensorBoardLogger):
    """Lightning's TensorBoardLogger with the epoch as its axis."""

    @override
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        super().log_metrics(metrics, int(metrics["epoch"]) if "epoch" in metrics else step)


class TensorBoardJobLogger(JobLogger):
    """`tensorboard/` in the job's folder; `tensorboard --logdir SWEEP` shows all jobs of a sweep.

    Args:
        info: The job.
    """

    def __init__(self, info: JobInfo) -> None:
        def make() -> EpochTensorBoardLogger:
            return EpochTensorBoardLogger(info.folder, name="tensorboard", version="")

        super().__init__(GuardedLogger("TensorBoard", make))
