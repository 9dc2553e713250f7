"""Reads the jobs of sweeps back from their folders."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from unlearnable.results.records import FAILED, RESULT, Failure, Records, Run, job_name, natural_order
from unlearnable.results.settings import tell_apart

#: What `python -m unlearnable.certify` adds to a job's folder.
CERTIFICATE = "certificate.json"


def read_sweeps(folders: Iterable[str | Path]) -> Records:
    """Reads the jobs of one or several sweeps; a folder may also be a single job.

    Raises:
        FileNotFoundError: if a folder is not there or holds no job.
        ValueError: if a result cannot be read.
    """
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
    runs: dict[tuple[Any, ...], Run] = {}
    repeated = []
    for run in tell_apart(found):
        key = (*run.cell, run.seed)
        if key in runs:
            repeated.append(f"{runs[key].sweep.name}/{runs[key].job}")
        runs[key] = run
    return Records(tuple(runs.values()), tuple(failures), tuple(repeated))


def job_folders(folder: Path) -> list[Path]:
    """The jobs below a sweep's folder at any depth, numbers in their names in order; the folder itself if it is a job."""
    jobs = []
    for place, inner, files in os.walk(folder):
        if ".hydra" in inner or RESULT in files or FAILED in files:
            jobs.append(Path(place))
            inner.clear()  # what a job wrote, such as exported images, is not searched
        inner[:] = [name for name in inner if not name.startswith(".") and name != "wandb"]
    return sorted(jobs, key=lambda job: natural_order(job_name(folder, job)))


def _read_runs(sweep: Path, job: Path) -> list[Run]:
    try:
        result = json.loads((job / RESULT).read_text())
        if (job / CERTIFICATE).exists():
            result["certificate"] = json.loads((job / CERTIFICATE).read_text())
        tasks: Mapping[str, Any] = result.get("tasks") or {result["task"]: result}
        runs = [Run(sweep, job, task, {**result, **figures, "task": task}) for task, figures in tasks.items()]
        for run in runs:
            _ = run.axes, run.result["config"], run.result["sal"], run.result["clean_sal"], run.result["seconds"]
    except (json.JSONDecodeError, KeyError) as error:
        raise ValueError(
            f"{job / RESULT} is not a job's result ({error!r}); remove it or run the job again."
        ) from error
    return runs


def _read_failure(sweep: Path, job: Path) -> Failure:
    if (job / FAILED).exists():
        record = json.loads((job / FAILED).read_text())
        poison = record.get("choices", {}).get("poison") or ""
        return Failure(sweep, job, poison, record["error"], record.get("overrides", ()), record.get("status", "failed"))
    overrides = job / ".hydra" / "overrides.yaml"
    asked = [line.removeprefix("- ") for line in overrides.read_text().splitlines()] if overrides.exists() else []
    poison = next((entry.partition("=")[2] for entry in asked if entry.startswith("poison=")), "")
    error = "no result: the job is still running, or was stopped before its end"
    return Failure(sweep, job, poison, error, asked, status="unfinished")
