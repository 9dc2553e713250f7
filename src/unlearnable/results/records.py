"""What sweeps left behind: each job's result or failure, and the cells of runs that are equal but for the seed."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from unlearnable.results.run import SAL

#: What a finished job leaves in its folder, see `result.make_result`.
RESULT = "result.json"
#: What a job that failed leaves: `{"error": message, "overrides": […], "choices": {…}, "status": …}`.
FAILED = "failed.json"
#: The status of a job whose training loss is not finite, whether it stopped or went on.
DIVERGED = "diverged"

#: What tells cells apart, besides `settings`.
AXES = ("poison", "dataset", "model", "task", "defense", "eps", "steps", "solver")


@dataclass(frozen=True)
class Run:
    """One task of one finished job.

    Attributes:
        sweep: The sweep's folder.
        folder: The job's folder.
        task: The task; of a single-task job the name of its task option.
        result: `result.json`, with the task's figures on top.
        variant: Options of the poison in which it differs from other runs with this poison, as `name=value, …`; often
            empty.
        settings: The same for all other options, such as `sal.samples=128`.
    """

    sweep: Path
    folder: Path
    task: str
    result: Mapping[str, Any] = field(repr=False)
    variant: str = ""
    settings: str = ""

    @property
    def job(self) -> str:
        """The job's folder, seen from its sweep's."""
        return job_name(self.sweep, self.folder)

    @property
    def seed(self) -> int:
        """The job's seed."""
        return int(self.result["seed"])

    @property
    def axes(self) -> tuple[Any, ...]:
        """Its values on `AXES`."""
        return tuple(self.task if axis == "task" else self.result[axis] for axis in AXES)

    def axis(self, name: str) -> Any:
        """Its value on one of `AXES`."""
        return self.axes[AXES.index(name)]

    @property
    def cell(self) -> tuple[Any, ...]:
        """What it shares with runs that differ in the seed alone."""
        return (*self.axes, self.variant, self.settings)

    @property
    def setting(self) -> tuple[Any, ...]:
        """What it shares with runs that may be compared with it, and with their clean runs: all but poison and seed."""
        return (*self.axes[1:], self.settings)

    @property
    def label(self) -> str:
        """The method's name in tables and legends."""
        return f"{self.result['poison']} ({self.variant})" if self.variant else str(self.result["poison"])

    @cached_property
    def sal(self) -> Float64[np.ndarray, "epochs layers"]:
        """SAL, `[epochs, layers]`."""
        return array(self.result["sal"])

    @cached_property
    def clean_sal(self) -> Float64[np.ndarray, "epochs layers"]:
        """SAL of the clean run of the same seed, `[epochs, layers]`."""
        return array(self.result["clean_sal"])

    @property
    def losses(self) -> Float64[np.ndarray, " epochs"] | None:
        """Loss on the probe in the epochs of SAL; None for results that do not say."""
        return array([self.result["loss"]])[0] if "loss" in self.result else None

    @property
    def clean_losses(self) -> Float64[np.ndarray, " epochs"] | None:
        """The same of the clean run of the same seed."""
        if "clean_loss" in self.result:
            return array([self.result["clean_loss"]])[0]
        return self.losses if self.is_clean else None

    @property
    def is_clean(self) -> bool:
        """Whether it is a clean run itself: its own reference."""
        return bool(self.result.get("is_clean", self.result["poison"] == "clean"))

    @property
    def status(self) -> str:
        """`done`, or `diverged` if a training loss is not finite."""
        losses = [epoch["train/loss"] for epoch in self.result.get("epochs", []) if "train/loss" in epoch]
        return DIVERGED if any(loss is None for loss in losses) else "done"

    @property
    def measurement(self) -> tuple[str, str] | None:
        """Digests of its training and its SAL, equal for equal runs; None if the result lacks them."""
        return _identity(self.result.get("keys", {}))

    @property
    def poison(self) -> str | None:
        """Digest of the poison; None if it is not stored, or the result lacks it."""
        return self.result.get("keys", {}).get("poison")

    @property
    def reference(self) -> tuple[str, str] | None:
        """The same of its clean reference."""
        return _identity(self.result.get("keys", {}).get("reference", {}))

    @property
    def epoch_metrics(self) -> list[dict[str, float]]:
        """Training and test metrics of every epoch; NaN where one is no number."""
        epochs = self.result.get("epochs", [])
        return [{k: number(v) for k, v in epoch.items() if k.startswith(("train/", "test/"))} for epoch in epochs]

    @property
    def sal_epochs(self) -> list[int]:
        """The epochs of `sal` and `clean_sal`: those that were measured in both runs."""
        return list(self.result["sal_epochs"])

    def places(self, epochs: Sequence[int]) -> list[int] | None:
        """The rows of these epochs in SAL and losses; None if one of them is not there."""
        own = {epoch: place for place, epoch in enumerate(self.sal_epochs)}
        return [own[epoch] for epoch in epochs] if {*epochs} <= {*own} else None


