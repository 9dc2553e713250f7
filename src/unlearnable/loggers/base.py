"""Where metrics go besides the result file: Weights & Biases (`wandb_logging.py`), a CSV file, or nowhere.

The result file is authoritative: whatever fails in here is a warning, never the end of a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger


class LoggerWarning(UserWarning):
    """A logger failed; the run goes on without it."""


@dataclass(frozen=True)
class JobInfo:
    """What a logger says of a job.

    Attributes:
        folder: The job's own folder.
        name: Of the run.
        group: The sweep, or the single run.
        job_type: `clean` or `poisoned`.
        tags: The overrides that were chosen.
        config: The whole resolved configuration.
    """

    folder: Path
    name: str
    group: str
    job_type: str
    tags: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict)


class JobLogger:
    """The loggers of one job and their common end; a service adds what it can show beyond metrics.

    Args:
        loggers: Lightning's loggers; may be none.
    """

    def __init__(self, *loggers: Logger) -> None:
        self.loggers = list(loggers)

    def image(self, key: str, path: Path) -> None:
        """Records a picture."""

    def result(self, result: Mapping[str, Any], folder: Path, poison: Path | None) -> None:
        """Records the job's result.

        Args:
            result: What `result.json` holds.
            folder: The job's folder, with `result.json` written.
            poison: The poisoned images in the store; None for clean data.
        """

    def finish(self, exit_code: int) -> None:
        """Ends the job's runs, as failed unless `exit_code` is 0."""
        for logger in self.loggers:
            logger.finalize("success" if exit_code == 0 else "failed")


def no_logger(_info: JobInfo) -> JobLogger:
    """No logger."""
    return JobLogger()
