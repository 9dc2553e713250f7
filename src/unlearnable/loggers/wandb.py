"""Weights & Biases: one run a job, one run a sweep. Whatever fails in here costs a warning, never a run.

What is logged, and how to look at it, is in docs/wandb.md.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

from unlearnable.files import write_atomically
from unlearnable.identity import digest_of
from unlearnable.logged import EPOCH
from unlearnable.loggers.base import Guard, JobInfo, JobLogger, SweepInfo
from unlearnable.loggers.wandb_content import log_artifacts, log_report, log_sal, log_text, summary_values

log = logging.getLogger(__name__)

#: In the job's folder: the run's id and which epochs it has, so that a continued job continues the run.
STATE = "wandb_run.json"
_MODES = ("auto", "online", "offline")
#: How long a server may keep a job waiting at its start and at its end.
_INIT_SECONDS, _FINISH_SECONDS = 20.0, 60.0
#: Servers that did not answer this process; its later jobs need not wait for them again.
_unreachable: set[str | None] = set()


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
        mark = f"{metrics.get(EPOCH)}:{digest_of(sorted(metrics))[:8]}"
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
    """Lightning's WandbLogger with its own `epoch` axis; its first failure is a warning and silences it.

    Args:
        state: What was logged before.
        **options: Arguments of Lightning's logger.
    """

    def __init__(self, state: RunState, **options: Any) -> None:
        super().__init__(**options)
        self.state, self.guard = state, Guard("Weights & Biases")

    def start(self, run: Callable[[], Any]) -> None:
        """Takes the run that `run` makes; silent if there is none."""

        def take() -> None:
            self._experiment = made = run()
            made.define_metric(EPOCH)
            made.define_metric("*", step_metric=EPOCH)
            self.state.id = made.id
            self.state.write()

        self.guard(take)

    def end(self, exit_code: int) -> None:
        """Ends the run, if there is one, as failed unless `exit_code` is 0."""

        def finish() -> None:
            self.experiment.finish(exit_code=exit_code)
            self.state.write(finished=exit_code == 0)

        if self._experiment is not None:
            self.guard.dead = False  # a run that lost a metric is still to be closed
            self.guard(finish)

    @override
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        def log() -> None:
            # A continued job shows its finished epochs again; the run has them already.
            if EPOCH not in metrics or self.state.new(metrics):
                self.experiment.log(dict(metrics))

        self.guard(log)

    @override
    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any) -> None:
        pass  # the whole configuration was given at the start

    @override
    def finalize(self, status: str) -> None:
        pass  # the job finishes its run itself: a fit is only a part of it


class WandbJobLogger(JobLogger):
    """A job's W&B run; a job that was interrupted in the same folder continues its run.

    Args:
        info: The job.
        project: W&B project.
        entity: W&B user or team; None takes the key's own.
        mode: `online`, `offline`, or `auto`: what `WANDB_MODE` says, else online, or offline if that fails.
        log_poison: `reference` (path and checksum of the poisoned samples) or `upload` (the samples themselves).
        **settings: More of `wandb.Settings`.

    Raises:
        ValueError: if `mode` or `log_poison` is unknown.
    """

    def __init__(
        self,
        info: JobInfo,
        *,
        project: str = "unlearnable",
        entity: str | None = None,
        mode: str = "auto",
        log_poison: str = "reference",
        **settings: Any,
    ) -> None:
        if mode not in _MODES:
            raise ValueError(f"`logger.mode` must be 'auto', 'online' or 'offline'; got {mode!r}.")
        if log_poison not in ("reference", "upload"):
            raise ValueError(f"`logger.log_poison` must be 'reference' or 'upload'; got {log_poison!r}.")
        self.log_poison = log_poison
        state = RunState(info.folder / STATE, digest_of(dict(info.config)))
        self.logger = SafeWandbLogger(state, name=info.name, project=project, save_dir=info.folder, log_model=False)
        super().__init__(self.logger)
        self.logger.start(
            partial(start_run, info, project=project, entity=entity, mode=mode, id_=state.id, settings=settings)
        )

    @override
    def image(self, key: str, path: Path) -> None:
        if path.suffix == ".txt":
            self.logger.guard(lambda: log_text(self.logger.experiment, key, path), what=path.name)
        else:
            self.logger.guard(partial(self.logger.log_image, key, [str(path)]), what=path.name)

    @override
    def result(self, result: Mapping[str, Any], folder: Path, poison: Path | None) -> None:
        logger, guard = self.logger, self.logger.guard
        guard(lambda: logger.experiment.summary.update(summary_values(result)), what="the summary")
        guard(lambda: log_sal(logger.experiment, result, folder), what="SAL as a table and the figures")
        guard(lambda: log_artifacts(logger.experiment, result, folder, poison, self.log_poison), what="the artifacts")

    @override
    def finish(self, exit_code: int) -> None:
        self.logger.end(exit_code)

    @override
    @classmethod
    def sweep(
        cls,
        sweep: SweepInfo,
        *,
        project: str = "unlearnable",
        entity: str | None = None,
        mode: str = "auto",
        log_poison: str = "",
        **settings: Any,
    ) -> None:
        """A run for the whole sweep: its tables, page and figures. Options as those of the job's run."""
        folder = sweep.folder
        info = JobInfo(folder=folder, name=f"summary-{folder.name}", group=folder.name, job_type="summary")
        run = start_run(info, project=project, entity=entity, mode=mode, id_=None, settings=settings)
        try:
            log_report(run, sweep)
        finally:
            run.finish()


