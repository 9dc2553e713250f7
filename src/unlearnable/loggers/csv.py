"""A CSV file in the job's folder."""

from __future__ import annotations

from lightning.pytorch.loggers import CSVLogger

from unlearnable.loggers.base import GuardedLogger, JobInfo, JobLogger


class CsvJobLogger(JobLogger):
    """`csv/metrics.csv` in the job's folder.

    Args:
        info: The job.
    """

    def __init__(self, info: JobInfo) -> None:
        super().__init__(GuardedLogger("CSV", lambda: CSVLogger(info.folder, name="csv", version="")))
