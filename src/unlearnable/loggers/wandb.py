"""Weights & Biases: one run a job, one run a sweep. Whatever fails in here costs a warning, never a run.

What is logged, and how to look at it, is in docs/wandb.md.
"""

from __future__ import annotations

import json
import os
import socket
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlparse

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from unlearnable.files import write_atomically
from unlearnable.identity import digest_of
from unlearnable.loggers.base import JobInfo, JobLogger, LoggerWarning
from unlearnable.loggers.wandb_content import log_artifacts, log_sal, summary_values

_T = TypeVar("_T")

#: In the job's folder: the run's id and which epochs it has, so that a continued job continues the run.
STATE = "wandb_run.json"
_FINISH_SECONDS = 60.0


class RunState:
    """What a continued job must know of its W&B run.

    Args:
        path: The file.
        key: Digest of the job's configuration: another job in the same folder is another run.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        try:
            kept = json.loads(path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            kept = {}
        continues = kept.get("key") == key and not kept.get("finished", False)
        #: None for a new run.
        self.id: str | None = kept.get("id") if continues else None
        self.logged: set[str] = set(kept.get("logged", ())) if continues else set()

    def new(self, metrics: Mapping[str, Any]) -> bool:
        """Whether these metrics of this epoch were not logged yet; they count as logged from now on."""
        mark = f"{metrics.get('epoch')}:{digest_of(sorted(metrics))[:8]}"
        if mark in self.logged:
            return False
        self.logged.add(mark)
        self.write()
        return True

    def write(self, *, finished: bool = False) -> None:
        """Keeps the state."""
        state = {"id": self.id, "key": self.key, "finished": finished, "logged": sorted(self.logged)}
        write_atomically(self.path, json.dumps(state))


class SafeWandbLogger(WandbLogger):
    """Lightning's WandbLogger on an own `epoch` axis; its first failure is a warning and silences it."""

    _dead = False
    state: RunState | None = None

    def guarded(self, call: Callable[[], _T], *, what: str | None = None) -> _T | None:
        """Runs `call` unless an earlier one failed.

        Args:
            call: What is to be done.
            what: Names something of its own, such as the figures, without which the logger can go on; None silences it.
        """
        if self._dead:
            return None
        try:
            return call()
        except Exception as error:  # whatever wandb raises: the run must not end because of it
            self._dead = what is None
            lost = f"could not log {what}" if what else "failed and is off for the rest of this job"
            warnings.warn(f"Weights & Biases {lost}: {error}", LoggerWarning, stacklevel=2)
            return None

    def end(self, exit_code: int) -> None:
        """Ends the run, if there is one, as failed unless `exit_code` is 0."""
        if self._experiment is not None:
            self._dead = False  # a run that lost a metric is still to be closed
            self.guarded(lambda: self.experiment.finish(exit_code=exit_code))
            if self.state is not None:
                self.state.write(finished=exit_code == 0)

    @override
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        def log() -> None:
            # A continued job shows its finished epochs again; the run has them already.
            if self.state is None or "epoch" not in metrics or self.state.new(metrics):
                self.experiment.log(dict(metrics))

        self.guarded(log)

    @override
    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any) -> None:
        pass  # the whole configuration was given at the start

    @override
    def finalize(self, status: str) -> None:
        pass  # the job finishes its run itself: a fit is only a part of it


class WandbJobLogger(JobLogger):
    """A job's W&B run.

    Args:
        logger: The run, as Lightning's logger.
        log_poison: `reference` records where the poisoned images are and their checksum, `upload` uploads them.
    """

    def __init__(self, logger: SafeWandbLogger, *, log_poison: str = "reference") -> None:
        super().__init__(logger)
        self.logger, self.log_poison = logger, log_poison

    @override
    def image(self, key: str, path: Path) -> None:
        self.logger.guarded(partial(self.logger.log_image, key, [str(path)]), what=path.name)

    @override
    def result(self, result: Mapping[str, Any], folder: Path, poison: Path | None) -> None:
        logger = self.logger
        logger.guarded(lambda: logger.experiment.summary.update(summary_values(result)), what="the summary")
        logger.guarded(lambda: log_sal(logger.experiment, result, folder), what="SAL as a table and the figures")
        logger.guarded(
            lambda: log_artifacts(logger.experiment, result, folder, poison, self.log_poison), what="the artifacts"
        )

    @override
    def finish(self, exit_code: int) -> None:
        self.logger.end(exit_code)


def wandb_logger(
    info: JobInfo,
    *,
    project: str = "unlearnable",
    entity: str | None = None,
    mode: str = "auto",
    log_poison: str = "reference",
    **settings: Any,
) -> JobLogger:
    """A Weights & Biases run for one job; a job that was interrupted in the same folder continues its run.

    Args:
        info: The job.
        project: W&B project.
        entity: W&B user or team; None takes the key's own.
        mode: `online`, `offline`, or `auto`: online where there is a key and the server answers, else offline.
        log_poison: `reference` (path and checksum of the poisoned images) or `upload` (the images themselves).
        **settings: More of `wandb.Settings`.
    """
    if mode not in ("auto", "online", "offline"):
        raise ValueError(f"`logger.mode` must be 'auto', 'online' or 'offline'; got {mode!r}.")
    if log_poison not in ("reference", "upload"):
        raise ValueError(f"`logger.log_poison` must be 'reference' or 'upload'; got {log_poison!r}.")
    logger = SafeWandbLogger(name=info.name, project=project, save_dir=info.folder, log_model=False)
    logger.state = RunState(info.folder / STATE, digest_of(dict(info.config)))

    def start() -> None:
        run = start_run(info, project=project, entity=entity, mode=mode, id_=logger.state.id, settings=settings)  # type: ignore[union-attr]
        run.define_metric("epoch")
        run.define_metric("*", step_metric="epoch")
        logger._experiment = run
        logger.state.id = run.id  # type: ignore[union-attr]
        logger.state.write()  # type: ignore[union-attr]

    logger.guarded(start)
    return WandbJobLogger(logger, log_poison=log_poison)


def start_run(
    info: JobInfo, *, project: str, entity: str | None, mode: str, id_: str | None, settings: Mapping[str, Any]
) -> Any:
    """A run that stays silent, does not wait for long, and is one job's own; `id_` continues an earlier one."""
    import wandb

    if mode == "auto":
        mode = "online" if _has_key() and _reachable() else "offline"
    options: dict[str, Any] = {"silent": True, "console": "off", "init_timeout": 30, **settings}
    if "finish_timeout" in wandb.Settings.model_fields:  # else a server that went away keeps the job waiting at its end
        options.setdefault("finish_timeout", _FINISH_SECONDS)
    return wandb.init(
        project=project,
        entity=entity,
        name=info.name,
        group=info.group,
        job_type=info.job_type,
        tags=[tag[:64] for tag in info.tags],  # W&B's limit
        dir=info.folder,
        config=dict(info.config),
        mode=mode,  # type: ignore[arg-type]
        id=id_,
        resume="allow" if id_ and mode == "online" else None,
        reinit="finish_previous",
        settings=wandb.Settings(**options),
    )


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
