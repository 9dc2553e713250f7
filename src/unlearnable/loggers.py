"""Where metrics go besides the result file: Weights & Biases, a CSV file, or nowhere.

The result file is authoritative: whatever fails in here is a warning, never the end of a run.
"""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlparse

from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

_T = TypeVar("_T")


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
    """The loggers of one job and their common end.

    Args:
        loggers: Lightning's loggers; may be none.
    """

    def __init__(self, *loggers: Logger) -> None:
        self.loggers = list(loggers)

    def summary(self, values: Mapping[str, Any]) -> None:
        """Records the job's final figures."""
        for logger in self.loggers:
            if isinstance(logger, SafeWandbLogger):
                logger.guarded(partial(logger.record, values))

    def image(self, key: str, path: Path) -> None:
        """Records a picture."""
        for logger in self.loggers:
            if isinstance(logger, SafeWandbLogger):
                logger.guarded(partial(logger.log_image, key, [str(path)]))

    def finish(self, exit_code: int) -> None:
        """Ends the job's runs, as failed unless `exit_code` is 0."""
        for logger in self.loggers:
            if isinstance(logger, SafeWandbLogger):
                logger.guarded(partial(logger.end, exit_code))
            else:
                logger.finalize("success" if exit_code == 0 else "failed")


class SafeWandbLogger(WandbLogger):
    """Lightning's WandbLogger on an own `epoch` axis; its first failure is a warning and silences it."""

    _dead = False

    def guarded(self, call: Callable[[], _T]) -> _T | None:
        """Runs `call` unless an earlier one failed."""
        if self._dead:
            return None
        try:
            return call()
        except Exception as error:  # whatever wandb raises: the run must not end because of it
            self._dead = True
            warnings.warn(
                f"Weights & Biases failed and is off for the rest of this job: {error}", LoggerWarning, stacklevel=2
            )
            return None

    @override
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.guarded(lambda: self.experiment.log(dict(metrics)))

    @override
    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any) -> None:
        pass  # the whole configuration was given at the start

    def record(self, values: Mapping[str, Any]) -> None:
        """Writes values into the run's summary."""
        self.experiment.summary.update(dict(values))

    def end(self, exit_code: int) -> None:
        """Ends the run; W&B shows it as failed unless `exit_code` is 0."""
        self.experiment.finish(exit_code=exit_code)

    @override
    def finalize(self, status: str) -> None:
        pass  # the job finishes its run itself: a fit is only a part of it


def wandb_logger(
    info: JobInfo, *, project: str = "unlearnable", entity: str | None = None, mode: str = "auto", **settings: Any
) -> JobLogger:
    """A Weights & Biases run for one job.

    Args:
        info: The job.
        project: W&B project.
        entity: W&B user or team; None takes the key's own.
        mode: `online`, `offline`, or `auto`: online where there is a key and the server answers, else offline.
        **settings: More of `wandb.Settings`.
    """
    if mode not in ("auto", "online", "offline"):
        raise ValueError(f"`logger.mode` must be 'auto', 'online' or 'offline'; got {mode!r}.")
    import wandb

    if mode == "auto":
        mode = "online" if _has_key() and _reachable() else "offline"
    logger = SafeWandbLogger(name=info.name, project=project, save_dir=info.folder, log_model=False)

    def start() -> None:
        run = wandb.init(
            project=project,
            entity=entity,
            name=info.name,
            group=info.group,
            job_type=info.job_type,
            tags=[tag[:64] for tag in info.tags],  # W&B's limit
            dir=info.folder,
            config=dict(info.config),
            mode=mode,  # type: ignore[arg-type]
            reinit="finish_previous",
            settings=wandb.Settings(silent=True, console="off", init_timeout=30, **settings),
        )
        run.define_metric("epoch")
        run.define_metric("*", step_metric="epoch")
        logger._experiment = run

    logger.guarded(start)
    return JobLogger(logger)


def csv_logger(info: JobInfo) -> JobLogger:
    """`csv/metrics.csv` in the job's folder."""
    return JobLogger(CSVLogger(info.folder, name="csv", version=""))


def no_logger(_info: JobInfo) -> JobLogger:
    """No logger."""
    return JobLogger()


def _base_url() -> str:
    return os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc().authenticators(urlparse(_base_url()).hostname or "") is not None
    except (OSError, NetrcParseError):
        return False


def _reachable(timeout: float = 3.0) -> bool:
    url = urlparse(_base_url())
    try:
        port = url.port or (80 if url.scheme == "http" else 443)
        with socket.create_connection((url.hostname or "", port), timeout=timeout):
            return True
    except OSError:
        return False
