"""A CSV file in the job's folder."""

from __future__ import annotations

from lightning.pytorch.loggers import CSVLogger

from unlearnable.loggers.base import JobInfo, JobLogger


def csv_logger(info: JobInfo) -> JobLogger:
    """`csv/metrics.csv` in the job's folder."""
    return JobLogger(CSVLogger(info.folder, name="csv", version=""))
