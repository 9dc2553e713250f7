"""What sweeps left behind: each job's result or failure, read back, and grouped into the cells that only a seed apart."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from unlearnable.results.result import RESULT

#: The job's own word that it failed: `{"error": message, "overrides": […]}`.
FAILED = "failed.json"

#: What tells cells apart, besides options that only some of them set.
AXES = ("poison", "dataset", "model", "task", "defense", "eps", "steps", "solver")

# Parts of the configuration that change no figure, or are said by an axis.
_SILENT = (
    "seed",
    "target_ud",
    "store",
    "logger",
    "callbacks",
    "choices",
    "eps",
    "steps",
    "sal.eps",
    "sal.steps",
    "sal.solver",
)
_SAID_ELSEWHERE = ("dataset.budget.", "dataset.surrogate.", "dataset.protocol.")  # by the parts that take them over
_POISONS = ("poison.", "poison_")  # options that only poisoned images depend on
_SILENT_ENDS = (
    "_target_",
    "_partial_",
    "accelerator",
    "data_dir",
    "download",
    "enable_model_summary",
    "enable_progress_bar",
    "log_every_n_steps",
    "num_sanity_val_steps",
)


@dataclass(frozen=True)
class Run:
    """One task of one finished job.

    Attributes:
        sweep: The sweep's folder.
        folder: The job's folder.
        task: The task; of a single-task job the name of its task option.
        result: `result.json`, with the task's figures on top.
        options: The rest of its configuration: option → value.
        variant: Options of the poison in which it differs from other runs with this poison, as `name=value, …`; often
            empty.
        settings: The same for all other options, such as `sal.samples=128`.
    """

    sweep: Path
    folder: Path
    task: str
    result: Mapping[str, Any]
    options: Mapping[str, Any] = field(repr=False, default_factory=dict)
    variant: str = ""
    settings: str = ""

    @property
    def job(self) -> str:
        """The job's name in its sweep."""
        return self.folder.name

    @property
    def seed(self) -> int:
        """The job's seed."""
        return int(self.result["seed"])

    @property
    def axes(self) -> tuple[Any, ...]:
        """Its place on `AXES`."""
        return tuple(self.task if axis == "task" else self.result[axis] for axis in AXES)

    @property
    def cell(self) -> tuple[Any, ...]:
        """What it shares with the runs that only differ in their seed."""
        return (*self.axes, self.variant, self.settings)

    @property
    def setting(self) -> tuple[Any, ...]:
        """What it shares with the runs that methods are compared on: all but the poison and the seed."""
        return (*self.axes[1:], self.settings)

    @property
    def protocol(self) -> tuple[Any, ...]:
        """What its clean reference depends on, but for the seed: runs that share it can share clean runs."""
        options = {name: value for name, value in self.options.items() if not name.startswith(_POISONS)}
        return (*self.axes[1:], json.dumps(options, sort_keys=True))

    @property
    def label(self) -> str:
        """The method's name in tables and legends."""
        return f"{self.result['poison']} ({self.variant})" if self.variant else str(self.result["poison"])

    @cached_property
    def sal(self) -> np.ndarray:
        """SAL, `[epochs, layers]`."""
        return _array(self.result["sal"])

    @cached_property
    def clean_sal(self) -> np.ndarray:
        """SAL of the clean run of the same seed, `[epochs, layers]`."""
        return _array(self.result["clean_sal"])

    @property
    def is_clean(self) -> bool:
        """Whether it is a clean run itself: its own reference."""
        return bool(self.result["sal"] == self.result["clean_sal"])

    @property
    def epoch_metrics(self) -> list[dict[str, float]]:
        """Metrics of every epoch without what measuring adds."""
        return [
            {name: value for name, value in epoch.items() if not name.startswith(("sal/", "ud/"))}
            for epoch in self.result.get("epochs", [])
        ]


@dataclass(frozen=True)
class Failure:
    """A job without a result.

    Attributes:
        sweep: The sweep's folder.
        folder: The job's folder.
        poison: What it was to use, as far as it is known.
        error: Why there is no result.
        overrides: What was asked for.
        status: `failed`, or `unfinished` for a job that left no word.
    """

    sweep: Path
    folder: Path
    poison: str
    error: str
    overrides: Sequence[str] = ()
    status: str = "failed"

    @property
    def job(self) -> str:
        """The job's name in its sweep."""
        return self.folder.name


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
    def cells(self) -> dict[tuple[Any, ...], list[Run]]:
        """Cell → its runs, one a seed."""
        cells: dict[tuple[Any, ...], list[Run]] = defaultdict(list)
        for run in self.runs:
            cells[run.cell].append(run)
        return dict(cells)

    def clean_runs(self, run: Run) -> dict[int, np.ndarray]:
        """Seed → SAL of every clean run by the protocol of `run`, whichever job it was made for."""
        return {other.seed: other.clean_sal for other in self.runs if other.protocol == run.protocol}