def start_run(
    info: JobInfo, *, project: str, entity: str | None, mode: str, id_: str | None, settings: Mapping[str, Any]
) -> Any:
    """A run that stays silent, asks nothing, does not wait for long, and is one job's own.

    Args:
        info: The job, or the sweep.
        project: W&B project.
        entity: W&B user or team.
        mode: As :class:`WandbJobLogger`'s.
        id_: Of an earlier run that is continued; None for a new one.
        settings: More of `wandb.Settings`.
    """
    import wandb

    server = os.environ.get("WANDB_BASE_URL")
    wanted = _mode_of_environment() if mode == "auto" else mode
    if mode == "auto" and wanted == "online" and server in _unreachable:
        wanted = "offline"
    options: dict[str, Any] = {"silent": True, "console": "off", "init_timeout": _INIT_SECONDS, **settings}
    if "finish_timeout" in wandb.Settings.model_fields:  # else a server that went away keeps the job waiting at its end
        options.setdefault("finish_timeout", _FINISH_SECONDS)
    arguments: dict[str, Any] = {
        "project": project,
        "entity": entity,
        "name": info.name,
        "group": info.group,
        "job_type": info.job_type,
        "tags": [tag[:64] for tag in info.tags],  # W&B's limit
        "dir": info.folder,
        "config": dict(info.config),
        # Always the job's own: WANDB_RUN_ID in the environment would give all jobs of a sweep the same id.
        "id": id_ or uuid.uuid4().hex[:8],
        "reinit": "finish_previous",
        "settings": wandb.Settings(**options),
    }
    with without_terminal():
        try:
            resume: Any = "allow" if id_ and wanted == "online" else None
            return wandb.init(**arguments, mode=wanted, resume=resume)  # type: ignore[arg-type]
        except Exception as error:  # no key, no network, a refusal: wandb has a class for each, and has renamed them
            if mode != "auto" or wanted != "online":
                raise
            _unreachable.add(server)
            wandb.teardown()  # else the id stays in use by the run that did not start
            log.info("Weights & Biases is offline: %s", str(error).partition("\n")[0])
            return wandb.init(**arguments, mode="offline")


def _mode_of_environment() -> str:
    """What `WANDB_MODE` says, or W&B's older `WANDB_DISABLED`; online if neither says anything."""
    if os.environ.get("WANDB_DISABLED", "").strip().lower() in ("true", "1", "yes", "on"):
        return "disabled"
    return os.environ.get("WANDB_MODE") or "online"


@contextmanager
def without_terminal() -> Iterator[None]:
    """Keeps W&B from asking for a key in the middle of a job: it asks where there is a terminal."""
    terminal = sys.stdin
    with open(os.devnull, encoding="utf-8") as nothing:
        sys.stdin = nothing
        try:
            yield
        finally:
            sys.stdin = terminal