@dataclass(frozen=True)
class Failure:
    """A job without a result.

    Attributes:
        sweep: The sweep's folder.
        folder: The job's folder.
        poison: What it was to use, as far as it is known.
        error: Why there is no result.
        overrides: What was asked for.
        status: `failed`, `diverged`, or `unfinished` for a job that left neither a result nor a failure.
    """

    sweep: Path
    folder: Path
    poison: str
    error: str
    overrides: Sequence[str] = ()
    status: str = "failed"

    @property
    def job(self) -> str:
        """The job's folder, seen from its sweep's."""
        return job_name(self.sweep, self.folder)


@dataclass(frozen=True)
class Records:
    """Everything that sweeps left behind.

    Attributes:
        runs: One for each task of each finished job, in the order of the jobs.
        failures: The jobs without a result.
        repeated: Jobs whose cell and seed another job has too; the later one is in `runs`.
    """

    runs: Sequence[Run]
    failures: Sequence[Failure] = ()
    repeated: Sequence[str] = ()

    @property
    def jobs(self) -> int:
        """How many jobs there are, with and without a result."""
        return len({run.folder for run in self.runs}) + len(self.failures)

    @property
    def cells(self) -> dict[tuple[Any, ...], list[Run]]:
        """Cell → its runs, one a seed."""
        cells: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
        for run in self.runs:
            cells[run.cell].append(run)
        return dict(cells)

    def clean_runs(
        self, runs: Sequence[Run], epochs: Sequence[int]
    ) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
        """Seed → SAL, and seed → losses, of every clean run in the setting of one cell's `runs`, whichever job it was made for.

        A run's own reference goes before another's of the same seed. Losses are missing where no result says them, and
        clean runs that are not known in all of the `epochs`.
        """
        known = [(run, places) for run in self._in_setting(runs) if (places := run.places(epochs)) is not None]
        sal = {run.seed: run.clean_sal[places] for run, places in known}
        return sal, {run.seed: found[places] for run, places in known if (found := run.clean_losses) is not None}

    def clean_metrics(self, runs: Sequence[Run]) -> dict[int, float]:
        """Seed → test metric of the same clean runs; NaN where it is no number."""
        return {run.seed: number(run.result.get("clean_test_metric")) for run in self._in_setting(runs)}

    def _in_setting(self, runs: Sequence[Run]) -> list[Run]:
        """Every run in the setting of one cell's `runs`, its own last."""
        return [*(other for other in self.runs if other.setting == runs[0].setting), *runs]


def job_name(sweep: Path, folder: Path) -> str:
    """A job's folder, seen from its sweep's; its own name if it is no part of a sweep."""
    return folder.name if folder == sweep else folder.relative_to(sweep).as_posix()


def natural_order(name: str) -> list[Any]:
    """Sorts `2-em` before `10-em`: words and numbers in turn."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _identity(keys: Mapping[str, Any]) -> tuple[str, str] | None:
    trajectory, measure = keys.get("trajectory"), (keys.get("measure") or {}).get(SAL)
    return (trajectory, measure) if trajectory and measure else None


def number(value: Any) -> float:
    """A number from JSON, where null stands for NaN."""
    return math.nan if value is None else float(value)


def array(rows: Sequence[Sequence[float | None]]) -> Float64[np.ndarray, "rows columns"]:
    """Rows from JSON, where null stands for NaN."""
    return np.array([[np.nan if value is None else value for value in row] for row in rows], dtype=np.float64)