def read_sweeps(folders: Iterable[str | Path]) -> Records:
    """Reads the jobs of one or several sweeps; a folder may also be a single job.

    Raises:
        FileNotFoundError: if a folder is not there or holds no job.
        ValueError: if a result can not be read.
    """
    runs: dict[tuple[Any, ...], Run] = {}
    failures: list[Failure] = []
    found: list[Run] = []
    for folder in map(Path, folders):
        jobs = job_folders(folder)
        if not jobs:
            what = "holds no job" if folder.is_dir() else "is no folder"
            raise FileNotFoundError(f"{folder} {what}: give the folder of a sweep, as in outputs/sweeps/<date>/<time>.")
        for job in jobs:
            if (job / RESULT).exists() and not (job / FAILED).exists():
                found.extend(_read_runs(folder, job))
            else:
                failures.append(_read_failure(folder, job))
    repeated = []
    for run in _with_settings(found):
        key = (*run.cell, run.seed)
        if key in runs:
            repeated.append(f"{runs[key].sweep.name}/{runs[key].job}")
        runs[key] = run
    return Records(tuple(runs.values()), tuple(failures), tuple(repeated))


def job_folders(folder: Path) -> list[Path]:
    """The jobs in a sweep's folder in the order of their numbers; the folder itself if it is a job."""
    if any((folder / name).exists() for name in (RESULT, FAILED)):
        return [folder]
    marks = {path.parent for name in (RESULT, FAILED, ".hydra") for path in folder.glob(f"*/{name}")}
    return sorted(marks, key=_job_order)


def _job_order(job: Path) -> tuple[int, str]:
    number = job.name.split("-")[0]
    return (int(number) if number.isdigit() else 0, job.name)


def _read_runs(sweep: Path, job: Path) -> list[Run]:
    try:
        result = json.loads((job / RESULT).read_text())
        tasks: Mapping[str, Any] = result.get("tasks") or {result["task"]: result}
        options = _options(result["config"], result["seed"])
        return [Run(sweep, job, task, {**result, **figures, "task": task}, options) for task, figures in tasks.items()]
    except (json.JSONDecodeError, KeyError) as error:
        raise ValueError(
            f"{job / RESULT} is not a job's result ({error!r}); remove it or run the job again."
        ) from error


def _read_failure(sweep: Path, job: Path) -> Failure:
    if (job / FAILED).exists():
        record = json.loads((job / FAILED).read_text())
        poison = record.get("choices", {}).get("poison") or ""
        return Failure(sweep, job, poison, record["error"], record.get("overrides", ()))
    overrides = job / ".hydra" / "overrides.yaml"
    asked = [line.removeprefix("- ") for line in overrides.read_text().splitlines()] if overrides.exists() else []
    poison = job.name.partition("-")[2]
    error = "no result: the job is still running, or was stopped before its end"
    return Failure(sweep, job, poison, error, asked, status="unfinished")


def _options(config: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Option → value, without what changes no figure and what follows from the seed."""
    leaves = dict(_leaves(config))
    return {
        name: value
        for name, value in leaves.items()
        if value is not None  # the same as not being there
        and not any(name == part or name.startswith(f"{part}.") for part in _SILENT)
        and not name.startswith(_SAID_ELSEWHERE)
        and name.rpartition(".")[2] not in _SILENT_ENDS
        and not (name.endswith("seed") and value == seed)
    }


def _leaves(config: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(config, Mapping) and config:
        for name, value in config.items():
            yield from _leaves(value, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, config


def _with_settings(runs: Sequence[Run]) -> list[Run]:
    """The runs, each with the options in which runs that should be alike differ."""
    values: dict[tuple[Any, ...], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        for name, value in run.options.items():
            values[_family(run, name)][name].append(json.dumps(value))

    def told(run: Run, kind: str) -> str:
        family = values[_family(run, kind)]
        size = max(map(len, family.values()), default=0)
        varied = [name for name, seen in sorted(family.items()) if len(set(seen)) > 1 or len(seen) < size]
        return ", ".join(f"{name.removeprefix('poison.')}={_said(run.options.get(name))}" for name in varied)

    return [replace(run, variant=told(run, "poison."), settings=told(run, "")) for run in runs]


def _family(run: Run, option: str) -> tuple[Any, ...]:
    """Runs among which `option` tells something: a poison's options differ from another's by nature, and so on."""
    poison, dataset, model, task, defense, _, _, solver = run.axes
    return (poison if option.startswith(_POISONS) else "", dataset, model, task, defense, solver)


def _said(value: Any) -> str:
    return "null" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _array(rows: Sequence[Sequence[float | None]]) -> np.ndarray:
    """Rows from JSON, where null stands for NaN."""
    return np.array([[np.nan if value is None else value for value in row] for row in rows], dtype=np.float64)
