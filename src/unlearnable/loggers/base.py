"""Where metrics go besides the result file: the seam for loggers, and the guard that keeps them from ending a run.

The result file is authoritative: whatever fails in here is a warning, never the end of a run.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from typing_extensions import override

if TYPE_CHECKING:
    from unlearnable.results.cells import Cell
    from unlearnable.results.records import Records

_T = TypeVar("_T")


class LoggerWarning(UserWarning):
    """A logger failed; the run goes on without it."""


@dataclass(frozen=True)
class JobInfo:
    """What a logger is told about a job.

    Attributes:
        folder: The job's own folder.
        name: The run's name.
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


@dataclass(frozen=True)
class SweepInfo:
    """What a logger is told about a sweep.

    Attributes:
        folder: The sweep's folder.
        records: Its jobs.
        cells: The same over seeds.
        written: The report's files.
    """

    folder: Path
    records: Records
    cells: Sequence[Cell]
    written: Sequence[Path]


class Guard:
    """Calls functions that may fail; a failure becomes a warning.

    Args:
        name: The logger's name, for warnings.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        #: Whether an essential call has failed; later calls are then left out.
        self.dead = False

    def __call__(self, call: Callable[[], _T], *, what: str | None = None) -> _T | None:
        """Makes a call, unless the logger is dead.

        Args:
            call: The call.
            what: What it logs, such as a picture, if the logger can go on without it; None if the call is essential.

        Returns:
            What the call returned; None if it failed or was left out.
        """
        if self.dead:
            return None
        try:
            return call()
        except Exception as error:  # whatever a logger raises: the run must not end because of it
            self.dead = what is None
            lost = f"could not log {what}" if what else "failed and is off for the rest of this job"
            warnings.warn(f"{self.name} {lost}: {error}", LoggerWarning, stacklevel=2)
            return None


class GuardedLogger(Logger):
    """One of Lightning's loggers; its first failure, already when it is made, is a warning and silences it.

    Args:
        name: For warnings.
        make: Makes the logger.
    """

    def __init__(self, name: str, make: Callable[[], Logger]) -> None:
        super().__init__()
        self.guard = Guard(name)
        self.inner = self.guard(make)

    def _call(self, method: str, *arguments: Any, **named: Any) -> Any:
        return self.guard(lambda: getattr(self.inner, method)(*arguments, **named))

    @property
    @override
    def name(self) -> str | None:
        return self.guard.name

    @property
    @override
    def version(self) -> int | str | None:
        return self.guard(lambda: self.inner.version)  # type: ignore[union-attr]

    @property
    @override
    def log_dir(self) -> str | None:
        return self.guard(lambda: self.inner.log_dir)  # type: ignore[union-attr]

    @property
    def experiment(self) -> Any:
        """The inner logger's own object, for callbacks that want it; None if there is none."""
        return self.guard(lambda: self.inner.experiment)  # type: ignore[union-attr]

    @override
    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self._call("log_metrics", metrics, step)

    @override
    @rank_zero_only
    def log_hyperparams(self, params: Any, *arguments: Any, **named: Any) -> None:
        self._call("log_hyperparams", params, *arguments, **named)

    @override
    def save(self) -> None:
        self._call("save")

    @override
    @rank_zero_only
    def finalize(self, status: str) -> None:
        self._call("finalize", status)


class JobLogger:
    """The loggers of one job and their common end; a service adds what it can show beyond metrics.

    A configuration names a subclass as `_target_`; its options go to the constructor after the job, and to
    :meth:`sweep` after the sweep.

    Args:
        loggers: Lightning's loggers; may be none.
    """

    def __init__(self, *loggers: Logger) -> None:
        self.loggers = list(loggers)

    def image(self, key: str, path: Path) -> None:
        """Records a picture, or a text as the previews of texts are."""

    def result(self, result: Mapping[str, Any], folder: Path, poison: Path | None) -> None:
        """Records the job's result.

        Args:
            result: What `result.json` holds.
            folder: The job's folder, with `result.json` written.
            poison: The poisoned samples in the store; None for clean data.
        """

    def finish(self, exit_code: int) -> None:
        """Ends the job's runs, as failed unless `exit_code` is 0."""
        for logger in self.loggers:
            logger.finalize("success" if exit_code == 0 else "failed")

    @classmethod
    def sweep(cls, sweep: SweepInfo, **options: Any) -> None:
        """Records a sweep when all of its jobs have ended; nothing unless a service can show it."""


class NoLogger(JobLogger):
    """Nothing besides the result file."""

    def __init__(self, _info: JobInfo) -> None:
        super().__init__()


def log_sweep(node: Mapping[str, Any], sweep: SweepInfo) -> None:
    """Records a sweep by the logger that a configuration names; a failure is a warning.

    Args:
        node: `logger` of the configuration: `_target_` and options.
        sweep: The sweep.
    """
    from hydra.utils import get_class

    options = {key: value for key, value in node.items() if key != "_target_"}
    kind = str(node["_target_"])
    Guard(kind.rpartition(".")[2])(lambda: get_class(kind).sweep(sweep, **options), what="the sweep's summary")
